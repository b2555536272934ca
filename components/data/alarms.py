"""The stack's alarm topic, and metric alarms that report to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pulumi_aws as aws

from components.base import Component
from components.data.documents import allow_service, deny_insecure_transport, resource_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from components.base import Context
    from components.data.config import AlarmsConfig
    from components.key import Key

_PERCENTILE = re.compile(r"^p\d{1,2}(\.\d+)?$")
Comparison = Literal["above", "below"]
_OPERATORS: Mapping[Comparison, str] = {
    "above": "GreaterThanThreshold",
    "below": "LessThanThreshold",
}


class AlarmTopic(Component):
    """One encrypted SNS topic; CloudWatch alarms of this account publish to it, and nobody without TLS."""

    def __init__(
        self,
        name: str,
        config: AlarmsConfig,
        *,
        ctx: Context,
        key: Key,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`key` must let CloudWatch use it: an alarm that cannot encrypt its message is lost."""
        super().__init__("data:AlarmTopic", name, ctx, tier="data", opts=opts)
        topic_name = ctx.name(name)
        self.arn = ctx.arn("sns", topic_name)
        self.topic = aws.sns.Topic(
            name,
            name=topic_name,
            kms_master_key_id=key.arn,
            tags=self.tagged(topic_name),
            opts=self.child(),
        )
        aws.sns.TopicPolicy(
            name,
            arn=self.topic.arn,
            policy=resource_policy(
                deny_insecure_transport("sns:Publish", self.arn),
                allow_service(
                    "AlarmsOfThisAccount",
                    "cloudwatch.amazonaws.com",
                    ["sns:Publish"],
                    [self.arn],
                    {"StringEquals": {"aws:SourceAccount": ctx.account_id}},
                ),
            ),
            opts=self.child(),
        )
        for email in config.emails:
            aws.sns.TopicSubscription(
                f"{name}-{email}",
                topic=self.topic.arn,
                protocol="email",
                endpoint=email,
                opts=self.child(),
            )
        self.register_outputs({"arn": self.arn})

    def alarm(
        self,
        owner: Component,
        name: str,
        description: str,
        *,
        metric: tuple[str, str],
        dimensions: Mapping[str, pulumi.Input[str]],
        threshold: float,
        comparison: Comparison = "above",
        statistic: str = "Average",
        period_seconds: int = 300,
        periods: int = 3,
        missing: Literal["missing", "notBreaching", "breaching", "ignore"] = "missing",
    ) -> aws.cloudwatch.MetricAlarm:
        """An alarm of `owner` on (namespace, metric): three five-minute periods in a row, no single spike.

        `statistic` is Average, Maximum, Minimum, Sum, or a percentile such as p99.
        """
        percentile = _PERCENTILE.match(statistic) is not None
        alarm_name = owner.ctx.name(name)
        namespace, metric_name = metric
        return aws.cloudwatch.MetricAlarm(
            name,
            name=alarm_name,
            alarm_description=description,
            namespace=namespace,
            metric_name=metric_name,
            dimensions=dict(dimensions),
            statistic=None if percentile else statistic,
            extended_statistic=statistic if percentile else None,
            period=period_seconds,
            evaluation_periods=periods,
            threshold=threshold,
            comparison_operator=_OPERATORS[comparison],
            treat_missing_data=missing,
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=owner.tagged(alarm_name),
            opts=owner.child(),
        )
