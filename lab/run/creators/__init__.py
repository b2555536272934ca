"""Makes here what a stack declares: one small function per resource type, and reasons for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.computed import ResolvedCreator
from lab.errors import LabError
from lab.model import Resource
from lab.monitor import Created
from lab.run.creators import (
    balancers,
    buckets,
    containers,
    databases,
    keys,
    messages,
    parameters,
    passwords,
    tables,
)
from lab.run.world import NotRun, World

# gets the resource and what AWS would compute for it; returns what is really so here
Maker = Callable[[World, Resource, Mapping[str, Any]], Mapping[str, Any]]

MAKERS: Mapping[str, Maker] = {
    **balancers.MAKERS,
    **buckets.MAKERS,
    **containers.MAKERS,
    **databases.MAKERS,
    **keys.MAKERS,
    **messages.MAKERS,
    **parameters.MAKERS,
    **passwords.MAKERS,
    **tables.MAKERS,
}
_NETWORK = "everything listens on 127.0.0.1; `slipway check` proves the network"
_RIGHTS = "rights are not enforced here; `slipway check` judges them"
_WATCHING = "nothing is measured by CloudWatch here; `slipway ps` and the logs show the processes"
_DISK = "a setting of the bucket that the emulator does not act on"
_IMAGES = "services run from this checkout, not from an image"

# The longest match wins. These have nothing to do on this machine; any other type is listed as unknown.
NOT_RUN: Mapping[str, str] = {
    "aws:ec2/": _NETWORK,
    "aws:vpc/": _NETWORK,
    "aws:route53/": "names are not served here",
    "aws:acm/": "the front serves plain HTTP on 127.0.0.1",
    "aws:iam/": _RIGHTS,
    "aws:lambda/permission:": _RIGHTS,
    "aws:sns/topicPolicy:": _RIGHTS,
    "aws:sqs/queuePolicy:": _RIGHTS,
    "aws:s3/bucketPolicy:": _RIGHTS,
    "aws:s3/bucketPublicAccessBlock:": _RIGHTS,
    "aws:s3/": _DISK,
    "aws:cloudwatch/": _WATCHING,
    "aws:appautoscaling/": "one process per service; --replicas NAME=N starts more",
    "aws:ecr/": _IMAGES,
    "docker-build:": _IMAGES,
    "docker:": _IMAGES,
    "aws:ecs/cluster:": "this machine is the cluster",
    "aws:ecs/clusterCapacityProviders:": "this machine is the cluster",
    "aws:rds/": "a setting of the managed database",
    "aws:elasticache/": "a setting of the managed cache",
    "aws:wafv2/": "the front has no firewall",
    "aws:budgets/": "nothing here costs anything",
    "aws:ssm/": "a setting of Systems Manager",
    "aws:sns/topicSubscription:": "nobody is notified from this machine",
    "pulumi:providers:": "the endpoint of this run takes its place",
}


def _where_to_look(world: World) -> str:
    given = world.running().aws
    if given.external:
        return f"check {given.url}, or unset {given.program} to use slipway's own emulator"
    return "read the emulator's log: slipway logs emulator"


class LocalCreator:
    """Answers with the thing itself, or with what AWS would compute and the reason why not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.computed = ResolvedCreator()

    def create(self, resource: Resource) -> Created:
        """Make it; on worker threads, dependencies first."""
        if self.world.stopping.is_set():
            raise LabError("the start was interrupted", code="interrupted", exit_code=130)
        computed = self.computed.create(resource)
        maker = MAKERS.get(resource.type)
        if maker is None:
            self._list(resource)
            return computed
        try:
            made = dict(maker(self.world, resource, {"id": computed.id, **computed.outputs}))
        except LabError:
            raise
        except Exception as error:  # boto3's and psycopg's exceptions share no base
            raise LabError(
                f"{resource.type} {resource.name!r} cannot be made on this machine",
                cause=f"{type(error).__name__}: {error}",
                hint=_where_to_look(self.world),
                code="creator-failed",
            ) from error
        id_ = str(made.pop("id", computed.id))
        return Created(id_, {**computed.outputs, **made})

    def _list(self, resource: Resource) -> None:
        matches = [prefix for prefix in NOT_RUN if resource.type.startswith(prefix)]
        reason = NOT_RUN[max(matches, key=len)] if matches else "this type is not known here"
        self.world.not_run.append(NotRun(resource.type, resource.name, reason, known=bool(matches)))
