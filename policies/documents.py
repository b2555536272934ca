"""IAM policy documents, read once into typed statements: identity, trust and resource policies alike.

The grammar is IAM's: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
A document may be JSON text or an object; what is not known yet in it is named, and the rest is still read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

from policies.reader import MISSING, UNKNOWN, UndecidedError

Effect = Literal["Allow", "Deny"]
PrincipalKind = Literal["AWS", "Service", "Federated", "CanonicalUser", "*"]

_PRINCIPALS: Final = ("AWS", "Service", "Federated", "CanonicalUser")
_PARTS: Final = frozenset(
    (
        *("Sid", "Effect", "Condition", "Action", "NotAction"),
        *("Resource", "NotResource", "Principal", "NotPrincipal"),
    )
)


class DocumentError(ValueError):
    """The text is no policy document; the message names the part, never its value."""


@dataclass(frozen=True)
class Principal:
    """Who is meant: `kind` `*` is everybody, signed in or not."""

    kind: PrincipalKind
    value: str

    @property
    def everyone(self) -> bool:
        """`"*"` and `{"AWS": "*"}` are the same to AWS where an Allow is concerned."""
        return self.kind in ("*", "AWS") and self.value == "*"


@dataclass(frozen=True)
class Condition:
    """One key under one operator: it holds when any of the values does."""

    operator: str  # as written, `ForAnyValue:StringEquals` and `StringLikeIfExists` included
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement; a tuple is None where the document has no such part.

    `unknown` names the parts that are not known yet, whole or in places (`Resource`, `Condition`); their
    tuples hold only what is known of them.
    """

    effect: Effect
    sid: str = ""
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    principals: tuple[Principal, ...] | None = None
    not_principals: tuple[Principal, ...] | None = None
    conditions: tuple[Condition, ...] = ()
    unknown: frozenset[str] = frozenset()

    @property
    def allows(self) -> bool:
        """Whether it is an Allow."""
        return self.effect == "Allow"

    def condition(self, key: str) -> tuple[Condition, ...]:
        """The conditions on a key; keys are the same in any case of letters."""
        wanted = key.lower()
        return tuple(each for each in self.conditions if each.key.lower() == wanted)

    def names_action(self, action: str) -> bool:
        """Whether Action, or what NotAction leaves over, has the action; unknown parts count for nothing."""
        if self.actions is not None:
            return any(matches(pattern, action, any_case=True) for pattern in self.actions)
        if self.not_actions is not None:
            return not any(matches(pattern, action, any_case=True) for pattern in self.not_actions)
        return False


@dataclass(frozen=True)
class Document:
    """A policy document; `source` is the input that it stands in, and the name of an unknown whole."""

    source: str
    statements: tuple[Statement, ...] = ()
    version: str = ""
    unknown: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)

    def decided(self, *parts: str) -> Document:
        """The document itself, if these parts of it (none named: all) are known in every statement."""
        if self.unknown:
            raise UndecidedError(self.unknown[0])
        for index, statement in enumerate(self.statements):
            wanting = sorted(part for part in statement.unknown if not parts or part in parts)
            if wanting:
                raise UndecidedError(f"{self.source}.Statement.{statement.sid or index}.{wanting[0]}")
        return self


def parse(value: object, source: str) -> Document:
    """The document in an input named `source`; the input is JSON text, an object, or not known yet."""
    if value is UNKNOWN:
        return Document(source, unknown=(source,))
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise DocumentError(f"{source} is not JSON") from None
    if not isinstance(value, Mapping):
        raise DocumentError(f"{source} is not a policy document: it is no object")
    body = cast("Mapping[str, Any]", value)
    statements: Any = body.get("Statement", MISSING)
    if statements is MISSING:
        raise DocumentError(f"{source} is not a policy document: it has no Statement")
    if statements is UNKNOWN:
        return Document(source, unknown=(f"{source}.Statement",))
    read: list[Statement] = []
    unknown: list[str] = []
    for index, statement in enumerate(_many(statements)):
        where = f"{source}.Statement.{index}"
        if statement is UNKNOWN:
            unknown.append(where)
        else:
            read.append(_statement(statement, where))
    version = body.get("Version")
    return Document(source, tuple(read), version if isinstance(version, str) else "", tuple(unknown))


