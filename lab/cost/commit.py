"""What commitments would save, as columns, and the rate at which a container beats Lambda, per job type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from lab.cost.bill import Bill
from lab.cost.report import usd
from lab.output import Output
from policies.pricing import commitments
from policies.pricing.breakeven import BreakEven, JobType, break_even
from policies.pricing.commitments import YEARS, Offers, Scenario
from policies.pricing.table import PriceTable

_COLUMN: Final = 14


def job_types(bill: Bill) -> list[JobType]:
    """Those that the stack declares."""
    declared = cast("Mapping[str, Mapping[str, Any]]", bill.declared.get("job_types", {}))
    return [JobType(name=name, **values) for name, values in declared.items()]


def break_evens(bill: Bill, prices: PriceTable) -> list[BreakEven]:
    """One per job type, where the region has the prices."""
    found = (break_even(job, prices, bill.estimate.region) for job in job_types(bill))
    return [each for each in found if each is not None]


def document(bill: Bill, offers: Offers, prices: PriceTable) -> dict[str, Any]:
    """For `--json`."""
    found = commitments.scenarios(bill.estimate, offers)
    return {
        "commitments": [
            {
                "family": each.offer.family,
                "years": each.offer.years,
                "payment": each.offer.payment,
                "on_demand_usd": round(each.on_demand, 2),
                "committed_usd": round(each.committed, 2),
                "break_even_months": round(each.break_even_months, 1),
                "verified": each.offer.verified,
                "source": offers.sources[each.offer.source].text,
            }
            for each in found
        ],
        "committed_total_usd": {
            f"{years} year": round(commitments.total(bill.estimate, found, years), 2) for years in YEARS
        },
        "job_types": [
            {
                "name": each.job.name,
                "lambda_usd": round(each.lambda_usd_month, 2),
                "ecs_usd": round(each.ecs_usd_month, 2),
                "break_even_per_day": None if each.per_day is None else round(each.per_day),
                "capacity_per_day": round(each.capacity_per_day),
                "cheaper": each.cheaper,
            }
            for each in break_evens(bill, prices)
        ],
    }


def text(bill: Bill, offers: Offers, prices: PriceTable, output: Output) -> str:
    """A table of commitments and one of job types."""
    found = commitments.scenarios(bill.estimate, offers)
    return "\n".join([*_commitments(bill, found, output), "", *_jobs(break_evens(bill, prices), output)])


def _commitments(bill: Bill, found: list[Scenario], output: Output) -> Iterable[str]:
    families = list(dict.fromkeys(each.offer.family for each in found))
    width = max(18, *(len(family) for family in families)) if families else 18
    heads = ("on demand", "1 year", "break-even", "3 years", "break-even")
    yield output.paint(f"stack {bill.stack}: commitments, US dollars a month", "bold")
    yield ""
    yield output.paint(f"  {'':<{width}}" + "".join(f"{head:>{_COLUMN}}" for head in heads), "dim")
    for family in families:
        of_family = {each.offer.years: each for each in found if each.offer.family == family}
        on_demand = next(iter(of_family.values())).on_demand
        cells = [usd(on_demand), *(cell for years in YEARS for cell in _cells(of_family.get(years)))]
        yield f"  {family:<{width}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    totals = [usd(commitments.total(bill.estimate, found, years)) for years in YEARS]
    cells = [usd(bill.estimate.total), totals[0], "", totals[1], ""]
    whole = f"  {'the whole stack':<{width}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    yield output.paint(whole.rstrip(), "bold")
    doubtful = sorted({each.offer.family for each in found if not each.offer.verified})
    if doubtful:
        yield f"discounts not traced to AWS: {', '.join(doubtful)}; `-`: no source found"


def _cells(scenario: Scenario | None) -> tuple[str, str]:
    if scenario is None:
        return "-", "-"
    return usd(scenario.committed), f"{scenario.break_even_months:.1f} months"


def _jobs(found: list[BreakEven], output: Output) -> Iterable[str]:
    if not found:
        yield "no job type is declared (slipway:usage.job_types)"
        return
    width = max(18, *(len(each.job.name) for each in found))
    heads = ("jobs a day", "Lambda", "ECS", "ECS from", "cheaper now")
    yield output.paint("Lambda or a task that always runs, per job type", "bold")
    yield ""
    yield output.paint(f"  {'':<{width}}" + "".join(f"{head:>{_COLUMN}}" for head in heads), "dim")
    for each in found:
        meet = "never" if each.per_day is None else f"{each.per_day:,.0f}"
        cells = (f"{each.job.per_day:,.0f}", usd(each.lambda_usd_month), usd(each.ecs_usd_month), meet)
        row = f"  {each.job.name:<{width}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)
        yield f"{row}{each.cheaper:>{_COLUMN}}"
