"""Runs a Pulumi program in process and keeps every registration whole: no engine, no cloud, no `lab`.

`preview` answers as an engine does before anything exists: ids and computed outputs are unknown.
`resolved` answers with plausible ids, ARNs and addresses, as after `pulumi up`.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pulumi
import yaml
from pulumi.runtime import config as engine_config
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime import stack as pulumi_stack
from pulumi.runtime._callbacks import _CallbackServicer
from pulumi.runtime.proto import resource_pb2

from components.base import Context

ROOT = Path(__file__).parents[2]
UNKNOWN = rpc.UNKNOWN
SECRET = rpc._special_sig_key
STACK = "pulumi:pulumi:Stack"
MODES: tuple[Literal["preview", "resolved"], ...] = ("preview", "resolved")

CTX = Context(
    project="slipway",
    stack="dev",
    account_id="111111111111",
    region="us-east-1",
    owner="platform@example.com",
    cost_center="platform",
)

# What AWS would compute, by type; {name} is the logical name.
OUTPUTS: dict[str, dict[str, Any]] = {
    "aws:acm/certificate:Certificate": {
        "domainValidationOptions": [
            {
                "domainName": "map.example.com",
                "resourceRecordName": "_x.map.example.com",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_y.acm.example.com",
            }
        ]
    },
    "aws:ec2/securityGroup:SecurityGroup": {},
    "aws:ecs/taskDefinition:TaskDefinition": {
        "arn": "arn:aws:ecs:us-east-1:111111111111:task-definition/{name}:1"
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "primaryEndpointAddress": "{name}.cache.example.com"
    },
    "aws:iam/role:Role": {"arn": "arn:aws:iam::111111111111:role/{name}"},
    "aws:ssm/parameter:Parameter": {"version": 1},
    "aws:kms/key:Key": {"keyId": "00000000-0000-4000-8000-000000000000"},
    "aws:lb/loadBalancer:LoadBalancer": {
        "dnsName": "{name}.elb.example.com",
        "zoneId": "Z35SXDOTRQ7X7K",
        "arnSuffix": "app/{name}/0123456789abcdef",
    },
    "aws:lb/targetGroup:TargetGroup": {"arnSuffix": "targetgroup/{name}/0123456789abcdef"},
    "aws:rds/instance:Instance": {
        "address": "{name}.rds.example.com",
        "masterUserSecrets": [{"secretArn": "arn:aws:secretsmanager:us-east-1:111111111111:secret:rds!db-x"}],
        "resourceId": "db-ABCDEFGHIJKLMNOP",
    },
    "aws:route53/record:Record": {"fqdn": "{name}.example.com"},
    "awsx:ecr:Image": {"imageUri": "111111111111.dkr.ecr.us-east-1.amazonaws.com/{name}"},
    "awsx:ecr:Repository": {"url": "111111111111.dkr.ecr.us-east-1.amazonaws.com/{name}"},
    "random:index/randomPassword:RandomPassword": {"result": "not-so-random"},
}


@dataclass(frozen=True)
class Registration:
    """One resource as the program asked for it; secrets unwrapped, their paths kept."""

    urn: str
    type: str
    name: str
    parent: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    request: resource_pb2.RegisterResourceRequest = field(repr=False)

    def depends(self, key: str) -> set[str]:
        """The URNs that an input comes from."""
        return set(self.request.propertyDependencies[key].urns)


@dataclass
class Program:
    """What a run registered."""

    resources: list[Registration]
    outputs: dict[str, dict[str, Any]]

    def of(self, type_: str) -> list[Registration]:
        """All registrations of a type, by its token or the end of it."""
        return [each for each in self.resources if each.type == type_ or each.type.endswith(f":{type_}")]

    def one(self, type_: str, name: str | None = None) -> Registration:
        """The only registration of a type (and name)."""
        found = [each for each in self.of(type_) if name in (None, each.name)]
        assert len(found) == 1, [each.urn for each in found] or f"no {type_} {name}"
        return found[0]

    @property
    def exports(self) -> dict[str, Any]:
        """What the stack exports."""
        return next((values for urn, values in self.outputs.items() if f"::{STACK}::" in urn), {})


def document(value: Any) -> dict[str, Any]:
    """A policy document, which must be JSON text and known: an object hangs the SDK, an unknown proves nothing."""
    assert isinstance(value, str), f"a document must be JSON text, not {type(value).__name__}"
    assert value != UNKNOWN, "the document is unknown at preview"
    return json.loads(value)


def run(
    program: Callable[[], object],
    *,
    stack: str = "dev",
    mode: Literal["preview", "resolved"] = "preview",
    config: Mapping[str, str] | None = None,
) -> Program:
    """Run the program on an event loop and in a context of its own, so that nothing leaks between tests."""
    monitor = _Capture(mode)

    def once() -> None:
        program()

    async def main() -> None:
        engine_config.set_all_config(dict(config or {}))
        settings.configure(
            settings.Settings(
                "slipway",
                stack,
                monitor=monitor,
                engine=mocks.MockEngine(None),
                dry_run=mode == "preview",
                organization="organization",
            )
        )
        await pulumi_stack.run_in_stack(once)

    contextvars.Context().run(asyncio.run, main())
    return Program(monitor.registrations, monitor.component_outputs)


def run_stack(stack: str, *, mode: Literal["preview", "resolved"] = "preview") -> Program:
    """Run `__main__.py` with the config of a stack file, as the engine hands it over."""
    return run(
        lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__"),
        stack=stack,
        mode=mode,
        config=engine_values(ROOT / f"Pulumi.{stack}.yaml"),
    )


def engine_values(path: Path) -> dict[str, str]:
    """A stack file's config as the engine passes it: objects as JSON text."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))["config"]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


