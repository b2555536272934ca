"""AWS calls whose refusal is an answer, told apart by code: exception classes are made per client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast


def attempt(call: Callable[[], Any], *codes: str) -> Any:
    """What the call returns, or None when it is refused with one of these codes."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  only `up` pays for it

    try:
        return call()
    except ClientError as error:
        response: Any = cast("Any", error).response
        if str(response.get("Error", {}).get("Code")) in codes:
            return None
        raise
