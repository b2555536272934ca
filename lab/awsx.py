"""The children that the real awsx provider registers for its ECR components, unseen by Pulumi's mocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pulumi.runtime.proto import resource_pb2

from lab import wire
from lab.errors import LabError
from lab.model import UNKNOWN, Resource

REPOSITORY: Final = "awsx:ecr:Repository"
IMAGE: Final = "awsx:ecr:Image"
EXPANDED: Final = frozenset((REPOSITORY, IMAGE))
_REPOSITORY_ARGS: Final = (
    "encryptionConfigurations",
    "forceDelete",
    "imageScanningConfiguration",
    "imageTagMutability",
    "imageTagMutabilityExclusionFilters",
    "name",
    "region",
    "tags",
)


@dataclass(frozen=True)
class Child:
    """One resource that a component registers; `links` are inputs taken from an elder sibling's output."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    dependencies: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    links: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    def request(
        self, component: Resource, elders: Sequence[Resource]
    ) -> resource_pb2.RegisterResourceRequest:
        """The registration as the provider would send it."""
        inputs = dict(self.inputs)
        urns = {key: list(value) for key, value in self.dependencies.items()}
        for key, (index, output) in self.links.items():
            elder = elders[index]
            inputs[key] = elder.outputs.get(output, UNKNOWN) if output != "id" else elder.id
            urns[key] = [elder.urn]
        request = resource_pb2.RegisterResourceRequest(
            type=self.type,
            name=self.name,
            parent=component.urn,
            custom=True,
            object=wire.encode(inputs),
            protect=component.protect,
            retainOnDelete=component.retain_on_delete,
            dependencies=sorted({urn for each in urns.values() for urn in each}),
            provider=_provider(component, self.type),
        )
        for key, value in urns.items():
            request.propertyDependencies[key].urns.extend(value)
        return request


def children(component: Resource) -> list[Child]:
    """What the component registers, in order."""
    return _repository(component) if component.type == REPOSITORY else _image(component)


def outputs(component: Resource, made: Sequence[Resource]) -> dict[str, Any]:
    """The component's own outputs: all are made of its first child, which is what their users depend on."""
    first = made[0]
    if component.type == REPOSITORY:
        return {"url": first.outputs.get("repositoryUrl", UNKNOWN)}
    return {"imageUri": first.outputs.get("ref", UNKNOWN)}


def _repository(component: Resource) -> list[Child]:
    given = component.inputs
    inputs = {key: given[key] for key in _REPOSITORY_ARGS if key in given}
    dependencies = {
        key: component.property_dependencies[key] for key in inputs if key in component.property_dependencies
    }
    repository = Child("aws:ecr/repository:Repository", component.name, inputs, dependencies)
    policy = cast("Mapping[str, Any]", given.get("lifecyclePolicy") or {})
    if policy.get("skip"):
        return [repository]
    rules = cast("list[Mapping[str, Any]]", policy.get("rules") or [_UNTAGGED])
    lifecycle = Child(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        component.name,
        {"policy": _lifecycle(rules)},
        links={"repository": (0, "id")},
    )
    return [repository, lifecycle]


_UNTAGGED: Final[Mapping[str, Any]] = {
    "description": "remove untagged images",
    "maximumNumberOfImages": 1,
    "tagStatus": "untagged",
}


def _lifecycle(rules: Sequence[Mapping[str, Any]]) -> str:
    # a rule for any tag comes last: ECR wants it to have the highest priority number
    ordered = sorted(rules, key=lambda rule: rule.get("tagStatus") == "any")
    document = [_rule(rule, priority) for priority, rule in enumerate(ordered, start=1)]
    return json.dumps({"rules": document}, separators=(",", ":"), sort_keys=True)


def _rule(rule: Mapping[str, Any], priority: int) -> dict[str, Any]:
    selection: dict[str, Any] = {"tagStatus": rule.get("tagStatus", "untagged")}
    if rule.get("tagPrefixList"):
        selection["tagPrefixList"] = rule["tagPrefixList"]
    if rule.get("maximumNumberOfImages") is not None:
        selection |= {"countType": "imageCountMoreThan", "countNumber": rule["maximumNumberOfImages"]}
    elif rule.get("maximumAgeLimit") is not None:
        selection |= {
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": rule["maximumAgeLimit"],
        }
    return {
        "rulePriority": priority,
        "description": rule.get("description", ""),
        "selection": selection,
        "action": {"type": "expire"},
    }


def _image(component: Resource) -> list[Child]:
    given = component.inputs
    url = given.get("repositoryUrl", UNKNOWN)
    tag = given.get("imageTag") or hashlib.sha256(component.urn.encode()).hexdigest()[:16]
    if tag is UNKNOWN:
        raise LabError(
            f"the image {component.name!r} has a tag that is not known before it is built",
            cause="the docker-build resource is named after the tag, so the real provider fails as well",
            hint="compute the tag from the build context",
            code="image-tag-unknown",
        )
    reference = UNKNOWN if url is UNKNOWN else f"{url}:{tag}"
    registry = UNKNOWN if url is UNKNOWN else f"https://{str(url).split('/')[0]}"
    inputs: dict[str, Any] = {
        "buildOnPreview": True,
        "cacheFrom": [{"registry": {"ref": source}} for source in given.get("cacheFrom") or [reference]],
        "cacheTo": [{"inline": {}}],
        "context": {"location": given.get("context") or "."},
        "dockerfile": {"location": given["dockerfile"]} if given.get("dockerfile") else {},
        "network": "default",
        "platforms": [given.get("platform") or "linux/amd64"],
        "push": True,
        "registries": [{"address": registry, "password": UNKNOWN, "username": UNKNOWN}],
        "tags": [reference],
    }
    if given.get("args"):
        inputs["buildArgs"] = given["args"]
    if given.get("target"):
        inputs["target"] = given["target"]
    # the real provider hands resolved values down, so the build names no dependency of its own
    return [Child("docker-build:index:Image", str(given.get("imageName") or tag), inputs)]


def _provider(component: Resource, type_: str) -> str:
    """The provider handed to the component, when it is of the child's package."""
    package = type_.split(":", maxsplit=1)[0]
    raw = component.raw
    if raw is not None and package in raw.providers:
        return str(raw.providers[package])
    return component.provider if f"pulumi:providers:{package}::" in component.provider else ""
