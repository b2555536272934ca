"""The recording of a local run, read back, and its names turned into those of the stack that is judged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from lab.errors import LabError
from lab.iam.facts import Facts
from lab.iam.model import Call
from lab.run.world import LAB_CALLER

_IDENTITIES: Final = ("name", "family", "bucket", "identifier", "replicationGroupId", "clusterIdentifier")


@dataclass(frozen=True)
class Recording:
    """The calls of services, and how many kinds of call nobody signed with a name."""

    source: Path
    calls: tuple[Call, ...]
    unnamed: int = 0
    overflown: bool = False  # the list was full: there were calls that are not in it


def read(path: Path, *, stack: str) -> Recording:
    """The recording in a file; a LabError with the way to one when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LabError(
            f"there is no recording of what the services of stack {stack!r} call",
            cause=f"{path} does not exist: `slipway up` writes it while the stack runs on its own emulator",
            hint=f"slipway up{'' if stack == 'local' else f' {stack}'}, use the stack, then again; "
            "or name a recording with --calls FILE",
            code="no-recording",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    calls: list[Call] = []
    unnamed, overflown = 0, False
    for number, line in enumerate(lines, start=1):
        try:
            entry: Any = json.loads(line)
            if entry.get("more"):
                overflown = True
            elif not entry["who"]:
                unnamed += 1
            elif entry["who"] != LAB_CALLER:
                calls.append(_call(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):
                break  # the run was killed while it wrote
            raise _unreadable(path, f"line {number} is no call: {type(error).__name__}") from error
    return Recording(path, tuple(calls), unnamed, overflown)


def _unreadable(path: Path, cause: str) -> LabError:
    return LabError(
        f"the recording {path.name} cannot be read",
        cause=cause,
        hint="make a fresh one with `slipway up`",
        code="bad-recording",
    )


def _call(entry: Mapping[str, Any]) -> Call:
    return Call(
        who=str(entry["who"]),
        service=str(entry["service"]),
        region=str(entry.get("region", "")),
        operation=str(entry.get("operation", "")),
        params=cast("Mapping[str, Any] | None", entry.get("params", {})),
        method=str(entry.get("method", "")),
        path=str(entry.get("path", "")),
        query=tuple(entry.get("query", ())),
        source=str(entry.get("source", "")),
    )


def translated(recording: Recording, recorded_on: Facts, judged: Facts) -> Recording:
    """The same calls as the judged stack would make them: its account, region and names.

    A resource is the same in two stacks when its URN is, but for the stack's name.
    """
    names = {recorded_on.account: judged.account, recorded_on.region: judged.region}
    theirs = {_without_stack(one.urn): one for one in judged.graph}
    for one in recorded_on.graph:
        other = theirs.get(_without_stack(one.urn))
        for key in _IDENTITIES if other is not None else ():
            own, new = one.inputs.get(key), other.inputs.get(key) if other else None
            if isinstance(own, str) and isinstance(new, str) and own and own != new:
                names[own] = new
    words = sorted((re.escape(name) for name, new in names.items() if name != new), key=len, reverse=True)
    if not words:
        return recording
    # whole names only: `jobs` is no part of `old-jobs`
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])")

    def turned(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda found: names[found[0]], value)
        if isinstance(value, Mapping):
            return {key: turned(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [turned(inner) for inner in cast("list[Any]", value)]
        return value

    calls = tuple(
        Call(
            who=turned(one.who),
            service=one.service,
            region=turned(one.region),
            operation=one.operation,
            params=turned(one.params),
            method=one.method,
            path=turned(one.path),
            query=one.query,
            source=turned(one.source),
        )
        for one in recording.calls
    )
    return Recording(recording.source, calls, recording.unnamed, recording.overflown)


def _without_stack(urn: str) -> str:
    return urn.partition("::")[2]
