"""The container definition as one JSON literal: known at preview, run by the lab, read by the policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PORT: Final = 8000
USER: Final = "10001:10001"
HEALTH_COMMAND: Final = ("CMD", "python", "-m", "apps.platform.healthcheck")
TMP_VOLUME: Final = "tmp"


def container_definitions(
    *,
    name: str,
    image: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    secrets: Mapping[str, str],
    log_group: str,
    region: str,
    stop_timeout: int,
    listens: bool,
) -> str:
    """One container: read-only root, user 10001, no capabilities, `/tmp` as its only writable place.

    PID 1 is the app's own entry (`initProcessEnabled` false), so SIGTERM reaches it first. Logs are
    non-blocking with a bound of 25 MB: when CloudWatch stalls the app goes on, and lines beyond the buffer
    are dropped, which the agent reports
    (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html).
    """
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "essential": True,
        "command": list(command),
        "environment": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(secrets.items())],
        "readonlyRootFilesystem": True,
        "privileged": False,
        "user": USER,
        "stopTimeout": stop_timeout,
        "linuxParameters": {"initProcessEnabled": False, "capabilities": {"drop": ["ALL"]}},
        "ulimits": [{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}],
        "mountPoints": [{"sourceVolume": TMP_VOLUME, "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": name,
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
    if listens:
        container["portMappings"] = [{"containerPort": PORT, "protocol": "tcp", "name": "http"}]
        container["healthCheck"] = {
            "command": list(HEALTH_COMMAND),
            "interval": 10,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 60,
        }
    return json.dumps([container])
