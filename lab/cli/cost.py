"""`slipway cost`: what the stack will cost in a month, before it exists."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.cli.common import UsageError, known_stack, project_root, stack_argument
from lab.errors import EXIT_FINDINGS, EXIT_OK, LabError

if TYPE_CHECKING:
    from lab.cost.bill import Bill

EXAMPLES = """
slipway cost prod                    baseline, declared use, exposure and what has no price, per tier
slipway cost prod --by resource      what each resource costs, the dearest first
slipway cost prod --compare main     what the working tree costs more or less than main, per resource
slipway cost prod --commitments      reserved instances and savings plans; Lambda or ECS per job type
slipway cost prod --actual ce.csv    beside what AWS billed
slipway cost prod --out cost.svg     a picture
slipway cost --refresh AmazonRDS.json --write    prices from AWS's own price list files
"""


def register(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("cost", help="estimate its monthly bill", examples=EXAMPLES)
    stack_argument(parser)
    parser.add_argument(
        "--by", choices=("tier", "service", "resource"), default="tier", help="what a row is (default: tier)"
    )
    parser.add_argument("--markdown", action="store_true", help="a table for a pull request")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="another price file than the pack's")
    parser.add_argument("--write", action="store_true", help="with --refresh: write the price file")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--compare", metavar="REF", help="per resource, beside a git ref")
    what.add_argument("--commitments", action="store_true", help="1- and 3-year terms, and Lambda beside ECS")
    what.add_argument("--actual", type=Path, metavar="FILE", help="a Cost Explorer or CUR export (CSV)")
    what.add_argument(
        "--refresh", type=Path, nargs="+", metavar="FILE", help="offer files of the AWS Price List"
    )


def run(args: argparse.Namespace) -> int:
    """Compose, price, print; exit 1 when the stack costs more than its budget."""
    if args.write and not args.refresh:
        raise UsageError("--write needs --refresh", hint="slipway cost --refresh FILE --write")
    if args.refresh:
        return _refresh(args)
    from lab.cost.bill import bill, price_table  # noqa: PLC0415  `--help` does not pay for Pulumi
    from lab.synth import synth  # noqa: PLC0415

    root = project_root()
    stack = known_stack(root, args.stack)
    export = None
    if args.actual:
        from lab.cost import actual  # noqa: PLC0415

        export = actual.read(args.actual, stack)  # a bad file is told before the stack is composed
    prices = price_table(args.prices)
    priced = bill(synth(root, stack, mode="preview"), prices)
    if args.compare:
        _compare(args, root, priced)
    elif args.commitments:
        from lab.cost import commit  # noqa: PLC0415

        offers = _offers()
        args.output.data(
            commit.document(priced, offers, prices), commit.text(priced, offers, prices, args.output)
        )
    elif export is not None:
        from lab.cost import actual  # noqa: PLC0415

        args.output.data(actual.document(priced, export), actual.text(priced, export, args.output))
    else:
        _report(args, priced)
    return EXIT_FINDINGS if priced.over else EXIT_OK


def _report(args: argparse.Namespace, priced: Bill) -> None:
    from lab.cost import picture, report  # noqa: PLC0415

    if args.out is not None and args.out.suffix == ".svg":
        words = picture.svg(priced)
    elif args.markdown:
        words = report.markdown(priced, args.by)
    else:
        words = report.text(priced, args.by, args.output)
    args.output.data(report.document(priced, args.by), words)


def _compare(args: argparse.Namespace, root: Path, priced: Bill) -> None:
    from lab.cost import at, compare  # noqa: PLC0415

    before, after = at.bill_at(root, priced.stack, args.compare, args.prices), at.priced(priced)
    words = (
        compare.markdown(priced.stack, args.compare, before, after)
        if args.markdown
        else compare.text(priced.stack, args.compare, before, after, args.output)
    )
    args.output.data(compare.document(args.compare, before, after), words)


def _offers() -> Any:
    from policies.pricing import commitments  # noqa: PLC0415
    from policies.pricing.table import PriceFileError  # noqa: PLC0415

    try:
        return commitments.load()
    except PriceFileError as error:
        raise LabError(str(error), hint="correct the file of commitments", code="price-file") from error


def _refresh(args: argparse.Namespace) -> int:
    from lab.cost import prices  # noqa: PLC0415
    from policies.pricing.table import DEFAULT_PATH  # noqa: PLC0415

    path = args.prices or DEFAULT_PATH
    result = prices.refreshed(args.refresh, path)
    if args.write:
        prices.write(path, result)
    args.output.data(
        prices.document(result, written=args.write),
        prices.text(result, path, args.output, written=args.write),
    )
    return EXIT_OK
