"""Other actions of the same service: its operations as boto3 has them, and what the role's documents name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, cast

from policies.documents import Document

# prefixes of actions that are not the name of boto3's service
_SERVICES: Final = {"cloudwatch": "cloudwatch", "ssmmessages": "", "logs": "logs", "s3": "s3"}


def siblings(action: str, policies: Iterable[Document]) -> list[str]:
    """Every action of the same service that is known here, `action` itself left out."""
    prefix = action.partition(":")[0]
    named = (each for document in policies for statement in document for each in statement.actions or ())
    written = {
        each for each in named if "*" not in each and "?" not in each and each.startswith(f"{prefix}:")
    }
    return sorted({*_operations(prefix), *written} - {action})


@cache
def _operations(prefix: str) -> frozenset[str]:
    """The operations of boto3's service as actions; most are named alike, a name too many is harmless."""
    service = _SERVICES.get(prefix, prefix)
    if not service:
        return frozenset()
    import botocore.session  # noqa: PLC0415  only `slipway iam` pays for it
    from botocore.exceptions import UnknownServiceError  # noqa: PLC0415

    # it has no types
    session = cast("Any", botocore.session).get_session()
    try:
        return frozenset(f"{prefix}:{name}" for name in session.get_service_model(service).operation_names)
    except UnknownServiceError:
        return frozenset()
