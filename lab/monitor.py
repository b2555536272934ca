"""The engine's side of a program run in process: keeps every registration whole, has each one answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from google.protobuf import empty_pb2
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from lab import awsx, calls, wire
from lab.errors import LabError
from lab.model import STACK_TYPE, UNKNOWN, Graph, Mode, Resource, Unknown


@dataclass(frozen=True)
class Created:
    """The answer to one registration: the id, and outputs over and above the inputs."""

    id: str | Unknown
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Creator(Protocol):
    """Makes what a registration asks for. Called on worker threads, dependencies first, several at once."""

    def create(self, resource: Resource) -> Created:
        """Make `resource` (its inputs are resolved) and say what came of it."""
        ...


class PreviewCreator:
    """Answers as an engine does at preview: the inputs are known, what the cloud computes is not."""

    instant = True  # needs no worker thread

    def create(self, resource: Resource) -> Created:  # noqa: ARG002  the protocol's name
        """Nothing is made."""
        return Created(UNKNOWN)


class Monitor(mocks.MockMonitor):
    """Pulumi's mock monitor, keeping each raw request and answering it through a `Creator`."""

    def __init__(self, creator: Creator, *, project: str, stack: str, mode: Mode) -> None:
        super().__init__(_NoMocks())
        self.creator = creator
        self.project = project
        self.stack = stack
        self.mode: Mode = mode
        self.account = calls.Account()
        self._lock = threading.Lock()
        self._done: dict[str, Resource] = {}
        self._claimed: set[str] = set()
        self._component_outputs: dict[str, tuple[dict[str, Any], frozenset[tuple[str, ...]]]] = {}

    def graph(self) -> Graph:
        """What was registered so far, components with the outputs that they registered."""
        with self._lock:
            stack_urn = self.urn("", STACK_TYPE, f"{self.project}-{self.stack}")
            outputs, secrets = self._component_outputs.get(stack_urn, ({}, frozenset[tuple[str, ...]]()))
            resources = tuple(self._with_outputs(resource) for resource in self._done.values())
            return Graph(self.project, self.stack, self.mode, resources, outputs, secrets)

    def urn(self, parent: str, type_: str, name: str) -> str:
        """The URN as the real engine builds it: the whole chain of parent types, the stack's left out."""
        chain = parent.split("::")[2] if parent else ""
        qualified = f"{chain}${type_}" if chain and chain != STACK_TYPE else type_
        return f"urn:pulumi:{self.stack}::{self.project}::{qualified}::{name}"

    # --- Pulumi's interface: the names and arguments are its own

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """Keep the request and answer it."""
        urn = self.urn(request.parent, request.type, request.name)
        self._claim(urn, request)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        resource = _resource(urn, request)
        self._note_account(resource)
        if resource.type in awsx.EXPANDED:
            return self._expand(resource)
        return self._answer(resource)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Keep what a component, or the stack, says of itself."""
        with self._lock:
            self._component_outputs[request.urn] = wire.decode(request.outputs)
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """Refuse: what exists elsewhere cannot be read without a cloud."""
        raise LabError(
            f"the program reads {request.type} {request.name!r} from the cloud",
            cause="a stack is composed here without a cloud, an account or credentials",
            hint="give its id or ARN as configuration of the stack",
            code="cloud-read",
        )

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """Answer a function call of the program without a cloud, or say that it needs one."""
        args, _ = wire.decode(request.args)
        answer = calls.answer(request.tok, self.account, args)
        if answer is None:
            raise LabError(
                f"the program calls {request.tok}, which needs the cloud",
                cause="a stack is composed here without a cloud, an account or credentials",
                hint="compute the value, or make it configuration of the stack",
                code="cloud-call",
            )
        response = resource_pb2.ResourceInvokeResponse()
        getattr(response, "return").CopyFrom(wire.encode(answer))  # the field's name is a keyword
        return response

    # --- answering

    def _claim(self, urn: str, request: Any) -> None:
        with self._lock:
            if urn in self._claimed:
                raise LabError(
                    f"two resources have the URN {urn}",
                    cause=f"a second {request.type} is named {request.name!r} under the same parent",
                    hint="give one of them another name",
                    code="duplicate-urn",
                )
            self._claimed.add(urn)

    def _answer(self, resource: Resource) -> resource_pb2.RegisterResourceResponse:
        created = self.creator.create(resource) if resource.custom else Created("")
        done, response = _respond(resource, created)
        with self._lock:
            self._done[done.urn] = done
        return response

    def _expand(self, resource: Resource) -> resource_pb2.RegisterResourceResponse:
        """Register the children that the remote component registers, then answer with its outputs."""
        made: list[Resource] = []
        with self._lock:
            self._done[resource.urn] = replace(resource, id="")
        for child in awsx.children(resource):
            request = child.request(resource, made)
            urn = self.urn(resource.urn, child.type, child.name)
            self._claim(urn, request)
            self._answer(_resource(urn, request))
            made.append(self._done[urn])
        outputs = awsx.outputs(resource, made)
        done, response = _respond(resource, Created("", outputs))
        with self._lock:
            self._done[resource.urn] = done
        for key in outputs:
            response.propertyDependencies[key].urns.extend((resource.urn, made[0].urn))
        return response

    def _with_outputs(self, resource: Resource) -> Resource:
        registered = self._component_outputs.get(resource.urn)
        if registered is None:
            return resource
        outputs, secrets = registered
        merged = {**resource.outputs, **outputs}
        return replace(resource, outputs=merged, secret_paths=resource.secret_paths | secrets)

    def _note_account(self, resource: Resource) -> None:
        if resource.type != "pulumi:providers:aws":
            return
        region = resource.inputs.get("region")
        accounts = str(resource.inputs.get("allowedAccountIds"))
        # a provider's inputs are strings on the wire: the list arrives as JSON text
        ids = [part for part in accounts.replace('"', "'").split("'") if part.isdigit()]
        self.account = calls.Account(
            account_id=ids[0] if ids else self.account.account_id,
            region=region if isinstance(region, str) else self.account.region,
        )


class _NoMocks(mocks.Mocks):
    """The base class wants mocks; every request is answered before it would ask them."""

    def call(self, args: Any) -> Any:
        raise NotImplementedError(args.token)

    def new_resource(self, args: Any) -> Any:
        raise NotImplementedError(args.typ)


def _resource(urn: str, request: Any) -> Resource:
    inputs, secrets = wire.decode(request.object)
    return Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=inputs,
        secret_paths=secrets,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            key: tuple(sorted(value.urns)) for key, value in sorted(request.propertyDependencies.items())
        },
        provider=request.provider,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        aliases=tuple(_alias(alias) for alias in request.aliases),
        raw=request,
    )


def _alias(alias: Any) -> str:
    if alias.urn:
        return str(alias.urn)
    spec = alias.spec
    return spec.name or spec.parentUrn or ("parent:none" if spec.noParent else "")


def _respond(resource: Resource, created: Created) -> tuple[Resource, resource_pb2.RegisterResourceResponse]:
    """The resource with its outputs, and the same as an answer on the wire, secrets in their envelopes."""
    known_id = "" if isinstance(created.id, Unknown) else created.id
    response = resource_pb2.RegisterResourceResponse(urn=resource.urn, id=known_id)
    raw = cast("resource_pb2.RegisterResourceRequest", resource.raw)
    if raw.custom:
        response.object.CopyFrom(raw.object)
    hidden = set(raw.additionalSecretOutputs)
    secrets = set(resource.secret_paths)
    for key, value in created.outputs.items():
        if key in resource.inputs and value == resource.inputs[key]:
            continue  # the input's own wire value may carry an envelope
        wrap = key in hidden or any(path[0] == key for path in resource.secret_paths)
        wired = wire.secret(value) if wrap else wire.value(value)
        response.object.fields[key].CopyFrom(wired)
        if wrap:
            secrets.add((key,))
    outputs = {**(resource.inputs if resource.custom else {}), **created.outputs}
    done = replace(resource, id=created.id, outputs=outputs, secret_paths=frozenset(secrets))
    return done, response
