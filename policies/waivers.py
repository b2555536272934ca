"""Waivers as data: which finding is accepted, why, by whom, until when; a bad waiver is a finding itself."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from policies.control import Control, Finding, Outcome
from policies.problems import Problem, from_pydantic, nearest, shown, told

DEFAULT_PATH: Final = Path(__file__).with_name("waivers.yaml")
VARIABLE: Final = "SLIPWAY_WAIVERS"
STACK: Final = "stack"  # in place of a URN: a finding about the stack itself, which has none
# two resources that have nothing in common: a pattern that matches both names nothing
_ANYTHING: Final = ("urn:pulumi:q1::q2::q3:q4/q5:Q6::q7", "urn:pulumi:x1::x2::x3:x4/x5:X6$x7:x8:X9::x0")


class WaiverError(Exception):
    """A waiver file has mistakes, or cannot be read; `problems` has each of them."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(told(file, problems))
        self.problems = list(problems)


class Waiver(BaseModel):
    """One accepted deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: str = Field(pattern=r"^SLP-[A-Z]{3}-\d{3}$", description="the control's id")
    urn: str = Field(
        min_length=1,
        description="which resources: a shell pattern over URNs that names at least a stack, a type or a "
        "resource; `stack` for a finding about the stack itself",
    )
    reason: str = Field(min_length=15, description="why it is accepted, in a sentence")
    owner: str = Field(min_length=1, description="who answers for it")
    ticket: str = Field(min_length=2, description="where it was decided, and will be decided again")
    expires: dt.date = Field(description="the last day it holds")
    compensating: str = Field(min_length=10, description="what protects in place of the control")

    @field_validator("urn")
    @classmethod
    def _names_something(cls, urn: str) -> str:
        if all(fnmatch.fnmatchcase(each, urn) for each in _ANYTHING):
            msg = "a pattern that names a stack, a type or a resource (this one matches everything)"
            raise ValueError(msg)
        return urn

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is meant."""
        return self.control == finding.control.id and fnmatch.fnmatchcase(finding.urn or STACK, self.urn)

    def of_stack(self, stack: str) -> bool:
        """Whether it may cover anything of this stack (`stack::project`): a pattern can name another one."""
        parts = self.urn.split("::")
        if len(parts) == 1 or not parts[0].startswith("urn:"):
            return True
        # stack, project, type, name: a shorter pattern has a star in place of some of them
        named = "::".join(parts[:2]) if len(parts) == 4 else f"{parts[0]}::*"
        return fnmatch.fnmatchcase(f"urn:pulumi:{stack}", named)

    def words(self) -> str:
        """As it stands beside what it covers."""
        return (
            f"{self.reason} ({self.owner}, {self.ticket}, until {self.expires}; instead: {self.compensating})"
        )


@dataclass(frozen=True)
class WaiverProblem:
    """What is wrong with a waiver: a finding as any other."""

    waiver: Waiver
    code: str
    message: str

    def text(self) -> str:
        """The words of the violation."""
        return (
            f"the waiver of {self.waiver.control} for {self.waiver.urn} ({self.waiver.owner}) {self.message}"
        )


def chosen() -> Path:
    """The file that the environment names, for those who use the pack elsewhere; else the pack's own."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else DEFAULT_PATH


def read(path: Path = DEFAULT_PATH) -> tuple[list[Waiver], list[Problem]]:
    """The sound waivers of a file, and the mistakes of the others."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [], [Problem("the file", "what cannot be read", f"YAML ({error})")]
    if not isinstance(document, dict):
        return [], [Problem("the file", shown(document), "`waivers:` with a list")]
    found = cast("dict[str, Any]", document)
    problems = [
        Problem(str(key), "an unknown key", "waivers", nearest(str(key), ["waivers"]))
        for key in found
        if key != "waivers"
    ]
    items: Any = found.get("waivers") or []
    if not isinstance(items, list):
        return [], [*problems, Problem("waivers", shown(items), "a list")]
    waivers: list[Waiver] = []
    for index, item in enumerate(cast("list[Any]", items)):
        try:
            waivers.append(Waiver.model_validate(item))
        except ValidationError as error:
            mistakes = error.errors(include_url=False)
            problems.extend(from_pydantic(each, Waiver, f"waivers[{index}]") for each in mistakes)
    return waivers, problems


