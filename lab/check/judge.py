"""Feeds a graph to the real analyzer and returns every verdict; nothing is printed here."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi._types import resource_types
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer  # pyright: ignore[reportPrivateUsage]

from lab import wire
from lab.errors import LabError
from lab.model import STACK_TYPE, UNKNOWN, Graph, Resource
from policies import pack, settings, waivers
from policies.control import Control, Finding, Outcome
from policies.waivers import Ledger

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
    disabled: tuple[str, ...] = ()

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
    folder: Path | None = None,
    waiver_file: Path | None = None,
    today: dt.date | None = None,
) -> Report:
    """Judge a preview-mode graph by the pack, configured as for `graph.stack`."""
    started = time.monotonic()
    home = folder or Path(pack.__file__).parent
    config_path = _config_path(home, graph.stack)
    try:
        config = settings.load(config_path)
        ledger = Ledger(waivers.load(waiver_file or home / "waivers.yaml"))
    except (settings.PackConfigError, waivers.WaiverError) as error:
        raise LabError(str(error), hint=f"correct the file in {home}", code="policy-config") from error
    if today is not None:
        ledger.today = today
    built = pack.build(ledger)
    servicer: Any = _PolicyAnalyzerServicer(
        pack.NAME, pack.VERSION, list(built.policies), EnforcementLevel.MANDATORY
    )
    servicer.Configure(_configuration(config), None)
    diagnostics = [*_one_by_one(servicer, graph), *_together(servicer, graph)]
    return Report(
        stack=graph.stack,
        resources=len(graph),
        config=config_path.name,
        seconds=time.monotonic() - started,
        controls=tuple(pack.controls()),
        findings=tuple(ledger.findings()),
        violations=tuple(
            Violation(
                each.policyName, each.enforcementLevel == analyzer_pb2.MANDATORY, _words(each), each.urn
            )
            for each in diagnostics
        ),
        disabled=tuple(name for name in settings.SETTINGS if _level(config, name) == "disabled"),
    )


def _words(diagnostic: Any) -> str:
    """The message without the description that pulumi-policy puts before it."""
    return str(diagnostic.message).removeprefix(str(diagnostic.description)).lstrip("\n")


def _config_path(home: Path, stack: str) -> Path:
    own = home / f"config.{stack}.json"
    return own if own.is_file() else home / f"config.{STRICT}.json"


def _configuration(config: Mapping[str, Mapping[str, Any]]) -> analyzer_pb2.ConfigureAnalyzerRequest:
    """The config file as the engine sends it."""
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for name in settings.SETTINGS:
        values = {key: value for key, value in config.get(name, {}).items() if key != "enforcementLevel"}
        level = _LEVELS[_level(config, name)]
        request.policyConfig[name].MergeFrom(analyzer_pb2.PolicyConfig(enforcementLevel=level))
        request.policyConfig[name].properties.CopyFrom(json_format.ParseDict(values, struct_pb2.Struct()))
    return request


def _level(config: Mapping[str, Mapping[str, Any]], name: str) -> str:
    default = "advisory" if name == "undecided" else "mandatory"
    return config.get(name, {}).get("enforcementLevel") or config.get("all", {}).get(
        "enforcementLevel", default
    )


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
