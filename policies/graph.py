"""The stack as a graph: resources, what each property depends on, and who refers to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Protocol, cast

from policies.reader import MISSING, UNKNOWN, UndecidedError, canonical, plain, read

# by which property other resources may name a resource, when they do not take its output
_NAMES: Final = ("name", "bucket", "identifier", "id", "arn", "family", "replicationGroupId", "url")


class PolicyLike(Protocol):
    """What pulumi-policy hands to a stack policy for each resource."""

    resource_type: str
    props: Any
    urn: str
    name: str


class Values:
    """Properties, or a nested block of them, read without surprises."""

    def __init__(self, props: Mapping[str, Any], prefix: str = "") -> None:
        self.props = props
        self.prefix = prefix

    def get(self, path: str) -> Any:
        """The value, MISSING or UNKNOWN."""
        return read(self.props, path)

    def known(self, path: str, default: Any = None) -> Any:
        """The value, or `default` when it is missing; an unknown one ends the control as undecided."""
        value = self.get(path)
        if value is UNKNOWN:
            raise UndecidedError(f"{self.prefix}{path}")
        return default if value is MISSING else value

    def given(self, path: str) -> bool:
        """Whether the program gave a value, known or not."""
        return self.get(path) not in (MISSING, "", [], {})

    def blocks(self, path: str) -> list[Values]:
        """The nested blocks of a list property (or of a single block)."""
        value = self.known(path, [])
        many = cast("list[Any]", value if isinstance(value, list) else [value])
        if UNKNOWN in many:
            raise UndecidedError(f"{self.prefix}{path}")
        return [
            Values(cast("Mapping[str, Any]", block), f"{self.prefix}{path}.")
            for block in many
            if isinstance(block, Mapping)
        ]


class Node(Values):
    """One resource: its properties as plain values, and the nodes each of them was made from."""

    def __init__(self, type_: str, urn: str, name: str, props: Mapping[str, Any]) -> None:
        super().__init__(props)
        self.type = type_
        self.urn = urn
        self.name = name
        self.deps: dict[str, Sequence[Node]] = {}
        self.provider: Mapping[str, Any] = {}  # what the provider was given, such as default tags

    @classmethod
    def of(cls, resource: PolicyLike, inputs: Mapping[str, Any] | None = None) -> Node:
        """A node without relations; `inputs` are what the program gave, where they were seen.

        A stack policy sees outputs: at preview a property that the program left out is unknown there, because
        the provider may compute it. What the program gave decides; an unknown beyond that says nothing.
        """
        props = plain(resource.props)
        if inputs is not None:
            props = {**{key: value for key, value in props.items() if value is not UNKNOWN}, **inputs}
        node = cls(canonical(resource.resource_type), resource.urn, resource.name, props)
        provider = getattr(resource, "provider", None)
        if provider is not None:
            node.provider = plain(provider.props)
        return node

    def made_from(self, key: str, *types: str) -> list[Node]:
        """The nodes of these types that the top-level property `key` was made from."""
        return [node for node in self.deps.get(key, ()) if node.type in types]

    @property
    def kind(self) -> str:
        """The last word of the type: `Subnet`."""
        return self.type.rpartition(":")[2]

    @property
    def label(self) -> str:
        """How messages speak of it: `subnet private-a`."""
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in self.kind).strip()
        return f"{words} {self.name}"

    @cached_property
    def names(self) -> frozenset[str]:
        """The literal names by which others may refer to it."""
        values = (self.props.get(key) for key in _NAMES)
        return frozenset(value for value in values if isinstance(value, str) and value)


class Graph:
    """All nodes of a stack, and the questions that controls ask of them."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = list(nodes)
        self._by_type: dict[str, list[Node]] = {}
        self._users: dict[int, list[tuple[Node, str]]] = {}
        self._places = {id(node): place for place, node in enumerate(self.nodes)}
        self._literals: dict[tuple[str, str], dict[str, list[Node]]] = {}
        self._names: dict[str, dict[str, list[Node]]] = {}
        for node in self.nodes:
            self._by_type.setdefault(node.type, []).append(node)
            for key, targets in node.deps.items():
                for target in targets:
                    self._users.setdefault(id(target), []).append((node, key))

    @classmethod
    def of(cls, resources: Sequence[Any], inputs: Mapping[str, Mapping[str, Any]] | None = None) -> Graph:
        """The graph of what pulumi-policy hands to a stack policy, with the inputs seen before, by URN."""
        seen = inputs or {}
        nodes = {resource.urn: Node.of(resource, seen.get(resource.urn)) for resource in resources}
        for resource in resources:
            relations = nodes[resource.urn].deps
            for key, targets in resource.property_dependencies.items():
                relations[key] = [nodes[target.urn] for target in targets if target.urn in nodes]
        return cls(nodes.values())

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def of_type(self, *types: str) -> list[Node]:
        """The nodes of these types, in the stack's order."""
        if len(types) == 1:
            return list(self._by_type.get(types[0], ()))
        wanted = set(types)
        return [node for node in self.nodes if node.type in wanted]

    def users(self, node: Node, *types: str) -> list[tuple[Node, str]]:
        """Who was made from `node`, and by which property."""
        found = self._users.get(id(node), [])
        return [(user, key) for user, key in found if not types or user.type in types]

    def refers(self, node: Node, key: str, target: Node) -> bool:
        """Whether `node.key` names `target`: by its output, or by its literal name."""
        if target in node.deps.get(key, ()):
            return True
        value = node.get(key)
        return isinstance(value, str) and value in target.names

    def about(self, target: Node, type_: str, key: str) -> list[Node]:
        """The nodes of a type whose `key` names `target` (a bucket's policy, a queue's policy, …)."""
        found = {
            id(user): user for user, by in self._users.get(id(target), ()) if by == key and user.type == type_
        }
        literals = self._named(type_, key)
        for name in target.names:
            found.update((id(node), node) for node in literals.get(name, ()))
        return sorted(found.values(), key=self._place)

    def perhaps_about(self, target: Node, type_: str, key: str) -> list[Node]:
        """The nodes of a type of which nobody can say yet whether their `key` names `target`.

        What is made from another resource of the target's type names that one; a literal that names one, too.
        """
        peers = self.of_type(target.type)
        nameless = UNKNOWN in map(target.props.get, _NAMES)

        def open_(node: Node) -> bool:
            if any(peer in node.deps.get(key, ()) for peer in peers):
                return False
            return node.get(key) is UNKNOWN or (
                nameless and not any(self.refers(node, key, peer) for peer in peers)
            )

        return [node for node in self.of_type(type_) if open_(node)]

    def referred(self, node: Node, key: str, type_: str) -> Node | None:
        """The node of a type that `node.key` names; the first of the stack when it names several."""
        found = [target for target in node.deps.get(key, ()) if target.type == type_]
        value = node.get(key)
        if isinstance(value, str):
            found.extend(self._called(type_).get(value, ()))
        return min(found, key=self._place, default=None)

    def _place(self, node: Node) -> int:
        return self._places[id(node)]

    def _named(self, type_: str, key: str) -> dict[str, list[Node]]:
        """The nodes of a type by the literal in their `key`: read once, not once per pair of nodes."""
        index = self._literals.get((type_, key))
        if index is None:
            index = self._literals[type_, key] = {}
            for node in self._by_type.get(type_, ()):
                value = node.get(key)
                if isinstance(value, str):
                    index.setdefault(value, []).append(node)
        return index

    def _called(self, type_: str) -> dict[str, list[Node]]:
        """The nodes of a type by each of their literal names."""
        index = self._names.get(type_)
        if index is None:
            index = self._names[type_] = {}
            for node in self._by_type.get(type_, ()):
                for name in node.names:
                    index.setdefault(name, []).append(node)
        return index

    def strays(self, type_: str, key: str) -> list[Node]:
        """The nodes of a type whose `key` is unknown and leads nowhere here: they may be about anything."""
        return [node for node in self.of_type(type_) if node.get(key) is UNKNOWN and not node.deps.get(key)]
