"""The declared use of a stack: what it comes to per price, and what is not believed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from components.budget.usage import UsageConfig
from policies.pricing import table, usage
from tests.components.support import run_stack


def test_the_defaults_are_those_of_the_plan() -> None:
    """10,000 open of which 3,000 move, 500 updates a second of which a tenth on average, and so on."""
    config = UsageConfig()
    assert (config.open_connections, config.active_connections) == (10_000, 3_000)
    assert (config.updates_per_second, config.average_share) == (500, 0.1)
    assert (config.jobs_per_day, config.events_per_day, config.gb_out) == (100_000, 150_000, 2_048)
    assert config.updates == pytest.approx(50 * 365 / 12 * 86_400)


def test_what_it_comes_to_by_hand() -> None:
    """30.42 days: 250,000 messages a day in three requests each; 10,000 connections are 3 1/3 LCU."""
    quantities = UsageConfig().per_price()
    assert quantities["sqs.request"] == pytest.approx(250_000 * 365 / 12 * 3)
    assert quantities["alb.lcu_hour"] == pytest.approx(10_000 / 3_000 * 730)
    assert quantities["transfer.out.gb"] == 2_048
    assert quantities["logs.ingest.gb"] == pytest.approx(3_250_000 * 365 / 12 * 0.2 / 1e6)
    assert quantities["logs.stored.gb"] == pytest.approx(3 * quantities["logs.ingest.gb"])


@pytest.mark.parametrize(
    ("changed", "larger"),
    [
        ({"open_connections": 30_000}, 10 * 730),
        ({"requests_per_day": 86_400 * 500, "reconnects_per_day": 0}, 500 / 25 * 730),
        ({"gb_out": 7_300}, 7_300),
    ],
)
def test_a_load_balancer_is_billed_by_its_largest_dimension(changed: dict[str, float], larger: float) -> None:
    """Connections, new connections, or bytes."""
    assert UsageConfig.model_validate(changed).per_price()["alb.lcu_hour"] == pytest.approx(larger)


def test_job_types_follow_the_declared_rates_and_may_be_replaced() -> None:
    """Deliveries are the events, jobs the jobs; a stack's own type is added, one of that name replaces."""
    own = {"seconds": 30, "memory_mb": 2048, "per_day": 7}
    config = UsageConfig.model_validate({"events_per_day": 10, "job_types": {"render": own, "job": own}})
    rates = {name: job.per_day for name, job in config.compared().items()}
    assert rates == {"schedule": 1_440, "deliver": 10, "job": 7, "render": 7}


def test_every_quantity_is_of_a_price_that_the_pack_has() -> None:
    """The components don't import the pack: a typing mistake would be a use that nobody counts."""
    assert {usage.price_of(key) for key in UsageConfig().per_price()} <= set(table.load().ids())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"active_connections": 20_000}, "active_connections is 20000, but only 10000 are open"),
        ({"users": 500}, "open_connections is 10000, but there are 500 users"),
        ({"gb_out": 1}, "gb_out is 1, but 131,400,000 updates of at least 50 bytes are 6.6 GB"),
        ({"active_connections": 0}, "updates_per_second is above 0, but no connection is active"),
        ({"users": 10_000, "events_per_day": 1e8}, "events_per_day is more than 1000 for each of 10000"),
    ],
)
def test_what_cannot_be_is_refused_with_the_numbers(values: dict[str, float], words: str) -> None:
    """Each contradiction names both of its sides."""
    with pytest.raises(ValidationError) as caught:
        UsageConfig.model_validate(values)
    assert words in str(caught.value)
    assert "hint: correct slipway:usage" in str(caught.value)


def test_the_graph_carries_the_declaration_and_no_resource_for_it() -> None:
    """Outputs of one component, under which AWS gets nothing."""
    program = run_stack("dev")
    (carrier,) = [each for each in program.resources if each.type == "slipway:budget:DeclaredUsage"]
    outputs = program.outputs[carrier.urn]
    assert outputs["declared"]["open_connections"] == 100
    assert outputs["usage"]["transfer.out.gb"] == 20
    assert outputs["declared"]["job_types"]["deliver"]["per_day"] == 1_500
    assert [each for each in program.resources if each.parent == carrier.urn] == []
