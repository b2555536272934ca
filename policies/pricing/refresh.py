"""New prices from AWS's own price list files (the offer files, JSON): what changes, and the changed file.

Format: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

from policies.pricing import units
from policies.pricing.table import Price, PriceFileError, PriceTable

_FORMAT: Final = "v1.0"
_REGION_PREFIX: Final = re.compile(r"^[A-Z]{2,4}\d-")
# one usage type is billed for several engines, each at its own price
_ATTRIBUTES: Final[Mapping[str, Mapping[str, str]]] = {
    "rds.postgres.": {"databaseEngine": "PostgreSQL"},
    "cache.valkey.": {"cacheEngine": "Valkey"},
    "cache.redis.": {"cacheEngine": "Redis"},
}


@dataclass(frozen=True)
class Offer:
    """One file of AWS: a service's products with their on-demand prices."""

    source: str
    code: str
    version: str
    date: dt.date
    products: Mapping[str, Mapping[str, str]]  # attributes by SKU
    terms: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One price, before and after."""

    before: Price
    after: Price

    @property
    def percent(self) -> float:
        """By how much it changed."""
        return 100 * (self.after.usd / self.before.usd - 1)


@dataclass
class Refresh:
    """What the files say of the table's prices."""

    changed: list[Change] = field(default_factory=list[Change])
    confirmed: list[Change] = field(default_factory=list[Change])  # the same dollars, of a newer date
    missing: list[str] = field(default_factory=list[str])  # of these files' services, but not in them


def offer(source: str, text: str) -> Offer:
    """A price list file, checked."""
    try:
        document: Any = json.loads(text)
        if document.get("formatVersion") != _FORMAT:
            raise PriceFileError(
                source, [f"  formatVersion is {document.get('formatVersion')!r}, not {_FORMAT!r}"]
            )
        return Offer(
            source=source,
            code=str(document["offerCode"]),
            version=str(document["version"]),
            date=dt.datetime.fromisoformat(document["publicationDate"]).date(),
            products={sku: product["attributes"] for sku, product in document["products"].items()},
            terms=document["terms"]["OnDemand"],
        )
    except json.JSONDecodeError as error:
        raise PriceFileError(source, [f"  it is no JSON: {error}"]) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PriceFileError(
            source, [f"  it is no offer file of the AWS Price List: {type(error).__name__} {error}"]
        ) from error


def refresh(table: PriceTable, offers: Iterable[Offer]) -> Refresh:
    """Look up every price of the offers' services; a wrong unit or a doubt is an error, never a guess."""
    result = Refresh()
    problems: list[str] = []
    for each in offers:
        for price in table.prices:
            if price.offer.partition(" ")[0] != each.code:
                continue
            found = _find(price, each, problems)
            if found is None:
                if price.id not in result.missing:
                    result.missing.append(price.id)
                continue
            same = abs(found.usd - price.usd) < 1e-12
            (result.confirmed if same else result.changed).append(Change(price, found))
    if problems:
        raise PriceFileError("the price list", problems)
    return result


def _find(price: Price, offer_: Offer, problems: list[str]) -> Price | None:
    found: dict[str, float] = {}
    for sku in _skus(price, offer_):
        for unit, usd in _first_paid_tier(offer_, sku):
            if not units.same(price.unit, unit):
                problems.append(
                    f"  {price.id}: {offer_.source} gives {sku} per {unit!r}, the table is per {price.unit!r}"
                )
                return None
            found[sku] = usd
    if len(set(found.values())) > 1:
        some = ", ".join(f"{sku} {usd:g}" for sku, usd in sorted(found.items())[:3])
        problems.append(
            f"  {price.id}: {offer_.source} has several prices of {price.usage_type}: {some}; "
            "give the price its sku"
        )
        return None
    if not found:
        return None
    sku, usd = min(found.items())
    changes = {
        "usd": usd,
        "sku": sku,
        "offer": f"{offer_.code} {offer_.version}",
        "source": "offers",
        "date": offer_.date,
        "verified": True,
    }
    return price.model_copy(update=changes)


def _skus(price: Price, offer_: Offer) -> list[str]:
    if price.sku:
        return [price.sku] if price.sku in offer_.products else []
    wanted: Mapping[str, str] = {}
    for prefix, attributes in _ATTRIBUTES.items():
        if price.id.startswith(prefix):
            wanted = attributes
    usage_type = _REGION_PREFIX.sub("", price.usage_type)
    return [
        sku
        for sku, attributes in offer_.products.items()
        if _REGION_PREFIX.sub("", attributes.get("usagetype", "")) == usage_type
        and attributes.get("regionCode", price.region) == price.region
        and all(attributes.get(key) == value for key, value in wanted.items())
    ]


def _first_paid_tier(offer_: Offer, sku: str) -> list[tuple[str, float]]:
    """Unit and dollars of the lowest tier that costs something: below it is the free tier."""
    tiers: list[tuple[float, str, float]] = []
    for term in cast("Mapping[str, Any]", offer_.terms.get(sku, {})).values():
        for dimension in term["priceDimensions"].values():
            usd = float(dimension["pricePerUnit"].get("USD", 0))
            if usd > 0:
                tiers.append((float(dimension.get("beginRange", 0)), str(dimension["unit"]), usd))
    return [(unit, usd) for _, unit, usd in sorted(tiers)[:1]]


def rewritten(text: str, result: Refresh) -> str:
    """The price file's text with the new prices: a line each, in their places."""
    after = {
        (change.before.region, change.before.id): change.after
        for change in (*result.confirmed, *result.changed)
    }
    lines = text.splitlines()
    for index, line in enumerate(lines):
        body = line.strip().removesuffix(",")
        if not body.startswith('{"id"'):
            continue
        entry: dict[str, Any] = json.loads(body)
        price = after.get((entry["region"], entry["id"]))
        if price is not None:
            comma = "," if line.rstrip().endswith(",") else ""
            lines[index] = f"    {_entry(price)}{comma}"
    return "\n".join(lines) + "\n"


def _entry(price: Price) -> str:
    """A line of the file; dollars written out, not as 2e-07."""
    text = json.dumps({**price.model_dump(mode="json"), "usd": None})
    return text.replace('"usd": null', f'"usd": {Decimal(str(price.usd)):f}', 1)
