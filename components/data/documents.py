"""Resource policies as JSON text, from computed ARNs only, so that they are known at preview."""

from __future__ import annotations

import json
from typing import Any


def resource_policy(*statements: dict[str, Any]) -> str:
    """A resource policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def deny_insecure_transport(action: str, *resources: str) -> dict[str, Any]:
    """Refuse whoever comes without TLS, whatever else allows them."""
    return {
        "Sid": "DenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def allow_service(
    sid: str, service: str, actions: list[str], resources: list[str], conditions: dict[str, Any]
) -> dict[str, Any]:
    """Let an AWS service in, only on behalf of what the conditions name (no confused deputy)."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": actions,
        "Resource": resources,
        "Condition": conditions,
    }
