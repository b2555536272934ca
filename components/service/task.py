"""A task definition with its roles and logs: what a service and a one-off task have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components import contract
from components.links import Link, merge, trust_policy
from components.names import LIMITS
from components.service import iam
from components.service.container import TMP_VOLUME, container_definitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_settings import BaseSettings

    from components.base import Component
    from components.key import Key
    from components.service.config import ServiceConfig
    from components.service.image import Image


@dataclass(frozen=True, kw_only=True)
class Task:
    """The registered task definition, the literals that name its parts, and what it waits for."""

    definition: aws.ecs.TaskDefinition
    family: str
    family_arn: str
    log_group_name: str
    task_role_arn: str
    execution_role_arn: str
    link: Link
    depends_on: tuple[pulumi.Resource, ...]


def make_task(
    owner: Component,
    config: ServiceConfig,
    *,
    image: Image,
    key: Key,
    settings: type[BaseSettings],
    command: Sequence[str],
    links: Sequence[Link],
    environment: Mapping[str, str],
    stop_timeout: int,
    listens: bool,
) -> Task:
    """Check the app contract, then make log group, roles and task definition.

    A task definition is at most 64 KB (ECS quota); a changed one is a new revision and the old one stays
    usable until the service has settled on the new one, so that a rollback has somewhere to go.
    """
    ctx, name = owner.ctx, owner.name
    own = Link(name=f"{name}'s own", environment=environment)
    link = merge([*links, own], service=name)
    contract.check(settings, service=name, literals=link.environment, secrets=link.secrets)
    family = ctx.name(name, limit=LIMITS["family"])
    log_group_name = ctx.log_group_name(owner.tier, name)
    logs = aws.cloudwatch.LogGroup(
        name,
        name=log_group_name,
        retention_in_days=config.log_retention_days,
        kms_key_id=key.arn,
        tags=owner.tagged(log_group_name),
        opts=owner.child(depends_on=[key]),
    )
    trust = trust_policy(ctx, "ecs-tasks.amazonaws.com", ctx.arn("ecs", "*"))
    execution, execution_policies = iam.make_role(
        owner,
        name,
        "execution",
        trust_policy=trust,
        statements=iam.execution_statements(ctx, image, link, ctx.log_group_arn(log_group_name)),
    )
    task_role, task_policies = iam.make_role(
        owner, name, "task", trust_policy=trust, statements=link.statements
    )
    definition = aws.ecs.TaskDefinition(
        name,
        family=family,
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu=str(config.cpu),
        memory=str(config.memory),
        runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
            cpu_architecture=config.architecture, operating_system_family="LINUX"
        ),
        execution_role_arn=execution.arn,
        task_role_arn=task_role.arn,
        volumes=[aws.ecs.TaskDefinitionVolumeArgs(name=TMP_VOLUME)],
        container_definitions=container_definitions(
            name=name,
            image=image.uri,
            command=command,
            environment=link.environment,
            secrets=link.secrets,
            log_group=log_group_name,
            region=ctx.region,
            stop_timeout=stop_timeout,
            listens=listens,
        ),
        tags=owner.tagged(family),
        opts=owner.child(depends_on=[logs, *image.depends_on]),
    )
    return Task(
        definition=definition,
        family=family,
        family_arn=ctx.arn("ecs", f"task-definition/{family}"),
        log_group_name=log_group_name,
        task_role_arn=ctx.role_arn(iam.role_name_of(ctx, name, "task")),
        execution_role_arn=ctx.role_arn(iam.role_name_of(ctx, name, "execution")),
        link=link,
        depends_on=(*execution_policies, *task_policies, *link.depends_on),
    )
