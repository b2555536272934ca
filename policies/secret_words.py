"""Whether a literal looks like a secret: by the name it stands under, or by its shape. None is repeated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

# wider than AWS's own list for ECS.8: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and ECS_ENGINE_AUTH_DATA
_NAMES: Final = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIALS?|AUTH_DATA)(_|$)"
)
# what only points to a secret, or speaks of one
_POINTERS: Final = re.compile(
    r"_(ARN|NAME|ID|FILE|PATH|PREFIX|HEADER|URL|URI|ALG|TTL|DAYS|SECONDS|MINUTES|BYTES|LENGTH|LIMIT|MAX|MIN|ENABLED)$"
)
_ACCESS_KEY_ID: Final = "AWS_ACCESS_KEY_ID"
_SHAPES: Final[Mapping[str, re.Pattern[str]]] = {
    "an access key of AWS": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s:@]+@"),
    "a token of GitHub": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a key of Stripe": re.compile(r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
}
# NAME=value in a script, the value not being taken from elsewhere
_ASSIGNED: Final = re.compile(r"(?m)(?:^|\s)([A-Za-z_]\w*)\s*=\s*[\"']?([^\s\"'$]+)")


def shape(value: str) -> str | None:
    """What kind of secret a value looks like."""
    return next((kind for kind, pattern in _SHAPES.items() if pattern.search(value)), None)


def variable(name: str, value: str) -> str | None:
    """What is wrong with a variable, by its name or by its value's shape."""
    found = shape(value)
    if found:
        return f"holds {found}"
    word = re.sub(r"[^A-Z0-9]", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
    points = _POINTERS.search(word) and word != _ACCESS_KEY_ID
    return "is named like a secret" if value and _NAMES.search(word) and not points else None


def variables(pairs: Iterable[tuple[str, str]]) -> str | None:
    """The first offender, by its position: even the name may be somebody's secret."""
    for index, (name, value) in enumerate(pairs):
        said = variable(name, value)
        if said:
            return f"variable {name if name.isidentifier() and len(name) < 64 else index} {said}"
    return None


def script(text: str) -> str | None:
    """What a start script gives away."""
    found = shape(text)
    if found:
        return f"holds {found}"
    said = (variable(name, value) for name, value in _ASSIGNED.findall(text))
    return "assigns a secret" if any(said) else None
