"""A control's own examples into pulumi-policy's analyzer, and every variant of them that a control must bear.

No program runs: an example is turned into the requests that the engine would send at preview, where `${vpc.id}`
is unknown and the dependency is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies import pack
from policies.control import Control, Finding
from policies.example import JUDGED, SECRET, TO_JSON, Example, Resource, references
from policies.waivers import Ledger

UNKNOWN = object()  # a value that is given and not known
_SECRET_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_VALUE = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Verdicts:
    """What the ledger and the analyzer say of an example."""

    findings: list[Finding]
    diagnostics: list[Any]

    def outcome(self, control: str) -> str:
        """The gravest verdict of a control on the resource that is judged; `silent` when there is none."""
        found = {
            each.outcome.value
            for each in self.findings
            if each.control.id == control and each.urn in ("", urn(JUDGED))
        }
        return next((word for word in ("fail", "undecided", "pass") if word in found), "silent")

    def blocking(self, control: str) -> list[str]:
        """The messages that stop a deployment."""
        return [
            each.message
            for each in self.diagnostics
            if control in each.message and each.enforcementLevel == analyzer_pb2.MANDATORY
        ]

    def broken(self) -> list[str]:
        """Controls that failed themselves."""
        return [each.text() for each in self.findings if "the control itself failed" in each.message]

    def words(self) -> str:
        """All that was said."""
        said = [each.text() for each in self.findings] + [each.message for each in self.diagnostics]
        return "\n".join(said)


def urn(name: str) -> str:
    """The URN of a resource of an example: its type does not matter here."""
    return f"urn:pulumi:test::p::example::{name}"


def judge(
    stack: Example,
    rename: Mapping[str, str] | None = None,
    *,
    only: Control | None = None,
    production: bool = True,
) -> Verdicts:
    """Judge an example by the whole pack, or by one control; `rename` writes types by other tokens."""
    built = pack.build(Ledger([]), None if only is None else (only,))
    servicer: Any = _PolicyAnalyzerServicer(
        "slipway", "0.0.1", list(built.policies), EnforcementLevel.MANDATORY
    )
    configuration = analyzer_pb2.ConfigureAnalyzerRequest()
    if not production:
        for policy in (pack.RESOURCES, pack.RELATIONS):
            level = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.MANDATORY)
            configuration.policyConfig[policy].MergeFrom(level)
            configuration.policyConfig[policy].properties.update({"production": False})
    servicer.Configure(configuration, None)
    diagnostics: list[Any] = []
    request = analyzer_pb2.AnalyzeStackRequest()
    for name, resource in stack.items():
        type_ = (rename or {}).get(resource.type, resource.type)
        properties = _wire(resource.inputs)
        one = analyzer_pb2.AnalyzeRequest(type=type_, urn=urn(name), name=name)
        one.properties.update(properties)
        one.options.SetInParent()
        diagnostics.extend(servicer.Analyze(one, None).diagnostics)
        each = request.resources.add(type=type_, urn=urn(name), name=name)
        each.properties.update(properties)
        each.properties["id"] = UNKNOWN_STRING_VALUE
        each.options.SetInParent()
        for key, value in resource.inputs.items():
            targets = [urn(target) for target in dict.fromkeys(references(value)) if target in stack]
            if targets:
                each.propertyDependencies[key].urns.extend(targets)
    diagnostics.extend(servicer.AnalyzeStack(request, None).diagnostics)
    return Verdicts(built.ledger.findings(), diagnostics)


def _wire(value: Any) -> Any:
    """A value as the engine would send it at preview."""
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, str):
        return UNKNOWN_STRING_VALUE if any(references(value)) else value
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if TO_JSON in mapping:
            inner = mapping[TO_JSON]
            unknown = any(references(inner)) or _holds_unknown(inner)
            return UNKNOWN_STRING_VALUE if unknown else json.dumps(inner)
        if SECRET in mapping:
            return {_SECRET_SIGNATURE: _SECRET_VALUE, "value": _wire(mapping[SECRET])}
        return {key: _wire(each) for key, each in mapping.items()}
    if isinstance(value, Sequence):
        return [_wire(each) for each in cast("Sequence[Any]", value)]
    return value


def _holds_unknown(value: Any) -> bool:
    return any(each is UNKNOWN for _, each in _leaves(value))


# --- variants ----------------------------------------------------------------------------------------

Path = tuple[str | int, ...]


def places(stack: Example) -> Iterator[tuple[str, Path]]:
    """Every input of every resource, at every depth: `("it", ("rules", 0, "bucketKeyEnabled"))`."""
    for name, resource in stack.items():
        for path, _ in _places(resource.inputs):
            yield name, path


def _places(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for key, each in cast("Mapping[str, Any]", value).items():
            yield from _places(each, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, each in enumerate(cast("Sequence[Any]", value)):
            yield from _places(each, (*path, index))


def _leaves(value: Any) -> Iterator[tuple[Path, Any]]:
    return ((path, each) for path, each in _places(value, ("",)) if not isinstance(each, (Mapping, list)))


def changed(stack: Example, name: str, path: Path, value: Any) -> Example:
    """The example with one input replaced."""
    resource = stack[name]
    return {**stack, name: Resource(resource.type, _put(resource.inputs, path, value))}


def without(stack: Example, name: str, path: Path) -> Example:
    """The example with one input left out."""
    return changed(stack, name, path, _GONE)


def alone(stack: Example) -> Example:
    """Only the judged resource, and nothing said of it."""
    return {JUDGED: Resource(stack[JUDGED].type, {})}


def secrets(stack: Example, word: str) -> Iterator[Example]:
    """The example with each text of it as a secret that holds `word`."""
    for name, resource in stack.items():
        for path, value in _places(resource.inputs):
            if isinstance(value, str) and not any(references(value)):
                yield changed(stack, name, path, {SECRET: word})


_GONE = object()


def _put(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    if isinstance(value, Mapping):
        mapping = dict(cast("Mapping[str, Any]", value))
        mapping[str(key)] = _put(mapping.get(str(key)), tuple(rest), new)
        return {name: each for name, each in mapping.items() if each is not _GONE}
    items = list(cast("Sequence[Any]", value))
    items[int(key)] = _put(items[int(key)], tuple(rest), new)
    return [each for each in items if each is not _GONE]


def at(stack: Example, name: str, path: Path) -> Any:
    """The value at a place, or None."""
    value: Any = stack[name].inputs if name in stack else {}
    for part in path:
        if isinstance(value, Mapping):
            value = cast("Mapping[str, Any]", value).get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            items = cast("list[Any]", value)
            value = items[part] if part < len(items) else None
        else:
            return None
    return value
