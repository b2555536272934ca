"""Feeds a graph to the real analyzer and returns every verdict; nothing is printed here."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi._types import resource_types
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer  # pyright: ignore[reportPrivateUsage]

from lab import wire
from lab.check.places import Place, place_of
from lab.check.secrets import Redactor
from lab.check.unseen import unseen
from lab.cost.bill import bill
from lab.errors import LabError
from lab.model import STACK_TYPE, UNKNOWN, Graph, Resource
from policies import config as configuration
from policies import pack, settings, waivers
from policies.control import Control, Finding, Outcome
from policies.graph import Node
from policies.pricing.tiers import tier_of
from policies.waivers import Ledger, Waiver, WaiverProblem

STRICT: Final = "prod"  # whose settings judge a stack that has no config of its own
_LEVELS: Final[Mapping[str, int]] = {
    "advisory": analyzer_pb2.ADVISORY,
    "mandatory": analyzer_pb2.MANDATORY,
    "disabled": analyzer_pb2.DISABLED,
}


@dataclass(frozen=True)
class Violation:
    """What the analyzer itself reported."""

    policy: str
    mandatory: bool
    message: str
    urn: str

    @property
    def control(self) -> str:
        """The id of the control that it speaks of, if it speaks of one."""
        word = self.message.partition(" ")[0]
        return word if word.startswith("SLP-") else ""


@dataclass(frozen=True)
class Money:
    """What the stack costs in a month, in dollars, and how many of its resources have no known price."""

    baseline: float
    usage: float
    exposure: float
    unpriced: int
    limit: float | None = None

    @property
    def total(self) -> float:
        """What runs anyway, and the declared use."""
        return self.baseline + self.usage


@dataclass(frozen=True)
class Report:
    """Every verdict on one stack."""

    stack: str
    resources: int
    config: str
    seconds: float
    controls: tuple[Control, ...]
    findings: tuple[Finding, ...]
    violations: tuple[Violation, ...]
    disabled: tuple[str, ...] = ()  # policies
    switched_off: Mapping[str, str] = field(default_factory=dict[str, str])  # controls, with the reason
    tiers: Mapping[str, str] = field(default_factory=dict[str, str])  # by URN
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])  # by URN
    unseen: Mapping[str, int] = field(default_factory=dict[str, int])  # types that the pack does not know
    waivers: tuple[tuple[Waiver, frozenset[str]], ...] = ()  # those that covered something, and what
    waiver_problems: tuple[WaiverProblem, ...] = ()
    money: Money | None = None
    related: bool = True  # whether relations were judged: not on a part of a stack
    errors: tuple[LabError, ...] = ()  # what kept the report from being whole

    @property
    def blocking(self) -> tuple[Violation, ...]:
        """What stops a deployment."""
        return tuple(violation for violation in self.violations if violation.mandatory)

    def counts(self, control: Control | None = None) -> dict[str, int]:
        """How many verdicts of each kind; of one control, or of all."""
        totals = {outcome.value: 0 for outcome in Outcome}
        for finding in self.findings:
            if control is None or finding.control.id == control.id:
                totals[finding.outcome.value] += 1
        return totals


def check(
    graph: Graph,
    *,
    root: Path | None = None,
    folder: Path | None = None,
    config_file: Path | None = None,
    waiver_file: Path | None = None,
    today: dt.date | None = None,
    ended: LabError | None = None,
) -> Report:
    """Judge a preview-mode graph by the pack, configured as for `graph.stack`.

    `ended` is what ended the program half-way: each resource is judged, and no relation of a part of a stack.
    """
    started = time.monotonic()
    home = folder or Path(pack.__file__).parent
    config_path = config_file or _config_path(home, graph.stack)
    waiver_path = waiver_file or home / "waivers.yaml"
    errors = [ended] if ended else []
    config = _config(config_path, errors)
    sound, mistakes = waivers.read(waiver_path) if waiver_file or waiver_path.is_file() else ([], [])
    if mistakes:
        errors.append(_mistakes(waivers.WaiverError(waiver_path.name, mistakes), waiver_path, "waiver-file"))
    ledger = Ledger(sound)
    if today is not None:
        ledger.today = today
    built = pack.build(ledger)
    servicer: Any = _PolicyAnalyzerServicer(
        pack.NAME, pack.VERSION, list(built.policies), EnforcementLevel.MANDATORY
    )
    servicer.Configure(configuration_request(config), None)
    diagnostics = ask(servicer, graph, whole=ended is None)
    hide = Redactor(graph)
    return Report(
        stack=graph.stack,
        resources=len(graph),
        config=config_path.name,
        seconds=time.monotonic() - started,
        controls=tuple(pack.controls()),
        findings=tuple(hide.finding(finding) for finding in ledger.findings()),
        violations=tuple(_violation(each, hide) for each in diagnostics),
        disabled=tuple(name for name in settings.SETTINGS if configuration.level(config, name) == "disabled"),
        waivers=tuple(sorted(ledger.applied().items(), key=lambda pair: (pair[0].control, pair[0].urn))),
        waiver_problems=tuple(_waiver_problems(ledger, config)) if ended is None else (),
        switched_off={
            word: reason for policy in config.values() for word, reason in policy.get("disabled", {}).items()
        },
        tiers={each.urn: tier_of(Node(each.type, each.urn, each.name, each.inputs)) for each in graph},
        places=_places(graph, root),
        money=_money(graph) if ended is None else None,
        unseen=unseen(graph),
        related=ended is None,
        errors=tuple(hide.error(error) for error in errors),
    )


def _config(path: Path, errors: list[LabError]) -> configuration.Config:
    """What is sound in the configuration; its mistakes are errors beside the report."""
    config, problems = configuration.read(path, pack.controls())
    if problems:
        errors.append(_mistakes(settings.PackConfigError(path.name, problems), path, "policy-config"))
    return config


def _mistakes(error: Exception, path: Path, code: str) -> LabError:
    first, _, rest = str(error).partition("\n")
    return LabError(first, cause=rest, hint=f"correct {path}; until then the rest of it applies", code=code)


def _violation(diagnostic: Any, hide: Redactor) -> Violation:
    return Violation(
        diagnostic.policyName,
        diagnostic.enforcementLevel == analyzer_pb2.MANDATORY,
        hide.text(words(diagnostic)),
        diagnostic.urn,
    )


def _waiver_problems(ledger: Ledger, config: configuration.Config) -> list[WaiverProblem]:
    if configuration.level(config, "waivers") == "disabled":
        return []
    chosen = settings.WaiverSettings.model_validate(configuration.parameters(config, "waivers"))
    return ledger.problems(pack.controls(), chosen.max_matches)


def _money(graph: Graph) -> Money:
    priced = bill(graph)
    row = priced.whole
    return Money(row.baseline, row.usage, row.exposure, len(row.unpriced), priced.budget)


def _places(graph: Graph, root: Path | None) -> dict[str, Place]:
    if root is None:
        return {}
    found = {resource.urn: place_of(resource, graph, root) for resource in graph}
    return {urn: place for urn, place in found.items() if place is not None}


def words(diagnostic: Any) -> str:
    """The message without the description that pulumi-policy puts before it."""
    return str(diagnostic.message).removeprefix(str(diagnostic.description)).lstrip("\n")


def _config_path(home: Path, stack: str) -> Path:
    own = home / f"config.{stack}.json"
    return own if own.is_file() else home / f"config.{STRICT}.json"


def configuration_request(config: configuration.Config) -> analyzer_pb2.ConfigureAnalyzerRequest:
    """The config file as the engine sends it."""
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for name in settings.SETTINGS:
        values = configuration.parameters(config, name)
        level = _LEVELS[configuration.level(config, name)]
        request.policyConfig[name].MergeFrom(analyzer_pb2.PolicyConfig(enforcementLevel=level))
        request.policyConfig[name].properties.CopyFrom(json_format.ParseDict(values, struct_pb2.Struct()))
    return request


def ask(servicer: Any, graph: Graph, *, whole: bool = True) -> list[Any]:
    """The diagnostics of an analyzer, here or in a process of its own, in the engine's order."""
    found = _one_by_one(servicer, graph)
    return [*found, *_together(servicer, graph)] if whole else found


