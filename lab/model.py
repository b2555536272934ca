"""The resource graph that `synth` writes and every other verb reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    from pulumi.runtime.proto import resource_pb2

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"
MASK: Final = "[secret]"
Mode = Literal["preview", "resolved"]


class Unknown:
    """A value that is not known before the resource it comes from exists."""

    _only: Unknown | None = None

    def __new__(cls) -> Unknown:  # noqa: PYI034  a singleton: typing.Self would say less
        """Return the one instance, so that `is UNKNOWN` works."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        msg = "an unknown value has no truth: compare with `is UNKNOWN` first"
        raise TypeError(msg)


UNKNOWN: Final = Unknown()
# what the engine writes into its JSON for a string that is not known yet
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Resource:
    """One registration: what the program asked for, and what answered it."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    inputs: Mapping[str, Any]
    secret_paths: frozenset[tuple[str, ...]] = frozenset()
    id: str | Unknown = UNKNOWN
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    provider: str = ""
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    raw: resource_pb2.RegisterResourceRequest | None = field(default=None, repr=False, compare=False)

    @property
    def is_provider(self) -> bool:
        """Whether this is a provider, not a thing of the cloud."""
        return self.type.startswith(PROVIDER_PREFIX)

    def document(self) -> dict[str, Any]:
        """The resource as JSON, its secrets masked and its unknown values in the engine's own spelling."""
        return {
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "parent": self.parent,
            "custom": self.custom,
            "id": plain(self.id),
            "inputs": self._shown(self.inputs),
            "outputs": self._shown(self.outputs),
            "dependencies": list(self.dependencies),
            "propertyDependencies": {key: list(urns) for key, urns in self.property_dependencies.items()},
            "provider": self.provider,
            "protect": self.protect,
            "retainOnDelete": self.retain_on_delete,
            "ignoreChanges": list(self.ignore_changes),
            "aliases": list(self.aliases),
        }

    def _shown(self, values: Mapping[str, Any]) -> Any:
        return plain(masked(values, self.secret_paths))


@dataclass(frozen=True)
class Graph:
    """Every resource of one stack, in an order in which each comes after what it depends on."""

    project: str
    stack: str
    mode: Mode
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secret_outputs: frozenset[tuple[str, ...]] = frozenset()

    @cached_property
    def by_urn(self) -> Mapping[str, Resource]:
        """Resources by their URN."""
        return {resource.urn: resource for resource in self.resources}

    def of_type(self, *tokens: str) -> tuple[Resource, ...]:
        """The resources of these type tokens."""
        return tuple(resource for resource in self.resources if resource.type in tokens)

    def children(self, urn: str) -> tuple[Resource, ...]:
        """The resources whose parent is `urn`."""
        return tuple(resource for resource in self.resources if resource.parent == urn)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def document(self) -> dict[str, Any]:
        """The graph as JSON, sorted by URN so that two runs of one stack are the same text."""
        return {
            "project": self.project,
            "stack": self.stack,
            "mode": self.mode,
            "resources": [
                resource.document() for resource in sorted(self.resources, key=lambda each: each.urn)
            ],
            "outputs": plain(masked(self.outputs, self.secret_outputs)),
        }


def plain(value: Any) -> Any:
    """`value` as JSON types only."""
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: plain(inner) for key, inner in items}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value


def masked(value: Any, secret_paths: frozenset[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """`value` with `[secret]` in place of what is secret."""
    if not secret_paths:
        return value
    if path in secret_paths:
        return MASK
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: masked(inner, secret_paths, (*path, key)) for key, inner in items}
    if isinstance(value, (list, tuple)):
        values = cast("list[Any]", value)
        return [masked(inner, secret_paths, (*path, str(index))) for index, inner in enumerate(values)]
    return value
