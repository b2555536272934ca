"""OneOffTask: an ECS task that every deployment runs to its end before anything that depends on it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from components.base import Component
from components.links import Statement, trust_policy
from components.names import LIMITS
from components.service import iam, security
from components.service.task import make_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_settings import BaseSettings

    from components.base import Context
    from components.key import Key
    from components.links import Link
    from components.network.component import Network
    from components.service.cluster import Cluster
    from components.service.config import ServiceConfig
    from components.service.image import Image

_LAMBDA_LIMIT = 900  # Lambda: a function runs at most 900 s
_SLACK = 60  # for the stop call and a cold start, between the task's time and Lambda's
_STOP_TIMEOUT = 30


class OneOffTask(Component):
    """A task definition, a small Lambda that runs it and waits, and one invocation per revision.

    Pulumi itself can't wait for a task, and a container can't be a resource; an invocation that fails
    fails the update, so a service that `depends_on` `done` never rolls onto a half-migrated database.
    """

    def __init__(
        self,
        name: str,
        config: ServiceConfig,
        *,
        ctx: Context,
        tier: str,
        network: Network,
        cluster: Cluster,
        image: Image,
        key: Key,
        settings: type[BaseSettings],
        command: Sequence[str],
        links: Sequence[Link] = (),
        environment: Mapping[str, str] | None = None,
        timeout_seconds: int = 780,
        depends_on: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`config` gives the task's size; its numbers of tasks have no meaning here."""
        if not 1 <= timeout_seconds <= _LAMBDA_LIMIT - _SLACK:
            raise ValueError(
                f"one-off task {name}: timeout_seconds {timeout_seconds} is outside 1 to "
                f"{_LAMBDA_LIMIT - _SLACK}, because the Lambda that waits for it ends after {_LAMBDA_LIMIT} s"
            )
        super().__init__("oneoff:OneOffTask", name, ctx, tier=tier, opts=opts)
        self.timeout_seconds = timeout_seconds
        self.task = make_task(
            self,
            config,
            image=image,
            key=key,
            settings=settings,
            command=command,
            links=links,
            environment={"STACK": ctx.stack, "SERVICE": name, **(environment or {})},
            stop_timeout=_STOP_TIMEOUT,
            listens=False,
        )
        self.task_definition = self.task.definition
        self.log_group_name = self.task.log_group_name
        group = security.make_group(self, network, self.task.link.ingress)
        self.security_group_id = group.id
        self.function = self._runner(cluster, key)
        self.done = aws.lambda_.Invocation(
            name,
            function_name=self.function.name,
            input=pulumi.Output.json_dumps(
                {
                    "cluster": cluster.arn,
                    "taskDefinition": self.task_definition.arn,
                    "subnets": network.private_subnet_ids,
                    "securityGroups": [group.id],
                    "timeoutSeconds": timeout_seconds,
                    "logGroup": self.log_group_name,
                }
            ),
            triggers=self._triggers(),
            opts=self.child(depends_on=[network, cluster, *self.task.depends_on, *depends_on]),
        )
        self.register_outputs(
            {"taskDefinition": self.task_definition.arn, "logGroupName": self.log_group_name}
        )

    def _triggers(self) -> dict[str, pulumi.Input[str]]:
        """What makes it run again: a revision of the task, or a new value of a parameter that it reads.

        A task reads parameters when it starts, so a changed password alone would never reach it.
        """
        triggers: dict[str, pulumi.Input[str]] = {"taskDefinition": self.task_definition.arn}
        for each in self.task.link.depends_on:
            if isinstance(each, aws.ssm.Parameter):
                triggers[each.pulumi_resource_name] = each.version.apply(str)
        return triggers

    def _runner(self, cluster: Cluster, key: Key) -> aws.lambda_.Function:
        """The Lambda with its log group and a role that may run this one task in this one cluster."""
        ctx, logical = self.ctx, f"{self.name}-runner"
        function_name = ctx.name("run-task", self.name, limit=LIMITS["function"])
        log_group_name = ctx.log_group_name(self.tier, logical)
        logs = aws.cloudwatch.LogGroup(
            logical,
            name=log_group_name,
            retention_in_days=30,
            kms_key_id=key.arn,
            tags=self.tagged(log_group_name),
            opts=self.child(depends_on=[key]),
        )
        role, policies = iam.make_role(
            self,
            logical,
            "lambda",
            # Lambda documents no aws:SourceArn for execution roles; PassRole decides which function has it
            trust_policy=trust_policy(ctx, "lambda.amazonaws.com"),
            statements=self._statements(cluster, ctx.log_group_arn(log_group_name)),
        )
        handler = Path(__file__).with_name("handler.py")
        return aws.lambda_.Function(
            logical,
            name=function_name,
            description=f"runs {self.task.family} to its end at each deployment",
            role=role.arn,
            runtime="python3.13",
            architectures=["arm64"],
            handler="handler.run",
            code=pulumi.AssetArchive({"handler.py": pulumi.FileAsset(str(handler))}),
            timeout=self.timeout_seconds + _SLACK,
            memory_size=128,
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=log_group_name),
            tags=self.tagged(function_name),
            opts=self.child(depends_on=[logs, *policies]),
        )

    def _statements(self, cluster: Cluster, log_group_arn: str) -> list[Statement]:
        ctx, task = self.ctx, self.task
        in_cluster = {"ArnEquals": {"ecs:cluster": cluster.arn}}
        tasks = ctx.arn("ecs", f"task/{cluster.cluster_name}/*")
        return [
            Statement(
                sid="RunThisTask",
                actions=("ecs:RunTask",),
                resources=(f"{task.family_arn}:*",),
                conditions=in_cluster,
            ),
            Statement(
                sid="WatchItsTasks",
                actions=("ecs:DescribeTasks", "ecs:StopTask"),
                resources=(tasks,),
                conditions=in_cluster,
            ),
            Statement(
                sid="TagAtStart",
                actions=("ecs:TagResource",),
                resources=(tasks,),
                conditions={"StringEquals": {"ecs:CreateAction": "RunTask"}},
            ),
            Statement(
                sid="HandOverRoles",
                actions=("iam:PassRole",),
                resources=(task.task_role_arn, task.execution_role_arn),
                conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
            Statement(
                sid="WriteLogs",
                actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                resources=(f"{log_group_arn}:*",),
            ),
        ]