def _statement(value: object, where: str) -> Statement:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where} is no object")
    body = cast("Mapping[str, Any]", value)
    strange = sorted(str(key) for key in body if key not in _PARTS)
    if strange:
        raise DocumentError(f"{where} has a part that IAM does not know: {strange[0]}")
    effect = body.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise DocumentError(f"{where}.Effect is neither Allow nor Deny")
    unknown: set[str] = set()
    sid = body.get("Sid")
    made = Statement(
        effect=effect,
        sid=sid if isinstance(sid, str) else "",
        actions=_words(body, "Action", where, unknown),
        not_actions=_words(body, "NotAction", where, unknown),
        resources=_words(body, "Resource", where, unknown),
        not_resources=_words(body, "NotResource", where, unknown),
        principals=_principals(body, "Principal", where, unknown),
        not_principals=_principals(body, "NotPrincipal", where, unknown),
        conditions=_conditions(body, where, unknown),
        unknown=frozenset(unknown),
    )
    if (made.actions is None) == (made.not_actions is None):
        raise DocumentError(f"{where} needs either Action or NotAction")
    return made


def _words(body: Mapping[str, Any], part: str, where: str, unknown: set[str]) -> tuple[str, ...] | None:
    value = body.get(part, MISSING)
    if value is MISSING:
        return None
    found: list[str] = []
    for each in _many(value):
        if each is UNKNOWN:
            unknown.add(part)
        elif isinstance(each, str):
            found.append(each)
        else:
            raise DocumentError(f"{where}.{part} is neither text nor a list of it")
    return tuple(found)


def _principals(
    body: Mapping[str, Any], part: str, where: str, unknown: set[str]
) -> tuple[Principal, ...] | None:
    value = body.get(part, MISSING)
    if value is MISSING:
        return None
    if value is UNKNOWN:
        unknown.add(part)
        return ()
    if value == "*":
        return (Principal("*", "*"),)
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where}.{part} is neither `*` nor an object")
    found: list[Principal] = []
    for kind, names in cast("Mapping[str, Any]", value).items():
        if kind not in _PRINCIPALS:
            raise DocumentError(f"{where}.{part} has a kind that IAM does not know: {kind}")
        for name in _many(names):
            if name is UNKNOWN:
                unknown.add(part)
            else:
                found.append(Principal(cast("PrincipalKind", kind), str(name)))
    return tuple(found)


def _conditions(body: Mapping[str, Any], where: str, unknown: set[str]) -> tuple[Condition, ...]:
    value = body.get("Condition", MISSING)
    if value is MISSING:
        return ()
    if value is UNKNOWN:
        unknown.add("Condition")
        return ()
    found: list[Condition] = []
    for operator, keys in _object(value, f"{where}.Condition").items():
        if keys is UNKNOWN:
            unknown.add("Condition")
            continue
        for key, values in _object(keys, f"{where}.Condition.{operator}").items():
            known = [each for each in _many(values) if each is not UNKNOWN]
            if len(known) < len(_many(values)):
                unknown.add("Condition")
            found.append(Condition(operator, key, tuple(_text(each) for each in known)))
    return tuple(found)


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(f"{where} is no object")
    return cast("Mapping[str, Any]", value)


def _many(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _text(value: object) -> str:
    """A condition's value as IAM compares it: `true` and `"true"` are one."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def matches(pattern: str, value: str, *, any_case: bool = False) -> bool:
    """IAM's wildcards: `*` is any text, `?` one character. Actions are the same in any case of letters."""
    return _compiled(pattern, any_case).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, any_case: bool) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if any_case else 0))
