"""The pack: a few CrossGuard policies that run many controls and keep every verdict in a ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from policies import waivers
from policies.control import Control, Finding, Outcome
from policies.controls import budget, encryption, encryption_relations, network, private_subnets
from policies.graph import Graph, Node
from policies.settings import SETTINGS, Settings, WaiverSettings, parse
from policies.waivers import Ledger

NAME: Final = "slipway"
VERSION: Final = "0.1.0"
DESCRIPTION: Final = "Private networks, encryption and budget, proved on the graph before it exists."

# Controls by the policy that runs them. Resource policies see one resource's inputs, before it is made;
# stack policies see outputs and relations.
_RESOURCE: Final[Mapping[str, tuple[Control, ...]]] = {
    "network": tuple(control for control in network.CONTROLS if control.one),
    "encryption": encryption.CONTROLS,
}
_STACK: Final[Mapping[str, tuple[Control, ...]]] = {
    "private-network": (
        *private_subnets.CONTROLS,
        *(control for control in network.CONTROLS if control.whole),
    ),
    "encryption-relations": encryption_relations.CONTROLS,
    "budget": budget.CONTROLS,
}
_DESCRIPTIONS: Final[Mapping[str, str]] = {
    "network": "Subnets, tasks and databases have no public address.",
    "private-network": "The internet has no route to workloads; only load balancers are open to it.",
    "encryption": "Data is encrypted at rest under a key of the stack, and in transit by TLS.",
    "encryption-relations": "Buckets, queues, topics and databases refuse what is not encrypted.",
    "budget": "The stack costs no more than its budget.",
    "waivers": "Waivers are in force, used and narrow.",
    "undecided": "What could not be decided before the stack exists.",
}


def controls() -> list[Control]:
    """Every control of the pack."""
    groups = (*_RESOURCE.values(), *_STACK.values())
    return sorted((control for group in groups for control in group), key=lambda control: control.id)


@dataclass
class Pack:
    """The policies of one run, the ledger that they write, and the inputs that resource policies saw."""

    ledger: Ledger
    inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    policies: list[ResourceValidationPolicy | StackValidationPolicy] = field(
        default_factory=list[ResourceValidationPolicy | StackValidationPolicy]
    )


def build(ledger: Ledger | None = None) -> Pack:
    """The pack's policies. Settings come from the engine, policy by policy, at each call."""
    pack = Pack(ledger or Ledger(waivers.load()))
    for name, group in _RESOURCE.items():
        pack.policies.append(_resource_policy(name, group, pack))
    for name, group in _STACK.items():
        pack.policies.append(_stack_policy(name, _related(name, group, pack.ledger), pack))
    # last, because they speak of what the others found
    pack.policies.append(_stack_policy("waivers", _waiver_problems(pack.ledger), pack))
    undecided = _undecided(pack.ledger)
    pack.policies.append(_stack_policy("undecided", undecided, pack, level=EnforcementLevel.ADVISORY))
    return pack


def _resource_policy(name: str, group: Sequence[Control], pack: Pack) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: Callable[..., None]) -> None:
        settings = parse(name, _values(args))
        node = Node.of(args)  # pyright: ignore[reportArgumentType]  its attributes are those of a resource
        pack.inputs[node.urn] = node.props
        for control in group:
            _report(pack.ledger.record(name, control.judge(node, settings)), settings, report)

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
        check(Graph.of(args.resources, pack.inputs), parse(name, _values(args)), report)

    return StackValidationPolicy(
        name=name,
        description=_DESCRIPTIONS[name],
        validate=validate,
        enforcement_level=level,
        config_schema=_schema(SETTINGS[name]),
    )


def _related(name: str, group: Sequence[Control], ledger: Ledger) -> StackCheck:
    def check(graph: Graph, settings: Settings, report: Callable[..., None]) -> None:
        for control in group:
            _report(ledger.record(name, control.relate(graph, settings)), settings, report)

    return check


def _report(findings: Iterable[Finding], settings: Settings, report: Callable[..., None]) -> None:
    for finding in findings:
        failed = finding.outcome is Outcome.FAIL
        if failed or (finding.outcome is Outcome.UNDECIDED and settings.undecided == "fail"):
            report(finding.text(), finding.urn or None)


def _waiver_problems(ledger: Ledger) -> StackCheck:
    def check(_graph: Graph, settings: Settings, report: Callable[..., None]) -> None:
        most = settings.max_matches if isinstance(settings, WaiverSettings) else WaiverSettings().max_matches
        for waiver, problem in ledger.problems(controls(), most):
            report(f"the waiver of {waiver.control} for {waiver.urn} ({waiver.owner}) {problem}")

    return check


def _undecided(ledger: Ledger) -> StackCheck:
    """A line per undecided verdict, whatever its own policy makes of it."""

    def check(_graph: Graph, _settings: Settings, report: Callable[..., None]) -> None:
        for finding in ledger.findings():
            if finding.outcome is Outcome.UNDECIDED:
                report(finding.text(), finding.urn or None)

    return check


def _values(args: ResourceValidationArgs | StackValidationArgs) -> dict[str, Any]:
    return {key: value for key, value in dict(args.get_config()).items() if value is not None}


def _schema(model: type[Settings]) -> PolicyConfigSchema:
    document = model.model_json_schema(by_alias=True)
    return PolicyConfigSchema(properties=document.get("properties", {}))