def load(path: Path = DEFAULT_PATH) -> list[Waiver]:
    """The waivers of a file without a mistake."""
    waivers, problems = read(path)
    if problems:
        raise WaiverError(path.name, problems)
    return waivers


def _judge(
    waiver: Waiver, controls: dict[str, Control], *, used: int, ran: bool, today: dt.date, most: int
) -> WaiverProblem | None:
    """What is wrong with it, once every control has run; `ran` is whether its own did in this stack."""
    control = controls.get(waiver.control)
    if control is None:
        near = nearest(waiver.control, controls)
        words = f"names no control of this pack{f'; the nearest is {near}' if near else ''}"
        return WaiverProblem(waiver, "waiver-unknown-control", words)
    if not control.waivable:
        return WaiverProblem(waiver, "waiver-unwaivable", "names a control that cannot be waived")
    if waiver.expires < today:
        return WaiverProblem(waiver, "waiver-expired", f"expired on {waiver.expires}")
    if ran and not used:
        words = "covers nothing: the finding is gone, or the pattern is wrong"
        return WaiverProblem(waiver, "waiver-unused", words)
    if used > most:
        return WaiverProblem(waiver, "waiver-broad", f"covers {used} resources ({most} allowed): too broad")
    return None


@dataclass
class Ledger:
    """Every verdict of one run of the pack, waivers applied; the engine calls resource by resource."""

    waivers: Sequence[Waiver] = ()
    mistakes: Sequence[Problem] = ()  # of the waiver file: what stands there is not applied
    today: dt.date = field(default_factory=lambda: dt.datetime.now(dt.UTC).date())
    ran: set[str] = field(default_factory=set[str])  # controls that judge this stack
    _stacks: set[str] = field(default_factory=set[str])
    _findings: dict[str, dict[tuple[str, str], list[Finding]]] = field(
        default_factory=dict[str, dict[tuple[str, str], list[Finding]]]
    )
    _used: dict[Waiver, set[str]] = field(default_factory=dict[Waiver, set[str]])

    def record(self, policy: str, findings: Iterable[Finding]) -> list[Finding]:
        """Keep the findings, waived where a valid waiver covers them; a re-run replaces what it finds."""
        settled = [self._settle(finding) for finding in findings]
        kept = self._findings.setdefault(policy, {})
        fresh: dict[tuple[str, str], list[Finding]] = {}
        for finding in settled:
            fresh.setdefault(finding.key, []).append(finding)
        kept.update(fresh)
        self._stacks.update(_stack(finding.urn) for finding in settled if finding.urn)
        return settled

    def findings(self) -> list[Finding]:
        """All of them."""
        return [finding for kept in self._findings.values() for group in kept.values() for finding in group]

    def applied(self) -> Mapping[Waiver, frozenset[str]]:
        """The waivers that covered something, and what."""
        return {waiver: frozenset(urns) for waiver, urns in self._used.items()}

    def problems(self, controls: Iterable[Control], most: int) -> list[WaiverProblem]:
        """What is wrong with the waivers of this stack themselves, once every control has run."""
        known = {control.id: control for control in controls}
        here = [
            waiver
            for waiver in self.waivers
            if not self._stacks or any(waiver.of_stack(stack) for stack in self._stacks)
        ]
        judged = (
            _judge(
                waiver,
                known,
                used=len(self._used.get(waiver, ())),
                ran=waiver.control in self.ran,
                today=self.today,
                most=most,
            )
            for waiver in here
        )
        return [problem for problem in judged if problem is not None]

    def _settle(self, finding: Finding) -> Finding:
        if finding.outcome not in (Outcome.FAIL, Outcome.UNDECIDED) or not finding.control.waivable:
            return finding
        for waiver in self.waivers:
            if waiver.expires >= self.today and waiver.covers(finding):
                self._used.setdefault(waiver, set()).add(finding.urn)
                return replace(finding, outcome=Outcome.WAIVED, waiver=waiver.words())
        return finding


def _stack(urn: str) -> str:
    """`stack::project`."""
    return "::".join(urn.split("::")[:2]).removeprefix("urn:pulumi:")
