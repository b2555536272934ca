"""Commitments and the break-even of Lambda and ECS, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.pricing import breakeven, commitments, table
from policies.pricing.breakeven import JobType

PRICES = table.load()
JOB = JobType("job", seconds=1, memory_mb=1024, batch=1, vcpu=0.5, memory_gb=1, at_once=4, per_day=50_000)


def test_the_break_even_of_a_job_by_hand() -> None:
    """A GB-second and a call are 13.53 a million; a task is 14.42 a month: 35,020 jobs a day."""
    found = breakeven.break_even(JOB, PRICES, "us-east-1")
    assert found is not None
    assert found.lambda_usd_per_million == pytest.approx(0.20 + 13.3334)
    assert found.task_usd_month == pytest.approx(730 * (0.5 * 0.03238 + 0.00356))
    assert found.per_day == pytest.approx(14.4175 / 13.5334e-6 / (730 / 24))
    assert found.cheaper == "ecs"


def test_at_the_break_even_both_cost_the_same() -> None:
    """The rate that is told is the rate at which the two lines cross."""
    found = breakeven.break_even(JOB, PRICES, "us-east-1")
    assert found is not None
    assert found.per_day is not None
    values = {**JOB.__dict__, "per_day": found.per_day}
    at = breakeven.break_even(JobType(**values), PRICES, "us-east-1")
    assert at is not None
    assert at.lambda_usd_month == pytest.approx(at.ecs_usd_month)


def test_a_task_that_cannot_do_enough_never_breaks_even() -> None:
    """One job at a time on a dear task: even when it is full, Lambda is cheaper."""
    slow = JobType("slow", seconds=60, memory_mb=128, batch=1, vcpu=4, memory_gb=8, at_once=1, per_day=10_000)
    found = breakeven.break_even(slow, PRICES, "us-east-1")
    assert found is not None
    assert (found.per_day, found.cheaper) == (None, "lambda")
    assert found.ecs_usd_month == pytest.approx(7 * found.task_usd_month)  # 1,440 a day each


def test_another_region_has_no_break_even() -> None:
    """Without prices there is no answer."""
    assert breakeven.break_even(JOB, PRICES, "eu-west-1") is None


def test_every_discount_names_its_source_and_covers_prices_that_exist() -> None:
    """A source with a date, and prefixes of names in the table."""
    offers = commitments.load()
    for offer in offers.offers:
        assert offers.sources[offer.source].text
        assert [name for name in PRICES.ids() if name.startswith(offer.prices)], offer.family


def test_a_discount_from_nowhere_is_refused(tmp_path: Path) -> None:
    """And one of more than all of it."""
    document = json.loads(commitments.DEFAULT_PATH.read_text())
    path = tmp_path / "commitments.json"
    document["offers"][0]["source"] = "hearsay"
    path.write_text(json.dumps(document))
    with pytest.raises(table.PriceFileError, match="no such source: hearsay"):
        commitments.load(path)
    document["offers"][0] |= {"source": "plan", "discount": 1.5}
    path.write_text(json.dumps(document))
    with pytest.raises(table.PriceFileError, match="less than 1"):
        commitments.load(path)