def _one_by_one(servicer: Any, graph: Graph) -> list[Any]:
    """Resource policies: the inputs, as before each resource is made."""
    found: list[Any] = []
    for resource in graph:
        if resource.raw is None or resource.type == STACK_TYPE:
            continue
        request = analyzer_pb2.AnalyzeRequest(type=resource.type, urn=resource.urn, name=resource.name)
        request.properties.CopyFrom(resource.raw.object)
        _describe(request, resource, graph)
        found.extend(servicer.Analyze(request, None).diagnostics)
    return found


def _together(servicer: Any, graph: Graph) -> list[Any]:
    """Stack policies: every resource with its outputs and what each property was made from."""
    request = analyzer_pb2.AnalyzeStackRequest()
    computed = _computed() if graph.mode == "preview" else {}
    for resource in graph:
        each = request.resources.add(
            type=resource.type,
            urn=resource.urn,
            name=resource.name,
            parent=resource.parent,
            dependencies=list(resource.dependencies),
        )
        unknown = dict.fromkeys(computed.get(resource.type, ()), UNKNOWN)
        each.properties.CopyFrom(wire.encode({**unknown, **resource.outputs}))
        for key, urns in resource.property_dependencies.items():
            each.propertyDependencies[key].urns.extend(urns)
        _describe(each, resource, graph)
    return list(servicer.AnalyzeStack(request, None).diagnostics)


def _computed() -> dict[str, tuple[str, ...]]:
    """Every output property of each type that the program used.

    At preview the engine hands those that the program left out to stack policies as unknown: the provider
    may compute them.
    """
    found: dict[str, tuple[str, ...]] = {}
    ahead: list[type[pulumi.Resource]] = [pulumi.CustomResource]
    while ahead:
        for kind in ahead.pop().__subclasses__():
            ahead.append(kind)
            token: str | None = getattr(kind, "pulumi_type", None)
            if token is not None:
                found[token] = tuple(resource_types(kind))
    return found


def _describe(request: Any, resource: Resource, graph: Graph) -> None:
    request.options.protect = resource.protect
    request.options.ignoreChanges.extend(resource.ignore_changes)
    request.options.aliases.extend(resource.aliases)
    provider = graph.by_urn.get(resource.provider.rpartition("::")[0])
    if provider is not None and provider.raw is not None:
        request.provider.type = provider.type
        request.provider.urn = provider.urn
        request.provider.name = provider.name
        request.provider.properties.CopyFrom(provider.raw.object)
