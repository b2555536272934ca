"""`slipway cost`: the bill of a composed stack, the same numbers as the budget control, and its words."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lab import cli, model
from lab.check import judge
from lab.cost import commit as commit_report
from lab.cost import compare, report
from lab.cost.at import Priced
from lab.cost.bill import Bill, bill
from lab.output import Output
from lab.synth import synth
from policies.pricing import commitments, table

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


# --- with a file


@pytest.mark.usefixtures("project")
def test_the_picture_has_a_bar_per_tier_and_the_budget(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Widths are in proportion: the whole of 400.85 dollars ends where the budget of 500 is at 80 %."""
    file = tmp_path / "cost.svg"
    code, out, _ = ran(capsys, "prod", "--out", str(file))
    assert (code, out) == (0, "")
    root = ET.fromstring(file.read_text())
    svg = "{http://www.w3.org/2000/svg}"
    bars: dict[str, list[float]] = {}
    for rect in root.iter(f"{svg}rect"):
        bars.setdefault(rect.get("class", ""), []).append(float(rect.get("width", "0")))
    assert [len(bars[kind]) for kind in ("baseline", "usage", "exposure")] == [5, 5, 5]
    (budget,) = [float(line.get("x1", "0")) for line in root.iter(f"{svg}line")]
    whole = bars["baseline"][-1] + bars["usage"][-1]
    assert whole / (budget - 130) == pytest.approx(400.85 / 500, abs=0.002)


EXPLORER = """\
"tier","data($)","network($)","No tag key: tier($)","Total costs($)"
"tier total","800","60","10","870"
"2026-09-01","390.00","30","4","424"
"2026-10-01","410.00","30","6","446"
"""
REPORT = """\
lineItem/UsageStartDate,lineItem/UnblendedCost,resourceTags/user:stack,resourceTags/user:tier
2026-10-01T00:00:00Z,200.5,prod,data
2026-10-02T00:00:00Z,199.5,prod,data
2026-10-02T00:00:00Z,30,prod,network
2026-10-02T00:00:00Z,999,dev,data
2026-10-02T00:00:00Z,5,prod,
"""
REPORT_2 = """\
line_item_usage_start_date,line_item_unblended_cost,resource_tags
2026-10-01,400,"{""user_tier"": ""data"", ""user_stack"": ""prod""}"
2026-10-01,30,"{""user_tier"": ""network"", ""user_stack"": ""prod""}"
2026-10-01,5,"{}"
"""


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("export", [EXPLORER, REPORT, REPORT_2])
def test_the_estimate_beside_what_was_billed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, export: str
) -> None:
    """By tag, an average month: of two formats of the report and of Cost Explorer's columns."""
    file = tmp_path / "export.csv"
    file.write_text(export)
    code, out, _ = ran(capsys, "prod", "--actual", str(file), "--json")
    tiers = {row["name"]: (row["estimated_usd"], row["billed_usd"]) for row in json.loads(out)["tiers"]}
    assert code == 0
    assert tiers == {
        "data": (351.5, 400.0),
        "network": (37.35, 30.0),
        "jobs": (12.0, 0.0),
        "events": (0.0, 0.0),
        "(none)": (0.0, 5.0),
    }
    _, words, _ = ran(capsys, "prod", "--actual", str(file))
    assert "  data              351.50      400.00      +48.50    +14%" in words.splitlines()
    assert "activate it for cost allocation" in words


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "is neither a Cost Explorer nor a Cost and Usage Report export"),
        ("a\n", "has no line of costs"),
        ('"tier","data($)"\n"2026-10-01","much"\n', "has a cost that is no number"),
        ('"tier","data($)"\n"tier total","1"\n', "has no line of a month"),
    ],
)
def test_another_file_of_costs_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: str
) -> None:
    """With what it should be."""
    file = tmp_path / "export.csv"
    file.write_text(text)
    code, _, err = ran(capsys, "prod", "--actual", str(file))
    assert code == 2
    assert words in err
    assert "hint: export Cost Explorer grouped by the tag `tier`" in err


def offer_file(tmp_path: Path, unit: str = "Hrs") -> Path:
    """AWS's sample with one unit changed."""
    text = (ROOT / "tests/policies/offers/AmazonRDS.json").read_text()
    file = tmp_path / "index.json"
    file.write_text(text.replace('"unit": "Hrs"', f'"unit": "{unit}"', 1))
    return file


def test_refresh_shows_and_writes_only_when_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The price file of the test's own is as it was until --write."""
    mine = tmp_path / "prices.json"
    mine.write_text(table.DEFAULT_PATH.read_text())
    files = ("--refresh", str(offer_file(tmp_path)), "--prices", str(mine))
    code, out, _ = ran(capsys, *files)
    assert code == 0
    assert "rds.postgres.db.t4g.micro.single: 0.016 → 0.017 per instance-hour (+6.2 %" in out
    assert mine.read_text() == table.DEFAULT_PATH.read_text()
    _, out, _ = ran(capsys, *files, "--write")
    assert f"written: {mine}" in out
    price = table.load(mine).find("rds.postgres.db.t4g.micro.single", "us-east-1")
    assert price is not None
    assert price.usd == 0.017


