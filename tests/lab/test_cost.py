"""`slipway cost`: the bill of a composed stack, the same numbers as the budget control, and its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import cli, model
from lab.check import judge
from lab.cost import report
from lab.cost.bill import Bill, bill
from lab.output import Output
from lab.synth import synth

ROOT = Path(__file__).parents[2]
# what a stack of its own may look like: no component of Slipway is used
PROGRAM = """
import pulumi
import pulumi_aws as aws

tags = lambda tier: {"tier": tier}

class DeclaredUsage(pulumi.ComponentResource):
    def __init__(self, usage):
        super().__init__("acme:cost:DeclaredUsage", "usage")
        self.register_outputs({"declared": {"messages": 10_000_000}, "usage": usage})

DeclaredUsage({"sqs.request": 30_000_000, "nat.gb": 100})
limit = pulumi.Config().require("limit")
aws.budgets.Budget("monthly", budget_type="COST", time_unit="MONTHLY", limit_amount=limit, limit_unit="USD")
aws.rds.Instance("db", engine="postgres", instance_class="db.r6g.large", multi_az=True,
                 allocated_storage=100, max_allocated_storage=200, tags=tags("data"))
aws.ec2.NatGateway("nat", subnet_id="subnet-1", tags=tags("network"))
aws.sqs.Queue("jobs", tags=tags("jobs"))
aws.msk.Cluster("kafka", kafka_version="3", number_of_broker_nodes=3, tags=tags("events"),
    broker_node_group_info={"instance_type": "kafka.m5.large", "client_subnets": [], "security_groups": []})
"""
# db 730 x 0.45 + 100 x 0.23 = 351.50, at its ceiling 374.50; nat 32.85 + 4.50; queue 12.00


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stack within its budget and one over it."""
    (tmp_path / "Pulumi.yaml").write_text("name: acme\nruntime: python\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    for stack, limit in (("prod", 500), ("poor", 300)):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(f'config:\n  acme:limit: "{limit}"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = cli.main(["cost", *words, "--no-color"])
    out = capsys.readouterr()
    return code, out.out, out.err


GOLDEN = """\
stack prod: 6 resources in us-east-1, US dollars a month

  tier           baseline      usage      total   exposure   unpriced
  data             351.50       0.00     351.50     374.50          -
  network           32.85       4.50      37.35      37.35          -
  jobs               0.00      12.00      12.00      12.00          -
  events             0.00       0.00       0.00       0.00          1
  all              384.35      16.50     400.85     423.85          1

within the budget of $500.00: 80% of it; at every ceiling 0.8 x the budget
no price: cluster kafka: no price for aws:msk/cluster:Cluster (not in the sums)
no use declared: rds.backup.gb of 1 resource (not in the sums)
the oldest price is of 2026-09-11 (sqs.request)
"""


@pytest.mark.usefixtures("project")
def test_four_figures_per_tier_and_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Golden: a row per tier, the whole, the budget, and everything that is in no sum."""
    code, out, err = ran(capsys, "prod")
    assert (code, err) == (0, "")
    assert out.splitlines() == GOLDEN.splitlines()


@pytest.mark.usefixtures("project")
def test_a_stack_over_its_budget_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The same program with a budget of 300 dollars."""
    code, out, _ = ran(capsys, "poor")
    assert code == 1
    assert "over the budget of $300.00: 134% of it" in out


@pytest.mark.usefixtures("project")
def test_json_is_one_document_with_rows_and_urns(capsys: pytest.CaptureFixture[str]) -> None:
    """By service, named as AWS's bill names them."""
    code, out, _ = ran(capsys, "prod", "--by", "service", "--json")
    document = json.loads(out)
    assert (code, document["ok"], document["command"]) == (0, True, "cost")
    assert {row["name"]: row["total_usd"] for row in document["rows"]} == {
        "AmazonRDS": 351.5,
        "AmazonEC2": 37.35,
        "AWSQueueService": 12.0,
        "aws:msk": 0.0,
    }
    assert document["budget_usd"] == 500
    assert document["declared"] == {"messages": 10_000_000}
    assert [each["label"] for each in document["unpriced"]] == ["cluster kafka"]
    assert document["dearest"][0]["urn"].endswith("aws:rds/instance:Instance::db")


@pytest.mark.usefixtures("project")
def test_markdown_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """For a pull request."""
    _, out, _ = ran(capsys, "prod", "--markdown", "--by", "resource")
    lines = out.splitlines()
    assert lines[0] == "### Cost of `prod`, US dollars a month"
    assert "| instance db | 351.50 | 0.00 | 351.50 | 374.50 | - |" in lines
    assert "| **all** | 384.35 | 16.50 | 400.85 | 423.85 | 1 |" in lines


# --- the project's own stack


@pytest.fixture(scope="module")
def prod() -> model.Graph:
    """Composed once."""
    return synth(ROOT, "prod")


@pytest.fixture(scope="module")
def priced(prod: model.Graph) -> Bill:
    """Its bill."""
    return bill(prod)


def test_the_control_and_the_command_say_the_same(prod: model.Graph, priced: Bill) -> None:
    """One pricing package, one declared use: the figures of the budget control are those of the bill."""
    (finding,) = [each for each in judge.check(prod).findings if each.control.id == "SLP-BUD-001"]
    result = priced.estimate
    assert f"${result.total:,.2f} of ${priced.budget:,.2f} a month" in finding.message
    assert f"declared use ${result.usage:,.2f}, ${result.exposure:,.2f} with" in finding.message


def test_every_tier_of_prod_has_its_figures(priced: Bill) -> None:
    """No resource is unpriced, none lacks its use, and the rows sum up to the whole."""
    rows = {row.name: row for row in priced.rows("tier")}
    assert {"data", "network", "realtime"} <= set(rows)
    assert rows["data"].total > rows["network"].total > 0
    assert rows["realtime"].exposure > rows["realtime"].total
    assert (priced.estimate.unpriced, priced.estimate.undeclared) == ([], {})
    for by in ("tier", "service", "resource"):
        parts = priced.rows(by)
        assert sum(row.total for row in parts) == pytest.approx(priced.whole.total)
        assert sum(row.exposure for row in parts) == pytest.approx(priced.whole.exposure)


def test_words_fit_a_terminal(priced: Bill) -> None:
    """No row is broken by a long name or a large number."""
    words = report.text(priced, "resource", Output(color=False)).splitlines()
    table: list[Any] = [line for line in words if line.startswith("  ")]
    assert {len(line) for line in table} == {len(table[0])}
