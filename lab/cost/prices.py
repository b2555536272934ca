"""The price file beside AWS's own files: what changed, and the file written anew when that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.output import Output
from policies.pricing import refresh, table


def refreshed(files: Sequence[Path], prices: Path) -> refresh.Refresh:
    """What AWS's files say of the price file."""
    try:
        offers = [refresh.offer(path.name, path.read_text(encoding="utf-8")) for path in files]
        return refresh.refresh(table.load(prices), offers)
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            "a price list file cannot be read",
            cause=str(error),
            hint="name offer files (index.json) of the AWS Price List",
            code="price-list",
        ) from error
    except table.PriceFileError as error:
        first, _, rest = str(error).partition("\n")
        raise LabError(
            first.rstrip(":"),
            cause=rest,
            hint="nothing was written; correct the price file, or give the price its sku",
            code="price-list",
        ) from error


def write(prices: Path, result: refresh.Refresh) -> None:
    """The price file with the new prices."""
    try:
        prices.write_text(refresh.rewritten(prices.read_text(encoding="utf-8"), result), encoding="utf-8")
    except OSError as error:
        raise LabError(f"{prices} cannot be written", cause=str(error), code="out-not-writable") from error


def document(result: refresh.Refresh, *, written: bool) -> dict[str, Any]:
    """For `--json`."""
    return {
        "written": written,
        "changed": [
            {
                "id": each.before.id,
                "before_usd": each.before.usd,
                "after_usd": each.after.usd,
                "percent": round(each.percent, 2),
                "sku": each.after.sku,
                "offer": each.after.offer,
            }
            for each in result.changed
        ],
        "confirmed": [each.before.id for each in result.confirmed],
        "missing": result.missing,
    }


def text(result: refresh.Refresh, prices: Path, output: Output, *, written: bool) -> str:
    """For a person."""
    lines = [
        output.paint(
            f"{len(result.changed)} prices changed, {len(result.confirmed)} confirmed, "
            f"{len(result.missing)} not in these files",
            "bold",
        )
    ]
    lines.extend(
        f"  {each.before.id}: {each.before.usd:.10g} → {each.after.usd:.10g} per {each.before.unit} "
        f"({each.percent:+.1f} %, {each.after.offer})"
        for each in result.changed
    )
    lines.extend(f"  not found: {each}" for each in result.missing)
    if written:
        lines.append(f"written: {prices}")
    elif result.changed or result.confirmed:
        lines.append(f"{prices.name} is unchanged; --write writes prices, dates and SKUs")
    return "\n".join(lines)
