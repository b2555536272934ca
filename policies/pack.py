"""The pack: a few CrossGuard policies that run many controls and keep every verdict in a ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies import waivers
from policies.config import selectors
from policies.control import Control, Finding, Outcome
from policies.controls import (
    access,
    budget,
    concurrency,
    containers,
    cost_tags,
    edge,
    encryption,
    encryption_in_transit,
    encryption_relations,
    identity,
    identity_roles,
    logs,
    logs_relations,
    private_subnets,
    public_access,
    queues,
    recovery,
    recovery_relations,
    releases,
    resource_policies,
    security_groups,
    sizes,
    vpc,
)
from policies.graph import Graph, Node
from policies.settings import SETTINGS, ControlSettings, Settings, WaiverSettings, parse
from policies.waivers import Ledger

NAME: Final = "slipway"
# written down once, where Pulumi reads it
VERSION: Final[str] = yaml.safe_load(
    Path(__file__).with_name("PulumiPolicy.yaml").read_text(encoding="utf-8")
)["version"]
DESCRIPTION: Final = (
    "Privacy, encryption, identity, recovery, records and budget, proved on the graph before it exists."
)

# every module of controls
MODULES: Final = (
    *(private_subnets, public_access, security_groups, vpc, edge),
    *(encryption, encryption_in_transit, encryption_relations),
    *(identity, identity_roles, resource_policies, containers, access),
    *(recovery, recovery_relations, releases),
    *(logs, logs_relations),
    *(queues, concurrency),
    *(cost_tags, sizes),
    budget,
)
_CONTROLS: Final[tuple[Control, ...]] = tuple(control for module in MODULES for control in module.CONTROLS)
# The resource policy sees one resource's inputs, before it is made; stack policies see outputs and relations.
# Few policies: for each of them the engine's side reads the stack anew.
RESOURCES: Final = "resources"
RELATIONS: Final = "relations"
BUDGET: Final = "budget"
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    RESOURCES: "Each resource for itself: private, encrypted, least-privileged, recoverable, observable.",
    RELATIONS: "The stack as a whole: who reaches whom, what belongs to what, and what is not there.",
    BUDGET: "The stack costs no more than its budget.",
    "waivers": "Waivers are in force, used and narrow.",
    "undecided": "What could not be decided before the stack exists, and what is only reported.",
}


def controls() -> list[Control]:
    """Every control of the pack."""
    return sorted(_CONTROLS, key=lambda control: control.id)


@dataclass
class Pack:
    """The policies of one run, the ledger that they write, and the inputs that resource policies saw."""

    ledger: Ledger
    inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    first: str = ""  # the URN with which each run begins
    advisory: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _graph: Graph | None = None
    _asked: set[str] = field(default_factory=set[str])
    policies: list[ResourceValidationPolicy | StackValidationPolicy] = field(
        default_factory=list[ResourceValidationPolicy | StackValidationPolicy]
    )

    def graph(self, policy: str, resources: Sequence[Any]) -> Graph:
        """The stack as a graph, made once per run: a policy that asks again begins the next."""
        if self._graph is None or policy in self._asked:
            self._graph = Graph.of(resources, self.inputs)
            self._asked = set()
        self._asked.add(policy)
        return self._graph

    def report(self, findings: Iterable[Finding], settings: Settings, report: Callable[..., None]) -> None:
        """Tell the engine what stops a deployment; the rest stays in the ledger."""
        for finding in findings:
            failed = finding.outcome is Outcome.FAIL
            if not failed and not (finding.outcome is Outcome.UNDECIDED and settings.undecided == "fail"):
                continue
            if isinstance(settings, ControlSettings) and _selected(finding.control, settings.advisory):
                self.advisory.add(finding.key)
                continue
            report(finding.text(), finding.urn or None)


def _selected(control: Control, words: Collection[str]) -> bool:
    return control.id in words or control.family in words


def _enabled(group: Sequence[Control], settings: Settings) -> Iterator[Control]:
    off = settings.disabled if isinstance(settings, ControlSettings) else ()
    return (control for control in group if not _selected(control, off))


def build(ledger: Ledger | None = None, only: Iterable[Control] | None = None) -> Pack:
    """The pack's policies, of all controls or `only` these. Settings come from the engine, at each call."""
    pack = Pack(ledger or Ledger(*waivers.read()))
    group = _CONTROLS if only is None else tuple(only)
    costs = tuple(control for control in group if control.whole and control.family == BUDGET)
    relations = tuple(control for control in group if control.whole and control not in costs)
    pack.policies.append(
        _resource_policy(RESOURCES, tuple(control for control in group if control.one), pack)
    )
    for name, controls_ in ((RELATIONS, relations), (BUDGET, costs)):
        if controls_ or only is None:
            pack.policies.append(_stack_policy(name, _related(name, controls_, pack), pack))
    # last, because they speak of what the others found
    pack.policies.append(_stack_policy("waivers", _waiver_problems(pack.ledger), pack))
    pack.policies.append(_stack_policy("undecided", _undecided(pack), pack, level=EnforcementLevel.ADVISORY))
    return pack


