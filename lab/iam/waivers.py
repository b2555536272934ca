"""Accepted findings as data: what, of which role, why, by whom, until when. A denied call is never waived."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError
from lab.iam.model import Finding

DEFAULT_PLACE: Final = Path("policies", "waivers.iam.yaml")  # in the project; one without has no waivers


class Waiver(BaseModel):
    """One accepted deviation; patterns are a shell's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(min_length=1, description="the role's name in the program")
    kind: Literal["excess", "reach", "undecided"]
    action: str = Field(default="*", min_length=1)
    resource: str = Field(default="*", min_length=1)
    stacks: tuple[str, ...] = Field(default=(), description="where it holds; empty: in every stack")
    reason: str = Field(min_length=15, description="why it is accepted, in a sentence")
    owner: str = Field(min_length=1, description="who answers for it")
    expires: dt.date = Field(description="the last day it holds")

    @property
    def broad(self) -> bool:
        """Whether it says nothing of what it is for."""
        return set(self.role) <= {"*", "?"} or (self.action == "*" and self.resource == "*")

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is meant."""
        pairs = (
            (finding.role, self.role),
            (finding.action, self.action),
            (finding.resource, self.resource),
        )
        return self.kind == finding.kind and all(
            fnmatch.fnmatchcase(value, pattern) for value, pattern in pairs
        )


def load(path: Path) -> list[Waiver]:
    """The waivers of a file: `waivers:` with a list."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        items: list[Any] = cast("dict[str, Any]", document).get("waivers") or []
        return [Waiver.model_validate(one) for one in items]
    except ValidationError as error:
        cause = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        cause = str(error)
    raise LabError(
        f"the waiver file {path.name} cannot be read", cause=cause, hint=f"correct {path}", code="iam-waivers"
    )


def settle(
    findings: Iterable[Finding], waivers: Sequence[Waiver], *, stack: str, today: dt.date
) -> tuple[list[Finding], list[str]]:
    """The findings with waivers applied, and what is wrong with the waivers themselves."""
    here = [one for one in waivers if not one.stacks or stack in one.stacks]
    valid = [one for one in here if one.expires >= today and not one.broad]
    used: set[Waiver] = set()
    settled: list[Finding] = []
    for finding in findings:
        cover = next((one for one in valid if one.covers(finding)), None)
        if cover is not None:
            used.add(cover)
            settled.append(replace(finding, waiver=f"{cover.reason} ({cover.owner})"))
        else:
            settled.append(finding)
    return settled, [_problem(one, today) for one in here if one not in used]


def _problem(waiver: Waiver, today: dt.date) -> str:
    name = f"waiver for {waiver.kind} of {waiver.role}"
    if waiver.broad:
        return f"{name} is too broad: name a role, and an action or a resource"
    if waiver.expires < today:
        return f"{name} expired on {waiver.expires}"
    return f"{name} covers nothing: the finding is gone, or the pattern is wrong"
