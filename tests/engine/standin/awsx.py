"""The awsx components, by the lab's own expansion, which tests/lab compares with the real provider's."""

from __future__ import annotations

from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import resource_pb2, resource_pb2_grpc

from lab import awsx, wire
from lab.model import Resource


def construct(request: Any) -> pb.ConstructResponse:
    """Register the component and its children with the engine that asked."""
    with grpc.insecure_channel(request.monitorEndpoint) as channel:
        return _construct(request, resource_pb2_grpc.ResourceMonitorStub(channel))


def _construct(request: Any, monitor: Any) -> pb.ConstructResponse:
    head = resource_pb2.RegisterResourceRequest(
        type=request.type,
        name=request.name,
        parent=request.parent,
        protect=request.protect,
        retainOnDelete=request.retainOnDelete,
        dependencies=request.dependencies,
        providers=request.providers,
        acceptSecrets=True,
    )
    urn = monitor.RegisterResource(head).urn
    inputs, _ = wire.decode(request.inputs)
    component = Resource(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=False,
        inputs=inputs,
        property_dependencies={key: tuple(each.urns) for key, each in request.inputDependencies.items()},
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        raw=head,
    )
    made: list[Resource] = []
    for child in awsx.children(component):
        made.append(_register(child.request(component, made), monitor))
    outputs = wire.encode(awsx.outputs(component, made))
    monitor.RegisterResourceOutputs(resource_pb2.RegisterResourceOutputsRequest(urn=urn, outputs=outputs))
    urns = [urn, made[0].urn]
    dependencies = {key: pb.ConstructResponse.PropertyDependencies(urns=urns) for key in outputs.fields}
    return pb.ConstructResponse(urn=urn, state=outputs, stateDependencies=dependencies)


def _register(request: Any, monitor: Any) -> Resource:
    request.acceptSecrets = True
    registries = request.object.fields.get("registries")
    if registries is not None:  # the login that the real one asks ECR for
        for each in registries.list_value.values:
            each.struct_value.fields["username"].string_value = "AWS"
            each.struct_value.fields["password"].CopyFrom(wire.secret("no password"))
    answer = monitor.RegisterResource(request)
    outputs, _ = wire.decode(answer.object)
    return Resource(
        urn=answer.urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=True,
        inputs={},
        id=answer.id or wire.UNKNOWN,
        outputs=outputs,
    )
