"""Both sides of least privilege for every role: what is needed is allowed, and nothing else is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from lab.iam.actions import needs
from lab.iam.conditions import UnsupportedConditionError
from lab.iam.derived import FUNCTION, derived
from lab.iam.evaluate import Verdict, applies, decide
from lab.iam.facts import TASK_DEFINITION, Facts, UnknownNeedError
from lab.iam.model import Finding, Need
from lab.iam.patterns import names_resource
from lab.iam.recording import Recording
from lab.iam.roles import Role, roles
from lab.iam.siblings import siblings
from lab.iam.waivers import Waiver, settle
from policies.documents import Statement, matches


@dataclass(frozen=True)
class Judged:
    """One role with what it needs and what was found."""

    role: Role
    needs: tuple[Need, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Report:
    """Every role of a stack."""

    stack: str
    recording: Recording
    roles: tuple[Judged, ...]
    problems: tuple[str, ...] = ()  # with the waivers
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        """All of them, waived ones too."""
        return [finding for each in self.roles for finding in each.findings]

    @property
    def failing(self) -> list[Finding]:
        """Those that no waiver covers."""
        return [finding for finding in self.findings if not finding.waiver]

    @property
    def passed(self) -> bool:
        """Whether every role is exactly what its service needs."""
        return not self.failing and not self.problems


@dataclass
class _Wanted:
    """What each role needs, by its ARN, with what could not be told."""

    needs: dict[str, list[Need]] = field(default_factory=dict[str, list[Need]])
    unknown: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    notes: list[str] = field(default_factory=list[str])


def judge(
    facts: Facts, recording: Recording, waivers: Sequence[Waiver], *, today: dt.date | None = None
) -> Report:
    """Judge every role of a resolved graph by a recording that speaks of this stack's names."""
    wanted = _wanted(facts, recording)
    own = roles(facts.graph)
    judged = [_role(one, wanted) for one in own]
    foreign = sorted({*wanted.needs, *wanted.unknown} - {one.arn for one in own} - {""})
    wanted.notes += [f"the stack names {arn} and does not make it: not judged" for arn in foreign]
    settled, problems = settle(
        (finding for one in judged for finding in one.findings),
        waivers,
        stack=facts.graph.stack,
        today=today or dt.datetime.now(dt.UTC).date(),
    )
    kept = iter(settled)
    return Report(
        facts.graph.stack,
        recording,
        tuple(Judged(one.role, one.needs, tuple(next(kept) for _ in one.findings)) for one in judged),
        tuple(problems),
        (*wanted.notes, *_notes(recording)),
    )


def _notes(recording: Recording) -> Iterator[str]:
    if recording.unnamed:
        yield (
            f"{recording.unnamed} kinds of call in the recording bear no service's name: made by hand, "
            "or with keys of a program's own"
        )


def _wanted(facts: Facts, recording: Recording) -> _Wanted:
    found = _Wanted()
    for arn, wanted in derived(facts):
        try:
            found.needs.setdefault(arn, []).extend(wanted)
        except UnknownNeedError as error:
            found.unknown.setdefault(arn, []).append(str(error))
    callers = _callers(facts)
    strangers: set[str] = set()
    for call in recording.calls:
        arn = callers.get(call.who)
        if arn is None:
            strangers.add(call.who)
            continue
        try:
            found.needs.setdefault(arn, []).extend(needs(call, facts))
        except UnknownNeedError as error:
            found.unknown.setdefault(arn, []).append(str(error))
    found.notes += [
        f"the recording has calls of {who}, which this stack does not have" for who in sorted(strangers)
    ]
    if recording.overflown:
        found.unknown.setdefault("", []).append("the recording is full: it lacks calls")
    return found


def _callers(facts: Facts) -> dict[str, str]:
    """Who signs with which name -> the ARN of the role that AWS would give it."""
    tasks = {
        str(one.inputs.get("family")): one.inputs.get("taskRoleArn")
        for one in facts.graph.of_type(TASK_DEFINITION)
    }
    functions = {str(one.inputs.get("name")): one.inputs.get("role") for one in facts.graph.of_type(FUNCTION)}
    return {name: str(arn) for name, arn in {**functions, **tasks}.items()}


