"""What committing for one or three years would save: reserved instances and nodes, Compute Savings Plans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.pricing.estimate import Estimate
from policies.pricing.table import PriceFileError

DEFAULT_PATH: Final = Path(__file__).with_name("commitments.json")
YEARS: Final = (1, 3)


class Source(BaseModel):
    """Where a discount is from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    date: dt.date


class Offer(BaseModel):
    """A discount for a term; AWS's own differ by size and payment, so these are rounded and marked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str = Field(min_length=1)
    prices: tuple[str, ...] = Field(
        min_length=1, description="beginnings of the names of the prices it covers"
    )
    years: Literal[1, 3]
    payment: Literal["no upfront", "partial upfront", "all upfront"]
    discount: float = Field(gt=0, lt=1)
    source: str
    verified: bool


class Offers(BaseModel):
    """All of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Mapping[str, Source]
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class Scenario:
    """One family of resources under one commitment."""

    offer: Offer
    on_demand: float  # dollars a month
    committed: float

    @property
    def saved(self) -> float:
        """Dollars a month."""
        return self.on_demand - self.committed

    @property
    def break_even_months(self) -> float:
        """How many months of the term it must be in use, lest on demand had been cheaper."""
        return 12 * self.offer.years * (1 - self.offer.discount)


def load(path: Path = DEFAULT_PATH) -> Offers:
    """The discounts of a file."""
    try:
        found = Offers.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise PriceFileError(path.name, [f"  {error}"]) from error
    unknown = {offer.source for offer in found.offers} - set(found.sources)
    if unknown:
        raise PriceFileError(path.name, [f"  no such source: {', '.join(sorted(unknown))}"])
    return found


def scenarios(result: Estimate, offers: Offers) -> list[Scenario]:
    """Each offer that covers something; what only runs at a ceiling is not committed to."""
    found: list[Scenario] = []
    for offer in offers.offers:
        usd = sum(item.usd for item in result.items if item.price.id.startswith(offer.prices))
        if usd:
            found.append(Scenario(offer, usd, usd * (1 - offer.discount)))
    return found


def total(result: Estimate, found: list[Scenario], years: int) -> float:
    """The stack's month with every commitment of that term; what has none stays on demand."""
    return result.total - sum(each.saved for each in found if each.offer.years == years)
