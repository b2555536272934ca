"""What is judged: a call of a service, what it needs of its role, and a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from lab.iam.evaluate import Request, context

Kind = Literal["denied", "excess", "reach", "undecided"]
SAMPLE: Final = "a1B2c3"  # stands where AWS or the app chooses; six characters, as the suffix of a secret
OTHER: Final = "neighbour"
_CHOSEN: Final = re.compile(r"\{[^}]*\}")
_NAMES: Final = re.compile(r"([/:])")


@dataclass(frozen=True)
class Call:
    """One kind of call in a recording: an operation of a JSON or query API, or a REST request."""

    who: str  # the session token, which the lab sets to the task definition's family
    service: str  # as the signature names it
    region: str = ""
    operation: str = ""
    params: Mapping[str, Any] | None = field(default_factory=dict[str, Any])  # None: could not be read
    method: str = ""
    path: str = ""
    query: tuple[str, ...] = ()
    source: str = ""  # of a copy

    def __str__(self) -> str:
        query = f"?{'&'.join(self.query)}" if self.query else ""
        return f"{self.service} {self.operation or f'{self.method} {self.path}{query}'}"


@dataclass(frozen=True)
class Need:
    """An action that a role must be allowed.

    `{…}` in the ARN stands where a part is chosen by AWS or by data. Where such a part hides which resource
    it is, `properties` tell: keys of the request that come from the resource, such as its tags or aliases.
    """

    action: str
    resource: str
    reason: str
    conditions: Mapping[str, str | tuple[str, ...]] = field(
        default_factory=dict[str, "str | tuple[str, ...]"]
    )
    properties: Mapping[str, str | tuple[str, ...]] = field(
        default_factory=dict[str, "str | tuple[str, ...]"]
    )

    def request(self, action: str | None = None) -> Request:
        """As the evaluator takes it; another action on the same resource, when one is named."""
        parts = self.resource.split(":")
        own = {"aws:SecureTransport": "true"}
        if len(parts) > 4 and parts[4]:
            own["aws:ResourceAccount"] = parts[4]
        return Request(
            action or self.action,
            _CHOSEN.sub(SAMPLE, self.resource),
            context({**own, **self.conditions, **self.properties}),
        )

    def neighbours(self) -> Iterator[Need]:
        """The same action on what is not meant: another account, region or name, or another's properties."""
        if self.resource == "*":
            return
        *head, name = self.resource.split(":", 5)
        for place, other in ((3, "eu-north-9"), (4, "999999999999")):
            if head[place]:
                changed = [*head[:place], other, *head[place + 1 :], name]
                yield replace(self, resource=":".join(changed))
        for key, value in self.properties.items():
            other = (
                (f"{value}-{OTHER}",) if isinstance(value, str) else tuple(f"{one}-{OTHER}" for one in value)
            )
            yield replace(self, properties={**self.properties, key: other})
        if self.properties:
            return  # its name says nothing of which one it is
        words = _NAMES.split(name)
        for place, word in enumerate(words):
            before, brace, chosen = word.partition("{")
            if brace and before.strip("-"):
                other = f"{before.rstrip('-')}-{OTHER}-{{{chosen}"
            elif word and not brace and word not in _NAMES_OF_TYPES and word not in "/:":
                other = f"{word}-{OTHER}"
            else:
                continue
            yield replace(
                self, resource=":".join([*head, "".join([*words[:place], other, *words[place + 1 :]])])
            )


_NAMES_OF_TYPES: Final = frozenset(
    (
        *("parameter", "secret", "role", "key", "task", "task-definition", "cluster", "repository", "table"),
        *("index", "log-group", "log-stream", "function", "event-bus", "stream"),
    )
)


@dataclass(frozen=True)
class Finding:
    """One way in which a role is not exactly what its service needs."""

    kind: Kind
    role: str  # the resource's name in the program, the same in every stack
    action: str
    resource: str
    message: str
    fix: str
    sid: str = ""
    waiver: str = ""