def _role(role: Role, wanted: _Wanted) -> Judged:
    own = list({str(replace(need, reason="")): need for need in wanted.needs.get(role.arn, ())}.values())
    found = [
        *(
            _undecided(role, arn, f"{arn} is not in the stack, so what it allows is not known")
            for arn in role.unread
        ),
        *(
            _undecided(role, why, why)
            for why in [*wanted.unknown.get(role.arn, ()), *wanted.unknown.get("", ())]
        ),
    ]
    try:
        found += [*_denied(role, own), *_excess(role, own), *_reach(role, own)]
    except UnsupportedConditionError as error:
        found.append(_undecided(role, str(error), str(error)))
    return Judged(role, tuple(own), tuple(found))


def _undecided(role: Role, subject: str, message: str) -> Finding:
    fix = "write the policy out in the stack, teach lab/iam/actions.py the call, or accept it with a waiver"
    return Finding("undecided", role.name, "", subject, message, fix)


def _verdict(role: Role, need: Need, action: str | None = None) -> Verdict:
    return decide(role.policies, need.request(action), role.boundary)


def _denied(role: Role, own: Iterable[Need]) -> Iterator[Finding]:
    for need in own:
        verdict = _verdict(role, need)
        if verdict.allowed:
            continue
        if role.unread and verdict.outcome != "denied":
            yield _undecided(
                role, need.resource, f"whether {need.action} is allowed depends on what is not known"
            )
            continue
        sid = verdict.statement.sid if verdict.statement else ""
        yield Finding(
            "denied",
            role.name,
            need.action,
            need.resource,
            f"{need.action} on {need.resource} would be refused, {verdict.why} ({need.reason})",
            "link what the service uses, or allow this action on this ARN in the link that it has",
            sid,
        )


def _excess(role: Role, own: Sequence[Need]) -> Iterator[Finding]:
    """Each action and each ARN of each Allow is used by something the role needs."""
    for document in role.policies:
        for number, statement in enumerate(document):
            if statement.allows:
                yield from _unused(role, statement, statement.sid or f"statement {number}", own)


def _unused(role: Role, statement: Statement, sid: str, own: Sequence[Need]) -> Iterator[Finding]:
    uses = [need for need in own if applies(statement, need.request())]
    actions, resources = statement.actions or ("everything but NotAction",), statement.resources or ("*",)
    fix = "take it out, or show its use: run the service's path that needs it under `slipway up`"
    if not uses:
        words = f"{', '.join(actions)} on {', '.join(resources)}"
        yield Finding(
            "excess", role.name, actions[0], resources[0], f"{sid} is used by no call: {words}", fix, sid
        )
        return
    for action in statement.actions or ():
        if not any(matches(action, need.action, any_case=True) for need in uses):
            message = f"{sid} allows {action}, and no call uses it"
            yield Finding("excess", role.name, action, resources[0], message, fix, sid)
    for resource in statement.resources or ():
        if not any(names_resource(resource, need.request().resource) for need in uses):
            message = f"{sid} reaches {resource}, and no call uses it"
            yield Finding("excess", role.name, actions[0], resource, message, fix, sid)


def _reach(role: Role, own: Sequence[Need]) -> Iterator[Finding]:
    """Next to a need all is refused: the action on a neighbour, another action on the resource."""
    meant = {(need.action.lower(), need.request().resource) for need in own}
    seen: set[tuple[str, str]] = set()
    fix = "name the exact ARN and the exact actions"
    for need in own:
        for other in need.neighbours():
            request = other.request()
            if (request.action, request.resource) in seen or not _verdict(role, other).allowed:
                continue
            if other.properties == need.properties and (need.action.lower(), request.resource) in meant:
                continue
            seen.add((request.action, request.resource))
            what = other.resource if other.properties == need.properties else f"{other.resource} of another"
            message = f"{need.action} is also allowed on {what}, a neighbour of {need.resource}"
            yield Finding("reach", role.name, need.action, other.resource, message, fix)
        here = need.request().resource
        more = [
            action
            for action in siblings(need.action, role.policies)
            if meant.isdisjoint({(action.lower(), here), (action.lower(), "*")})
            and _verdict(role, need, action).allowed
        ]
        if more and (need.resource, "") not in seen:
            seen.add((need.resource, ""))
            names = ", ".join(more[:5]) + (f" and {len(more) - 5} more" if len(more) > 5 else "")
            message = f"on {need.resource} {names} is also allowed, and no call uses it"
            yield Finding("reach", role.name, more[0], need.resource, message, fix)