def _resource_policy(name: str, group: Sequence[Control], pack: Pack) -> ResourceValidationPolicy:
    anywhere = tuple(control for control in group if not control.applies_to)
    by_type: dict[str, list[Control]] = {}
    for control in group:
        for type_ in control.applies_to:
            by_type.setdefault(type_, []).append(control)

    def validate(args: ResourceValidationArgs, report: Callable[..., None]) -> None:
        settings = parse(name, _values(args))
        node = Node.of(args)  # pyright: ignore[reportArgumentType]  its attributes are those of a resource
        if pack.first in ("", node.urn):
            pack.first = node.urn
            pack.ledger.ran.update(control.id for control in _enabled(group, settings))
            _misconfigured(name, settings, report)
        pack.inputs[node.urn] = node.props
        for control in _enabled((*by_type.get(node.type, ()), *anywhere), settings):
            pack.report(pack.ledger.record(name, control.judge(node, settings)), settings, report)

    return ResourceValidationPolicy(
        name=name,
        description=_DESCRIPTIONS[name],
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
        config_schema=_schema(SETTINGS[name]),
    )


StackCheck = Callable[[Graph, Settings, Callable[..., None]], None]


def _stack_policy(
    name: str, check: StackCheck, pack: Pack, *, level: EnforcementLevel = EnforcementLevel.MANDATORY
) -> StackValidationPolicy:
    def validate(args: StackValidationArgs, report: Callable[..., None]) -> None:
        check(pack.graph(name, args.resources), parse(name, _values(args)), report)

    return StackValidationPolicy(
        name=name,
        description=_DESCRIPTIONS[name],
        validate=validate,
        enforcement_level=level,
        config_schema=_schema(SETTINGS[name]),
    )


def _related(name: str, group: Sequence[Control], pack: Pack) -> StackCheck:
    def check(graph: Graph, settings: Settings, report: Callable[..., None]) -> None:
        _misconfigured(name, settings, report)
        for control in _enabled(group, settings):
            pack.ledger.ran.add(control.id)
            pack.report(pack.ledger.record(name, control.relate(graph, settings)), settings, report)

    return check


def _misconfigured(name: str, settings: Settings, report: Callable[..., None]) -> None:
    """The engine checks keys and types of a configuration; only the pack knows its controls."""
    if isinstance(settings, ControlSettings):
        for problem in selectors(name, settings, _CONTROLS):
            report(f"the configuration has a mistake: {problem}")


def _waiver_problems(ledger: Ledger) -> StackCheck:
    def check(_graph: Graph, settings: Settings, report: Callable[..., None]) -> None:
        most = settings.max_matches if isinstance(settings, WaiverSettings) else WaiverSettings().max_matches
        for mistake in ledger.mistakes:
            report(f"the waiver file has a mistake, and what stands there is not applied: {mistake}")
        for problem in ledger.problems(controls(), most):
            report(problem.text())

    return check


def _undecided(pack: Pack) -> StackCheck:
    """A line per undecided verdict, whatever its own policy makes of it, and per one that stops nothing."""

    def check(_graph: Graph, _settings: Settings, report: Callable[..., None]) -> None:
        for finding in pack.ledger.findings():
            failed = finding.outcome is Outcome.FAIL and finding.key in pack.advisory
            if failed or finding.outcome is Outcome.UNDECIDED:
                report(finding.text(), finding.urn or None)

    return check


def _values(args: ResourceValidationArgs | StackValidationArgs) -> dict[str, Any]:
    return {key: value for key, value in dict(args.get_config()).items() if value is not None}


@cache
def _schema(model: type[Settings]) -> PolicyConfigSchema:
    document = model.model_json_schema(by_alias=True)
    return PolicyConfigSchema(properties=document.get("properties", {}))
