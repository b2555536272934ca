"""What a control is, what it answers, and how it is run: its own failure is a finding, not the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from policies.documents import DocumentError
from policies.example import Example
from policies.frameworks import NONE, Frameworks
from policies.graph import Graph, Node
from policies.reader import UndecidedError
from policies.settings import Settings

Severity = Literal["low", "medium", "high", "critical"]
Family = Literal[
    "private-network",
    "encryption",
    "identity",
    "queues",
    "data-protection",
    "observability",
    "cost",
    "budget",
]
FAMILIES: Final[tuple[Family, ...]] = (
    "private-network",
    "encryption",
    "identity",
    "queues",
    "data-protection",
    "observability",
    "cost",
    "budget",
)
# What a control says of a resource about which the program says nothing: `silent` is no verdict at all.
Absence = Literal["fail", "pass", "undecided", "silent"]


class Outcome(Enum):
    """The three answers of a control, and what becomes of an answer that a waiver covers."""

    PASS = "pass"  # noqa: S105  an answer, not a password
    FAIL = "fail"
    UNDECIDED = "undecided"
    WAIVED = "waived"


@dataclass(frozen=True)
class Verdict:
    """One answer: what is so, and for a relation the path that shows it."""

    outcome: Outcome
    message: str = ""
    path: tuple[str, ...] = ()
    fix: str = ""  # when the control's own remediation can be said more exactly


PASS = Verdict(Outcome.PASS)


def fail(message: str, *, path: Iterable[Node | str] = (), fix: str = "") -> Verdict:
    """A violation."""
    return Verdict(Outcome.FAIL, message, _words(path), fix)


def undecided(message: str, *, path: Iterable[Node | str] = ()) -> Verdict:
    """No answer before something exists."""
    return Verdict(Outcome.UNDECIDED, message, _words(path))


def need(condition: bool, message: str) -> Verdict:
    """Pass when so, else fail with the words."""
    return PASS if condition else fail(message)


def _words(path: Iterable[Node | str]) -> tuple[str, ...]:
    return tuple(step.label if isinstance(step, Node) else step for step in path)


# A control of one resource answers for it, or None where it does not apply.
OneResource = Callable[[Node, Settings], Verdict | None]
# A control of relations answers for each resource that it concerns; None is the stack itself.
WholeStack = Callable[[Graph, Settings], Iterable[tuple[Node | None, Verdict]]]


@dataclass(frozen=True)
class Control:
    """A rule with all that one needs to know to follow it."""

    id: str
    title: str
    severity: Severity
    family: Family
    rationale: str
    remediation: str
    frameworks: Frameworks = NONE
    applies_to: tuple[str, ...] = ()
    waivable: bool = True
    # stacks that violate it and stacks that keep it, the first of each for its page; `it` is what is judged
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()
    absent: Absence = "fail"
    # inputs of which it is enough that they are given: a value that is not known yet decides as well
    presence: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # pages beside those that the frameworks name
    one: OneResource | None = None
    whole: WholeStack | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """Where to read more."""
        return (*self.links, *self.frameworks.pages())

    def judge(self, node: Node, settings: Settings) -> Iterator[Finding]:
        """The finding for one resource, if the control applies to it."""
        if self.one is None or (self.applies_to and node.type not in self.applies_to):
            return
        one = self.one
        verdict = _guarded(lambda: one(node, settings))
        if verdict is not None:
            yield self._finding(node, verdict)

    def relate(self, graph: Graph, settings: Settings) -> Iterator[Finding]:
        """The findings of a whole stack; what was found before the control itself failed is kept."""
        if self.whole is None:
            return
        found: list[tuple[Node | None, Verdict]] = []
        whole = self.whole

        def collect() -> None:
            found.extend(whole(graph, settings))

        trouble = _guarded(collect)
        for node, verdict in found:
            yield self._finding(node, verdict)
        if trouble is not None:
            yield self._finding(None, trouble)

    def _finding(self, node: Node | None, verdict: Verdict) -> Finding:
        return Finding(
            control=self,
            urn=node.urn if node else "",
            label=node.label if node else "the stack",
            outcome=verdict.outcome,
            message=verdict.message,
            path=verdict.path,
            fix=verdict.fix or self.remediation,
        )


def _guarded(run: Callable[[], Any]) -> Any:
    """What `run` returns; an unknown that it read, or its own mistake, as a verdict."""
    try:
        return run()
    except UndecidedError as unknown:
        return undecided(f"reads `{unknown.path}`, which is not known before the stack exists")
    except DocumentError as error:
        return fail(str(error), fix="write the document by IAM's grammar")
    except Exception as error:  # noqa: BLE001  one broken control must not silence the others
        # the exception's text may hold a property's value, and that value may be secret
        place = _place(error)
        return fail(
            f"the control itself failed: {type(error).__name__} at {place}",
            fix="report the control, and waive it for this resource until it is mended",
        )


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown line"
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"


@dataclass(frozen=True)
class Finding:
    """One verdict of one control on one resource (or on the stack: no URN)."""

    control: Control
    urn: str
    label: str
    outcome: Outcome
    message: str = ""
    path: tuple[str, ...] = field(default=())
    fix: str = ""
    waiver: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same finding when a control is run again."""
        return (self.control.id, self.urn)

    def text(self) -> str:
        """The words of a violation: what, where, how it came about, the way out."""
        state = " undecided:" if self.outcome is Outcome.UNDECIDED else ""
        lines = [f"{self.control.id} [{self.control.severity}]{state} {self.label}: {self.message}"]
        if self.path:
            lines.append(f"  path: {' → '.join(self.path)}")
        lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


def each(
    nodes: Iterable[Node], judge: Callable[[Node], Verdict | None]
) -> Iterator[tuple[Node | None, Verdict]]:
    """The verdict of each node for itself: an unknown of one says nothing about the next."""
    for node in nodes:
        verdict = _guarded(lambda node=node: judge(node))
        if verdict is not None:
            yield node, verdict


def one(  # a decorator: what it decorates becomes the control
    id_: str, title: str, severity: Severity, family: Family, **more: Any
) -> Callable[[OneResource], Control]:
    """Make a control of a function of one resource."""
    return lambda check: Control(id_, title, severity, family, one=check, **more)


def whole(
    id_: str, title: str, severity: Severity, family: Family, **more: Any
) -> Callable[[WholeStack], Control]:
    """Make a control of a function of the whole stack."""
    return lambda check: Control(id_, title, severity, family, whole=check, **more)
