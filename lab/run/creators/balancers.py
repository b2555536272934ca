"""Load balancers, listeners, rules and target groups: the routes of the local front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Resource
from lab.run import rules
from lab.run.front import TargetGroup
from lab.run.world import NotRun, World

Outputs = Mapping[str, Any]


def load_balancer(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """Its idle timeout is the front's; its DNS name stays what AWS would give."""
    world.routes.idle_seconds = float(resource.inputs.get("idleTimeout", 60))
    return computed


def target_group(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """Who may answer comes with the services; stickiness is the group's own."""
    stickiness: Mapping[str, Any] = resource.inputs.get("stickiness") or {}
    sticky = stickiness.get("enabled", True) and stickiness.get("type")
    arn = str(computed["arn"])
    group = world.routes.groups.setdefault(arn, TargetGroup(arn, resource.name))
    group.name = resource.name
    group.sticky_seconds = int(stickiness.get("cookieDuration", 86_400)) if sticky else None
    return computed


def listener(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """The HTTPS listener is the one that serves; a plain one serves only when there is no other."""
    made = rules.listener(str(computed["arn"]), resource.inputs)
    if not world.routes.add_listener(made):
        world.not_run.append(
            NotRun(
                resource.type, resource.name, "the front serves one listener, HTTPS before HTTP", known=True
            )
        )
    return computed


def listener_rule(world: World, resource: Resource, computed: Outputs) -> Outputs:
    """One rule of a listener."""
    try:
        made = rules.rule(resource.inputs)
    except rules.UnsupportedRuleError as error:
        world.not_run.append(NotRun(resource.type, resource.name, str(error), known=True))
        return computed
    world.routes.add_rule(str(resource.inputs["listenerArn"]), made)
    return computed


MAKERS = {
    "aws:lb/loadBalancer:LoadBalancer": load_balancer,
    "aws:lb/targetGroup:TargetGroup": target_group,
    "aws:lb/listener:Listener": listener,
    "aws:lb/listenerRule:ListenerRule": listener_rule,
}
