"""The price table: every price with its unit, usage type, region, source and date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from policies.pricing import units

DEFAULT_PATH: Final = Path(__file__).with_name("prices.json")


class PriceFileError(Exception):
    """A price file is wrong, in one or several places."""

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__("\n".join([f"{source} is no valid price file:", *problems]))
        self.problems = problems


class Price(BaseModel):
    """One list price."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    usd: float = Field(gt=0)
    unit: str = Field(min_length=1)
    offer: str = Field(
        min_length=1, description="AWS's offer code, with the file's version where it is known"
    )
    sku: str = ""
    usage_type: str = Field(min_length=1)
    region: str
    source: str
    date: dt.date
    verified: bool

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, unit: str) -> str:
        if units.basic(unit) not in units.UNITS:
            raise ValueError(f"no such unit; there are {', '.join(units.UNITS)}")
        return unit


class Source(BaseModel):
    """Where prices are from, and how long they are believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    max_age_days: int = Field(ge=1)


class PriceTable(BaseModel):
    """All prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str
    hours_per_month: int
    sources: Mapping[str, Source]
    prices: tuple[Price, ...]

    @model_validator(mode="after")
    def _each_once_and_from_somewhere(self) -> Self:
        wrong = [
            f"{price.id}: its source {price.source!r} is none of {', '.join(self.sources)}"
            for price in self.prices
            if price.source not in self.sources
        ]
        seen: set[tuple[str, str]] = set()
        for price in self.prices:
            if (price.region, price.id) in seen:
                wrong.append(f"{price.id}: twice for {price.region}")
            seen.add((price.region, price.id))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, str], Price]:
        return {(price.region, price.id): price for price in self.prices}

    def find(self, id_: str, region: str) -> Price | None:
        """The price of a thing in a region; another region's price is no answer."""
        return self._by_key.get((region, id_))

    def stale(self, today: dt.date) -> list[Price]:
        """The prices that are older than their source is believed."""
        return [
            price
            for price in self.prices
            if (today - price.date).days > self.sources[price.source].max_age_days
        ]

    def ids(self) -> list[str]:
        """Every price's name."""
        return sorted({price.id for price in self.prices})


def load(path: Path = DEFAULT_PATH) -> PriceTable:
    """The table of a file."""
    try:
        return PriceTable.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PriceFileError(path.name, [f"  it cannot be read: {error}"]) from error
    except ValidationError as error:
        problems = [
            f"  {'.'.join(str(part) for part in each['loc'])}: {each['msg']} (found {each['input']!s:.80})"
            for each in error.errors(include_url=False)
        ]
        raise PriceFileError(path.name, problems) from error
