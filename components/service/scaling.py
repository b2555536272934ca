"""Target tracking for a service: CPU, requests per task, and the app's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from apps.contracts.metrics import DIMENSIONS

if TYPE_CHECKING:
    import pulumi

    from components.base import Component
    from components.service.config import MetricTarget, ServiceConfig

_DIMENSION = "ecs:service:DesiredCount"
_Tracking = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs
_Predefined = (
    aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs
)
_Custom = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationArgs
_CustomDimension = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationCustomizedMetricSpecificationDimensionArgs  # noqa: E501 - the SDK's name


def scale(
    owner: Component,
    config: ServiceConfig,
    *,
    cluster_name: str,
    service_name: str,
    service: aws.ecs.Service,
    resource_label: pulumi.Input[str] | None,
) -> None:
    """Several policies together: the largest number of tasks that any of them asks for wins.

    https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
    """
    name = owner.name
    target = aws.appautoscaling.Target(
        name,
        service_namespace="ecs",
        scalable_dimension=_DIMENSION,
        resource_id=f"service/{cluster_name}/{service_name}",
        min_capacity=config.min_tasks,
        max_capacity=config.max_tasks,
        tags=owner.tagged(service_name),
        opts=owner.child(depends_on=[service]),
    )
    if config.cpu_percent is not None:
        metric = _Predefined(predefined_metric_type="ECSServiceAverageCPUUtilization")
        _track(owner, config, target, "cpu", config.cpu_percent, predefined=metric)
    if config.requests_per_minute is not None and resource_label is not None:
        metric = _Predefined(predefined_metric_type="ALBRequestCountPerTarget", resource_label=resource_label)
        _track(owner, config, target, "requests", config.requests_per_minute, predefined=metric)
    for each in config.metrics:
        _track(owner, config, target, each.name.lower(), each.target, custom=_custom(owner, each))


def _custom(owner: Component, metric: MetricTarget) -> _Custom:
    return _Custom(
        namespace=metric.namespace,
        metric_name=metric.name,
        statistic=metric.statistic,
        dimensions=[
            _CustomDimension(name=name, value=value)
            for name, value in zip(DIMENSIONS, (owner.ctx.stack, owner.name), strict=True)
        ],
    )


def _track(
    owner: Component,
    config: ServiceConfig,
    target: aws.appautoscaling.Target,
    reason: str,
    value: float,
    *,
    predefined: _Predefined | None = None,
    custom: _Custom | None = None,
) -> None:
    aws.appautoscaling.Policy(
        f"{owner.name}-{reason}",
        name=owner.ctx.name(owner.name, reason, limit=255),
        policy_type="TargetTrackingScaling",
        service_namespace="ecs",
        scalable_dimension=_DIMENSION,
        resource_id=target.resource_id,
        target_tracking_scaling_policy_configuration=_Tracking(
            target_value=float(value),
            scale_out_cooldown=config.scale_out_cooldown_seconds,
            scale_in_cooldown=config.scale_in_cooldown_seconds,
            predefined_metric_specification=predefined,
            customized_metric_specification=custom,
        ),
        opts=owner.child(),
    )
