"""Prices from AWS's own files: what changes, what is refused, and how the price file is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policies.pricing import refresh, table
from policies.pricing.units import same

OFFERS = Path(__file__).with_name("offers")
PRICES = table.load()


def offer(name: str = "AmazonRDS", change: Any = None) -> refresh.Offer:
    """A sample offer file, changed."""
    document = json.loads((OFFERS / f"{name}.json").read_text())
    if change is not None:
        change(document)
    return refresh.offer(f"{name}.json", json.dumps(document))


def test_a_changed_price_is_found_by_its_sku_with_the_files_version_and_date() -> None:
    """db.t4g.micro went from 0.016 to 0.017."""
    result = refresh.refresh(PRICES, [offer()])
    (change,) = result.changed
    assert (change.before.id, change.before.usd, change.after.usd) == (
        "rds.postgres.db.t4g.micro.single",
        0.016,
        0.017,
    )
    assert round(change.percent, 2) == 6.25
    assert change.after.offer == "AmazonRDS 20261120185342"
    assert (change.after.source, str(change.after.date), change.after.verified) == (
        "offers",
        "2026-11-20",
        True,
    )


def test_without_a_sku_usage_type_and_engine_decide() -> None:
    """MySQL's price has PostgreSQL's usage type and is another one."""
    result = refresh.refresh(PRICES, [offer()])
    confirmed = {change.before.id: change.after for change in result.confirmed}
    assert confirmed["rds.postgres.db.t4g.medium.single"].sku == "PGMEDIUM00000001"
    assert confirmed["rds.gp3.gb.single"].usd == 0.115
    assert "rds.proxy.vcpu_hour" in result.missing
    assert "nat.hour" not in result.missing  # of a service whose file was not given


def test_below_the_first_price_is_the_free_tier() -> None:
    """SQS: a million free, then 0.40; a region's prefix of the usage type does not matter."""
    result = refresh.refresh(PRICES, [offer("AWSQueueService")])
    assert {change.before.id: change.after.usd for change in result.confirmed} == {"sqs.request": 4e-07}


def test_a_wrong_unit_is_an_error_with_both_units() -> None:
    """Dollars per month in place of dollars per hour would be 730 times too few."""

    def monthly(document: Any) -> None:
        for term in document["terms"]["OnDemand"]["9HPEGXQTDDGH53C9"].values():
            for dimension in term["priceDimensions"].values():
                dimension["unit"] = "Months"

    with pytest.raises(table.PriceFileError) as caught:
        refresh.refresh(PRICES, [offer(change=monthly)])
    assert (
        "rds.postgres.db.t4g.micro.single: AmazonRDS.json gives 9HPEGXQTDDGH53C9 per 'Months', "
        "the table is per 'instance-hour'" in str(caught.value)
    )


def test_two_prices_for_one_usage_type_are_a_doubt_not_a_guess() -> None:
    """A second PostgreSQL product at another price: the table must name the SKU."""

    def second(document: Any) -> None:
        document["products"]["MYMEDIUM00000001"]["attributes"]["databaseEngine"] = "PostgreSQL"

    with pytest.raises(table.PriceFileError, match=r"several prices of InstanceUsage:db\.t4g\.medium"):
        refresh.refresh(PRICES, [offer(change=second)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "it is no JSON"),
        ('{"formatVersion": "v2.0"}', "formatVersion is 'v2.0', not 'v1.0'"),
        ('{"formatVersion": "v1.0", "offerCode": "X"}', "it is no offer file of the AWS Price List"),
        ("[]", "it is no offer file"),
    ],
)
def test_another_file_is_refused(text: str, words: str) -> None:
    """With its name and what is wrong with it."""
    with pytest.raises(table.PriceFileError, match=r"bill\.json") as caught:
        refresh.offer("bill.json", text)
    assert words in str(caught.value)


def test_the_price_file_is_rewritten_line_by_line(tmp_path: Path) -> None:
    """Only the lines of found prices change; the file is valid, and a second refresh finds nothing new."""
    before = table.DEFAULT_PATH.read_text()
    offers = [offer(), offer("AWSQueueService")]
    after = refresh.rewritten(before, refresh.refresh(PRICES, offers))
    changed = [line for line, old in zip(after.splitlines(), before.splitlines(), strict=True) if line != old]
    assert len(changed) == 4
    assert any('"usd": 0.0000004,' in line for line in changed)
    path = tmp_path / "prices.json"
    path.write_text(after)
    new = table.load(path)
    again = refresh.refresh(new, offers)
    assert (again.changed, len(again.confirmed)) == ([], 4)
    price = new.find("rds.postgres.db.t4g.micro.single", "us-east-1")
    assert price is not None
    assert price.usd == 0.017


def test_units_are_compared_without_their_conditions() -> None:
    """`GB-month, first 50 TB` is GB-Mo."""
    assert same("GB-month, first 50 TB", "GB-Mo")
    assert same("GB-hour over 20 GB", "GB-Hours")
    assert not same("GB", "GB-Mo")
    assert not same("nonsense", "Hrs")