class _Answers(mocks.Mocks):
    def __init__(self, mode: str) -> None:
        self.mode = mode

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Inputs echo; what the cloud computes is unknown at preview."""
        echo = {} if args.typ.startswith("awsx:") else dict(args.inputs)  # its outputs are other resources
        if self.mode == "preview":
            return "", echo
        template = json.dumps(OUTPUTS.get(args.typ, {})).replace("{name}", args.name)
        made = {"arn": f"arn:aws:mock:us-east-1:111111111111:{args.name}"} if args.custom else {}
        return f"{args.name}-id" if args.custom else "", {**made, **echo, **json.loads(template)}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        """No program may ask the cloud while it composes."""
        raise AssertionError(f"the program calls {args.token}, which needs a cloud")


class _Capture(mocks.MockMonitor):
    """The mock monitor with the engine's URNs, its refusal of duplicates, and its transforms."""

    def __init__(self, mode: str) -> None:
        super().__init__(_Answers(mode))
        self.registrations: list[Registration] = []
        self.component_outputs: dict[str, dict[str, Any]] = {}
        self._transforms: dict[str, list[Callable[[bytes], Any]]] = {}
        self._parents: dict[str, str] = {}

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """The whole chain of parent types, as the engine builds it."""
        chain = parent.split("::")[2] if parent else ""
        qualified = type_ if chain in ("", STACK) else f"{chain}${type_}"
        return f"urn:pulumi:{settings.get_stack()}::{settings.get_project()}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name of the RPC
        """Keep the request; a URN twice fails as it does in the engine."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if urn in self._parents:
            raise AssertionError(f"two resources have the URN {urn}")
        self._parents[urn] = request.parent
        self._transforms[urn] = _callbacks(request.transforms)
        mocks._ensure_event_loop()
        self._transform(urn, request)
        raw = rpc.deserialize_properties(request.object, keep_unknowns=True)
        secrets: set[str] = set()
        inputs = _plain(raw, secrets, "")
        self.registrations.append(
            Registration(urn, request.type, request.name, request.parent, inputs, frozenset(secrets), request)
        )
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the name of the RPC
        """Keep what a component says of itself."""
        mocks._ensure_event_loop()
        raw = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
        self.component_outputs[request.urn] = _plain(raw, set(), "")
        return super().RegisterResourceOutputs(request)

    def _transform(self, urn: str, request: Any) -> None:
        """Run the transforms of the resource and of its ancestors, innermost first, as the engine does."""
        owner = urn
        while owner:
            for callback in self._transforms.get(owner, []):
                asked = resource_pb2.TransformRequest(
                    custom=request.custom, type=request.type, name=request.name, properties=request.object
                )
                answer = mocks._sync_await(callback(asked.SerializeToString()))
                request.object.CopyFrom(answer.properties)
            owner = self._parents.get(owner, "")


def _callbacks(callbacks: Any) -> list[Callable[[bytes], Any]]:
    """The functions behind the callbacks of a request, in the SDK's own wire form."""
    known = {token: call for each in _CallbackServicer._servicers for token, call in each._callbacks.items()}
    return [known[callback.token] for callback in callbacks]


def _plain(value: Any, secrets: set[str], path: str) -> Any:
    if isinstance(value, dict):
        if SECRET in value:
            secrets.add(path)
            return _plain(value.get("value"), secrets, path)
        return {key: _plain(inner, secrets, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, secrets, f"{path}[{index}]") for index, inner in enumerate(value)]
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    return value
