"""Waivers as data: which finding is accepted, why, by whom, until when; a bad waiver is a finding itself."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.control import Control, Finding, Outcome

DEFAULT_PATH: Final = Path(__file__).with_name("waivers.yaml")


class WaiverError(Exception):
    """The waiver file cannot be read."""


class Waiver(BaseModel):
    """One accepted deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: str = Field(pattern=r"^SLP-[A-Z]{3}-\d{3}$", description="the control's id")
    urn: str = Field(min_length=1, description="which resources, a shell pattern over URNs")
    reason: str = Field(min_length=15, description="why it is accepted, in a sentence")
    owner: str = Field(min_length=1, description="who answers for it")
    expires: dt.date = Field(description="the last day it holds")

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is meant."""
        return self.control == finding.control.id and fnmatch.fnmatchcase(finding.urn, self.urn)


def load(path: Path = DEFAULT_PATH) -> list[Waiver]:
    """The waivers of a file: `waivers:` with a list."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        items: Any = cast("dict[str, Any]", document).get("waivers") or []
        return [Waiver.model_validate(item) for item in items]
    except ValidationError as error:
        words = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise WaiverError(f"{path.name}: {'; '.join(words)}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise WaiverError(f"{path.name} cannot be read: {error}") from error


@dataclass
class Ledger:
    """Every finding of one run of the pack, with waivers applied; the engine calls resource by resource."""

    waivers: Sequence[Waiver] = ()
    today: dt.date = field(default_factory=lambda: dt.datetime.now(dt.UTC).date())
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
        return settled

    def findings(self) -> list[Finding]:
        """All of them."""
        return [finding for kept in self._findings.values() for group in kept.values() for finding in group]

    def _settle(self, finding: Finding) -> Finding:
        if finding.outcome not in (Outcome.FAIL, Outcome.UNDECIDED) or not finding.control.waivable:
            return finding
        for waiver in self.waivers:
            if waiver.expires >= self.today and waiver.covers(finding):
                self._used.setdefault(waiver, set()).add(finding.urn)
                return replace(finding, outcome=Outcome.WAIVED, waiver=f"{waiver.reason} ({waiver.owner})")
        return finding

    def problems(self, controls: Sequence[Control], max_matches: int) -> list[tuple[Waiver, str]]:
        """What is wrong with the waivers themselves, once every control has run."""
        known = {control.id: control for control in controls}
        found: list[tuple[Waiver, str]] = []
        for waiver in self.waivers:
            control = known.get(waiver.control)
            if control is None:
                found.append((waiver, "names no control of this pack"))
            elif not control.waivable:
                found.append((waiver, "names a control that cannot be waived"))
            elif waiver.expires < self.today:
                found.append((waiver, f"expired on {waiver.expires}"))
            elif waiver not in self._used:
                found.append((waiver, "covers nothing: the finding is gone, or the pattern is wrong"))
            elif len(self._used[waiver]) > max_matches:
                found.append((waiver, f"covers {len(self._used[waiver])} resources: too broad"))
        return found
