"""Judging a composed stack: the project's own stacks pass, stacks broken on purpose fail with path and fix."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pytest

from lab import cli
from lab.check import judge
from lab.check.document import document
from lab.check.text import text
from lab.output import Output
from lab.synth import compose, synth

ROOT = Path(__file__).parents[2]
WORLD = "0.0.0.0/0"


def check(program: Callable[[], object], **options: Any) -> judge.Report:
    """A small program, judged as strictly as prod."""
    return judge.check(compose(program, stack="prod"), **options)


def failing(report: judge.Report, control: str) -> list[Any]:
    """The failures of one control."""
    return [each for each in report.findings if each.control.id == control and each.outcome.value == "fail"]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_projects_stacks_pass_with_counts(stack: str) -> None:
    """Every family has verdicts, and none is a failure or undecided."""
    report = judge.check(synth(ROOT, stack))
    counts = report.counts()
    assert (counts["fail"], counts["undecided"], report.violations) == (0, 0, ())
    assert counts["pass"] > 80
    for family in ("private-network", "encryption", "budget"):
        judged = [each for each in report.findings if each.control.family == family]
        assert len(judged) > 3, family


def test_a_service_in_a_public_subnet_fails_with_the_path_and_the_fix() -> None:
    """From the composed graph, with every id unknown."""

    def program() -> None:
        vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
        gateway = aws.ec2.InternetGateway("igw", vpc_id=vpc.id)
        subnet = aws.ec2.Subnet("public-a", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
        table = aws.ec2.RouteTable("public", vpc_id=vpc.id)
        aws.ec2.RouteTableAssociation("link", subnet_id=subnet.id, route_table_id=table.id)
        aws.ec2.Route("out", route_table_id=table.id, destination_cidr_block=WORLD, gateway_id=gateway.id)
        aws.ecs.Service("api", task_definition="t", network_configuration={"subnets": [subnet.id]})

    report = check(program)
    (finding,) = failing(report, "SLP-NET-001")
    assert finding.path == (
        "service api",
        "subnet public-a",
        "route table public",
        "route out",
        "internet gateway igw",
    )
    shown = text(report, Output(color=False))
    assert (
        "path: service api → subnet public-a → route table public → route out → internet gateway igw" in shown
    )
    assert "fix:  pass the network's private (or isolated) subnets" in shown
    assert shown.splitlines()[-1].startswith("blocked: ")


def test_an_unencrypted_queue_and_a_budget_of_ten_dollars_fail() -> None:
    """The other two of the issue's broken stacks, with what to do."""

    def program() -> None:
        aws.sqs.Queue("jobs", name="jobs")
        aws.rds.Instance("db", engine="postgres", instance_class="db.r6g.large", allocated_storage=100)
        aws.budgets.Budget(
            "monthly", budget_type="COST", time_unit="MONTHLY", limit_amount="10", limit_unit="USD"
        )

    report = check(program)
    assert [each.urn.rpartition("::")[2] for each in failing(report, "SLP-ENC-002")] == ["jobs", "db"]
    (money,) = failing(report, "SLP-BUD-001")
    assert "over its budget of $10.00" in money.message
    assert "slipway:budget.monthly_usd" in money.fix


def test_a_stack_without_a_configuration_of_its_own_is_judged_strictly() -> None:
    """`staging` has no config file: what cannot be decided blocks, as in prod."""

    def program() -> None:
        role = aws.iam.Role("r", assume_role_policy="{}")
        aws.kms.Key("k", enable_key_rotation=role.arn)  # pyright: ignore[reportArgumentType]

    strict = judge.check(compose(program, stack="staging"))
    assert strict.config == "config.prod.json"
    assert [each.policy for each in strict.blocking if "SLP-ENC-005" in each.message] == ["resources"]
    lenient = judge.check(compose(program, stack="dev"))
    assert [each for each in lenient.blocking if "SLP-ENC-005" in each.message] == []
    assert lenient.counts()["undecided"] >= 1


def test_a_waiver_counts_as_waived_and_a_stale_one_blocks(tmp_path: Path) -> None:
    """The file's finding is accepted until its day, and then it is two findings."""
    path = tmp_path / "waivers.yaml"
    path.write_text(
        "waivers:\n- {control: SLP-ENC-005, urn: '*::k', reason: rotation is done by hand, owner: me, "
        "ticket: OPS-1, compensating: a reminder each year, expires: 2027-01-01}\n",
        encoding="utf-8",
    )

    def program() -> None:
        aws.kms.Key("k", enable_key_rotation=False)

    before = check(program, waiver_file=path, today=dt.date(2026, 12, 31))
    assert before.counts()["waived"] == 1
    after = check(program, waiver_file=path, today=dt.date(2027, 1, 2))
    assert after.counts()["waived"] == 0
    assert [
        "expired on 2027-01-01" in each.message for each in after.violations if each.policy == "waivers"
    ] == [True]


def test_a_broken_pack_configuration_is_an_error_with_a_hint(tmp_path: Path) -> None:
    """The file, the key, the nearest key; and the rest of the report is there, judged by the defaults."""
    (tmp_path / "config.prod.json").write_text('{"budgett": {}}', encoding="utf-8")
    report = check(lambda: aws.sqs.Queue("jobs", name="jobs"), folder=tmp_path)
    (config,) = report.errors
    assert "budgett: found an unknown policy" in str(config.cause)
    assert config.hint == f"correct {tmp_path / 'config.prod.json'}; until then the rest of it applies"
    assert config.code == "policy-config"
    assert len(failing(report, "SLP-ENC-002")) == 1


def test_the_document_holds_what_the_report_says() -> None:
    """Counts, controls and findings as data, and no secret."""
    report = check(lambda: aws.ssm.Parameter("p", name="/p", type="String", value="visible-value"))
    data = document(report)
    assert data["passed"] is False
    assert data["counts"]["fail"] == sum(each["counts"]["fail"] for each in data["controls"])
    assert "SLP-ENC-003" in {each["control"] for each in data["findings"]}
    assert "visible-value" not in json.dumps(data)


@pytest.mark.parametrize("verb", ["synth", "check"])
def test_the_verbs_print_one_document(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`slipway check dev --json` is one JSON document on stdout, and the exit code says how it went."""
    monkeypatch.chdir(ROOT)
    assert cli.main([verb, "dev", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["stack"] == "dev"
    assert cli.main([verb, "--stack", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_check_exits_one_when_a_stack_is_blocked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report on stdout, nothing but talk on stderr."""
    (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: python\n", encoding="utf-8")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n", encoding="utf-8")
    code = "import pulumi_aws as aws\naws.sqs.Queue('jobs', name='jobs')\n"
    (tmp_path / "__main__.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "dev", "--no-color"]) == 1
    shown = capsys.readouterr().out
    assert "  queue jobs  __main__.py:2\n    urn:pulumi:dev::demo::aws:sqs/queue:Queue::jobs\n" in shown
    assert "    fail SLP-ENC-002 [high] has no kmsMasterKeyId" in shown
    assert "the stack\n    fail SLP-BUD-001 [high] has no monthly budget" in shown
