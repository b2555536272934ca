"""A tiny Pulumi program through mocks into pulumi-policy's own analyzer; nothing of the lab is used."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pulumi.runtime import mocks
from pulumi.runtime import stack as runtime_stack
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies import pack
from policies.control import Finding, Outcome
from policies.waivers import Ledger, Waiver


class _Echo(mocks.Mocks):
    """Preview: a new resource has its inputs and no id yet."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return "", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        return {}, None


class _Recorder(mocks.MockMonitor):
    """Keeps every request beside its URN."""

    def __init__(self) -> None:
        super().__init__(_Echo())
        self.requests: list[tuple[str, Any]] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        response = super().RegisterResource(request)
        self.requests.append((response.urn, request))
        return response


@dataclass(frozen=True)
class Judged:
    """What the analyzer and the ledger say of a program."""

    findings: list[Finding]
    diagnostics: list[Any]

    def of(self, control: str, outcome: str) -> list[str]:
        """The names of the resources with this outcome of a control."""
        wanted = Outcome(outcome)
        return sorted(
            each.urn.rpartition("::")[2]
            for each in self.findings
            if each.control.id == control and each.outcome is wanted
        )

    def one(self, control: str, name: str = "") -> Finding:
        """The finding of a control for a resource."""
        found = [
            each
            for each in self.findings
            if each.control.id == control and each.urn.rpartition("::")[2] == name
        ]
        assert len(found) == 1, f"{control} {name}: {found}"
        return found[0]

    def blocking(self, control: str) -> list[str]:
        """The mandatory diagnostics of the analyzer that speak of a control."""
        return [
            each.message
            for each in self.diagnostics
            if control in each.message and each.enforcementLevel == analyzer_pb2.MANDATORY
        ]


def judge(
    program: Callable[[], object],
    *,
    settings: dict[str, dict[str, Any]] | None = None,
    waivers: list[Waiver] | None = None,
    today: dt.date | None = None,
    computed: dict[str, list[str]] | None = None,
) -> Judged:
    """Run the program at preview and judge it by the whole pack.

    `computed` names, by type, outputs that the provider will compute: a real preview shows them as unknown.
    """
    recorder = _Recorder()

    async def main() -> None:
        mocks.set_mocks(recorder.mocks, project="p", stack="test", preview=True, monitor=recorder)

        def run() -> None:
            program()

        await runtime_stack.run_pulumi_func(run)

    contextvars.Context().run(asyncio.run, main())
    ledger = Ledger(waivers or [])
    if today is not None:
        ledger.today = today
    policies = list(pack.build(ledger).policies)
    servicer: Any = _PolicyAnalyzerServicer("slipway", "0.0.1", policies, EnforcementLevel.MANDATORY)
    servicer.Configure(_configuration(settings or {}), None)
    return Judged(_analyze(servicer, recorder, ledger, computed), _run(servicer, recorder, computed))


def _configuration(settings: dict[str, dict[str, Any]]) -> Any:
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for name, values in settings.items():
        request.policyConfig[name].MergeFrom(
            analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.MANDATORY)
        )
        request.policyConfig[name].properties.update(values)
    return request


def _requests(recorder: _Recorder) -> list[tuple[str, Any]]:
    return [(urn, request) for urn, request in recorder.requests if request.type != "pulumi:pulumi:Stack"]


def _run(servicer: Any, recorder: _Recorder, computed: dict[str, list[str]] | None) -> list[Any]:
    found: list[Any] = []
    stack = analyzer_pb2.AnalyzeStackRequest()
    for urn, request in _requests(recorder):
        one = analyzer_pb2.AnalyzeRequest(type=request.type, urn=urn, name=request.name)
        one.properties.CopyFrom(request.object)
        one.options.SetInParent()
        found.extend(servicer.Analyze(one, None).diagnostics)
        each = stack.resources.add(type=request.type, urn=urn, name=request.name, parent=request.parent)
        each.properties.CopyFrom(request.object)
        each.options.SetInParent()
        for output in (computed or {}).get(request.type, []):
            if output not in each.properties:
                each.properties[output] = UNKNOWN_STRING_VALUE
        for key, value in request.propertyDependencies.items():
            each.propertyDependencies[key].urns.extend(value.urns)
    return [*found, *servicer.AnalyzeStack(stack, None).diagnostics]


def _analyze(
    servicer: Any, recorder: _Recorder, ledger: Ledger, computed: dict[str, list[str]] | None
) -> list[Finding]:
    """A first run; the diagnostics are those of a second one, as `pulumi up` makes."""
    _run(servicer, recorder, computed)
    return ledger.findings()
