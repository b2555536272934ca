"""Text of a policy against text of a request: wildcards, ARNs, and variables such as `${aws:userid}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from policies.documents import matches

Context = Mapping[str, tuple[str, ...]]  # condition keys in lower case; one value or several

ARN_PARTS: Final = 6
_VARIABLE: Final = re.compile(r"\$\{\s*([^},]+?)\s*(?:,\s*'([^']*)'\s*)?\}")
# stand for a `*` and a `?` that are themselves, in patterns and values alike (private use characters)
_LITERAL: Final = {"*": "\ue000", "?": "\ue001"}
_TABLE: Final = str.maketrans(_LITERAL)


def expand(text: str, context: Context) -> str | None:
    """A policy's text with its variables filled in; None when one has neither value nor default.

    What a variable stands for is literal: a tag with the value `*` opens nothing.
    """
    missing = False

    def fill(found: re.Match[str]) -> str:
        nonlocal missing
        name, default = found[1], found[2]
        if name in _LITERAL:
            return _LITERAL[name]
        if name == "$":
            return "$"
        values = context.get(name.lower(), ())
        if len(values) != 1:
            missing = missing or default is None
            return (default or "").translate(_TABLE)
        return values[0].translate(_TABLE)

    filled = _VARIABLE.sub(fill, text)
    return None if missing else filled


def expand_widest(arn: str, context: Context) -> str:
    """The same for what is left out by NotResource: a part whose variable has no value may be anything."""
    filled = (expand(part, context) for part in _parts(arn))
    return ":".join("*" if part is None else part for part in filled)


def equal(pattern: str, value: str) -> bool:
    """The same text, nothing being a wildcard."""
    return pattern.translate(_TABLE) == value.translate(_TABLE)


def like(pattern: str, value: str) -> bool:
    """`*` is any text, `?` one character."""
    return matches(pattern, value.translate(_TABLE))


def arn_like(pattern: str, value: str) -> bool:
    """Part by part: a wildcard does not reach over a colon, but for the last part, which may have some."""
    wanted, given = _parts(pattern), _parts(value)
    return len(wanted) == len(given) == ARN_PARTS and all(map(like, wanted, given))


def _parts(arn: str) -> list[str]:
    """Six at most; the colon of a variable (`${aws:userid}`) parts nothing."""
    return [part.replace("\ue002", ":") for part in _hidden(arn).split(":", ARN_PARTS - 1)]


def _hidden(arn: str) -> str:
    return _VARIABLE.sub(lambda found: found[0].replace(":", "\ue002"), arn)


def names_resource(pattern: str, value: str) -> bool:
    """Whether an element of Resource has this resource: `*` is everything, else an ARN."""
    return pattern == "*" or (value != "*" and arn_like(pattern, value))