def test_a_wrong_unit_is_one_message_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In AWS's file, and in the price file itself."""
    mine = tmp_path / "prices.json"
    mine.write_text(table.DEFAULT_PATH.read_text())
    file = offer_file(tmp_path, unit="Months")
    code, _, err = ran(capsys, "--refresh", str(file), "--prices", str(mine), "--write")
    assert code == 2
    assert "gives 9HPEGXQTDDGH53C9 per 'Months', the table is per 'instance-hour'" in err
    assert mine.read_text() == table.DEFAULT_PATH.read_text()
    mine.write_text(mine.read_text().replace('"unit": "key-month"', '"unit": "per key"'))
    code, out, _ = ran(capsys, "--refresh", str(file), "--prices", str(mine), "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "price-list"
    assert "no such unit" in json.loads(out)["error"]["cause"]


def test_write_without_refresh_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """There would be nothing to write."""
    code, _, err = ran(capsys, "prod", "--write")
    assert code == 2
    assert "--write needs --refresh" in err


@pytest.mark.usefixtures("project")
def test_an_estimate_with_a_wrong_price_file_is_one_message(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Which place of the file, and what is allowed there."""
    mine = tmp_path / "prices.json"
    mine.write_text(table.DEFAULT_PATH.read_text().replace('"unit": "key-month"', '"unit": "per key"'))
    code, _, err = ran(capsys, "prod", "--prices", str(mine))
    assert code == 2
    assert err.startswith("error: prices.json is no valid price file\n")
    assert "no such unit; there are hour" in err


# --- a change


def commit(folder: Path) -> None:
    """The project as it is, committed."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "before")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)


def test_what_a_change_costs_per_resource(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    """A larger database, no NAT, a key: against the commit before, composed from its own files."""
    commit(project)
    program = project / "__main__.py"
    changed = program.read_text().replace("allocated_storage=100", "allocated_storage=150")
    lines = [line for line in changed.splitlines() if "NatGateway" not in line]
    program.write_text("\n".join([*lines, 'aws.kms.Key("key", tags=tags("data"))']))
    code, out, _ = ran(capsys, "prod", "--compare", "HEAD", "--json")
    document = json.loads(out)
    assert code == 0
    assert [(each["label"], each["kind"], each["difference_usd"]) for each in document["differences"]] == [
        ("nat gateway nat", "gone", -37.35),
        ("instance db", "changed", 11.5),
        ("key key", "new", 1.0),
    ]
    assert document["difference_usd"] == -24.85
    assert (document["before_usd"], document["after_usd"]) == (400.85, 376.0)


def test_a_ref_that_is_none_and_a_commit_that_does_not_compose(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    """Each is one message; the second has the program's own error."""
    (project / "__main__.py").write_text("raise RuntimeError('half-way')\n")
    commit(project)
    (project / "__main__.py").write_text(PROGRAM)
    code, _, err = ran(capsys, "prod", "--compare", "no-such-branch")
    assert code == 2
    assert "error: 'no-such-branch' is no commit here" in err
    code, _, err = ran(capsys, "prod", "--compare", "HEAD")
    assert code == 2
    assert "error: the program at HEAD does not compose" in err
    assert "half-way" in err


def test_a_comparison_in_words_and_in_markdown() -> None:
    """New and gone resources have no before and no after; what is the same is left out."""
    before = [Priced("a", "key a", 1.0, 1.0), Priced("b", "queue b", 2.0, 2.0)]
    after = [Priced("a", "key a", 1.0, 1.0), Priced("c", "service c", 10.0, 50.0)]
    assert compare.text("prod", "main", before, after, Output(color=False)).splitlines() == [
        "stack prod: $3.00 at main, $11.00 now: +8.00 a month",
        "",
        "  resource       before       after      change    exposure",
        "  service c           -       10.00      +10.00      +50.00",
        "  queue b          2.00           -       -2.00       -2.00",
    ]
    assert "| service c | - | 10.00 | +10.00 | +50.00 |" in compare.markdown("prod", "main", before, after)
    same = compare.text("prod", "main", before, before, Output(color=False))
    assert same.endswith("no resource costs more or less")


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


# By hand from the price list: hours of a month, sizes of Pulumi.prod.yaml, AWS's us-east-1 prices.
BY_HAND = {
    "instance database": 730 * 0.45
    + 100 * 0.23
    + 50 * 0.095
    + 0.40,  # db.r6g.large Multi-AZ, gp3, backups, secret
    "replication group cache": 2 * 730 * 0.1752,  # two cache.r7g.large of Valkey
    "nat gateway network-nat-a": 730 * 0.045 + 200 / 3 * 0.045,  # a third of 200 GB
    "service api": 2 * 730 * (0.5 * 0.03238 + 1 * 0.00356),  # two tasks of half a vCPU and 1 GB on Graviton
    "key key": 1.00,
}


def test_five_resources_of_prod_by_hand(priced: Bill) -> None:
    """The estimate of each is what one gets with the price list and a calculator."""
    rows = {row.name: row.total for row in priced.rows("resource")}
    assert {name: round(rows[name], 2) for name in BY_HAND} == {
        name: round(usd, 2) for name, usd in BY_HAND.items()
    }


def test_commitments_as_columns_and_the_break_even_of_job_types(priced: Bill) -> None:
    """1 and 3 years with their sources; a rate from which a task is cheaper than Lambda."""
    offers = commitments.load()
    prices = table.load()
    document = commit_report.document(priced, offers, prices)
    rds = {each["years"]: each for each in document["commitments"] if each["family"] == "RDS instances"}
    assert rds[1]["on_demand_usd"] == round(730 * 0.45, 2)
    assert rds[1]["committed_usd"] == round(730 * 0.45 * 0.7, 2)
    assert (rds[1]["break_even_months"], rds[3]["break_even_months"]) == (8.4, 18.0)
    assert all(each["source"] for each in document["commitments"])
    whole = document["committed_total_usd"]
    assert priced.estimate.total > whole["1 year"] > whole["3 year"]
    words = commit_report.text(priced, offers, prices, Output(color=False))
    assert "discounts not traced to AWS" in words
    assert {each["name"] for each in document["job_types"]} == {"schedule", "deliver", "job"}
