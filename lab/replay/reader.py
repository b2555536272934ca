"""Read a track file (CSV or JSON lines, plain or gzip): every line is used, or counted with its reason."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from lab.errors import LabError
from lab.replay import fields
from lab.replay.fields import BadFieldError
from lab.replay.recording import DEFAULT_KIND, GAP_SECONDS, Position, Problem, Recording, cut

FOLDER = Path(__file__).parent / "tracks"
#: Positions kept in memory, at most; further lines are counted as left out.
MAX_POSITIONS = 2_000_000
SHOWN_PROBLEMS = 20
_MAX_ATTRIBUTES = 64


def built_in() -> list[str]:
    """The names of the recordings that come along."""
    return sorted(path.name.removesuffix(".csv.gz") for path in FOLDER.glob("*.csv.gz"))


def read(source: str | Path, *, gap: float = GAP_SECONDS, limit: int = MAX_POSITIONS) -> Recording:
    """The recording in the file `source`, or the built-in one of that name."""
    path = _path(source)
    try:
        with _opened(path) as lines:
            collector = _Collector(limit)
            collector.read(lines)
    except (OSError, EOFError, zlib.error) as error:
        raise LabError(
            f"track file {path} cannot be read",
            cause=str(error),
            hint="check that it is a whole CSV or JSON lines file, plain or .gz",
            code="track-file",
        ) from error
    return collector.recording(path, gap)


def _path(source: str | Path) -> Path:
    path = Path(source)
    if str(source) in built_in() and not path.is_file():
        return FOLDER / f"{source}.csv.gz"
    if path.is_file():
        return path
    raise LabError(
        f"track file {source} does not exist",
        cause=f"it is no file, and no built-in recording ({', '.join(built_in())})",
        hint="name a CSV or JSON lines file with id, time, lat and lon",
        code="track-file",
    )


@contextmanager
def _opened(path: Path) -> Generator[Iterable[bytes]]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if zipped:
            with gzip.open(file) as inner:
                yield inner
        else:
            yield file


class _Collector:
    """Gathers positions and problems line by line."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.columns: list[str] = []
        self.positions: dict[str, list[Position]] = {}
        self.count = 0
        self.lines = 0
        self.broken = 0
        self.problems: list[Problem] = []

    def read(self, lines: Iterable[bytes]) -> None:
        parse: Callable[[str], None] | None = None
        for number, raw in enumerate(lines, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError:
                self.lines += 1
                self._broken(number, "is not UTF-8 text")
                continue
            if not text.strip():
                continue
            if parse is None:
                if text.lstrip().startswith("{"):
                    parse = self._json_line
                else:
                    parse = self._csv_header(text)
                    continue
            self.lines += 1
            try:
                parse(text)
            except BadFieldError as problem:
                self._broken(number, str(problem))

    def recording(self, path: Path, gap: float) -> Recording:
        if not self.count:
            raise LabError(
                f"track file {path} holds no position",
                cause="\n".join(map(str, self.problems)) or "the file is empty",
                hint="each line needs id, time, lat and lon; a CSV file names them in its first line",
                code="track-file",
            )
        tracks, repeated = cut(self.positions, gap)
        return Recording(
            name=path.name.split(".")[0],
            columns=tuple(self.columns),
            tracks=tracks,
            positions=self.count - repeated,
            lines=self.lines,
            broken=self.broken,
            repeated=repeated,
            problems=self.problems,
            built_in=path.parent == FOLDER,
        )

    def _broken(self, line: int, reason: str) -> None:
        self.broken += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(Problem(line, reason))

    def _add(self, entity: str, position: Position) -> None:
        if self.count >= self.limit:
            raise BadFieldError(f"is beyond the {self.limit:,} positions that one replay holds")
        self.positions.setdefault(entity, []).append(position)
        self.count += 1

    # --- CSV ---

    def _csv_header(self, text: str) -> Callable[[str], None]:
        delimiter = max(",;\t", key=text.count)
        header = [name.strip() for name in next(csv.reader([text], delimiter=delimiter))]
        names = fields.field_names(header)
        missing = [name for name in fields.REQUIRED if name not in names]
        if missing:
            raise LabError(
                f"the track file's first line names no column for {', '.join(missing)}",
                cause=f"it names: {', '.join(header)}"[:400],
                hint="a CSV file starts with a line such as: id,time,lat,lon,heading,callsign,altitude",
                code="track-file",
            )
        at = {ours: header.index(theirs) for ours, theirs in names.items()}
        rest = [index for index in range(len(header)) if index not in at.values()][:_MAX_ATTRIBUTES]
        self.columns = [header[index] for index in rest]

        def parse(line: str) -> None:
            row = _split(line, delimiter)
            if len(row) != len(header):
                raise BadFieldError(f"has {len(row)} fields instead of {len(header)}")
            self._add(
                fields.identity(row[at["id"]]),
                Position(
                    fields.moment(row[at["time"]]),
                    fields.latitude(row[at["lat"]]),
                    fields.longitude(row[at["lon"]]),
                    fields.heading(row[at["heading"]]) if "heading" in at else None,
                    (row[at["kind"]] if "kind" in at else "") or DEFAULT_KIND,
                    tuple(fields.typed(row[index]) for index in rest),
                ),
            )

        return parse

    # --- JSON lines ---

    def _json_line(self, text: str) -> None:
        try:
            found: object = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise BadFieldError("is no JSON") from None
        if not isinstance(found, dict):
            raise BadFieldError("is no JSON object")
        record = cast("dict[str, Any]", found)
        names = fields.field_names(list(record))
        missing = [name for name in fields.REQUIRED if name not in names]
        if missing:
            raise BadFieldError(f"has no {', '.join(missing)}")
        get: Callable[[str], Any] = lambda name: record.get(names[name]) if name in names else None  # noqa: E731
        self._add(
            fields.identity(get("id")),
            Position(
                fields.moment(get("time")),
                fields.latitude(get("lat")),
                fields.longitude(get("lon")),
                fields.heading(get("heading")),
                str(get("kind") or DEFAULT_KIND),
                self._values(record, set(names.values())),
            ),
        )

    def _values(self, record: dict[str, Any], used: set[str]) -> tuple[Any, ...]:
        nested = record.get("attributes")
        flat = {name: value for name, value in record.items() if name not in used and name != "attributes"}
        if isinstance(nested, dict):
            flat.update(cast("dict[str, Any]", nested))
        elif nested is not None:
            raise BadFieldError("has attributes that are no JSON object")
        for name in flat:
            if name not in self.columns:
                if len(self.columns) >= _MAX_ATTRIBUTES:
                    raise BadFieldError(
                        f"has attribute {name!r}, which is beyond the {_MAX_ATTRIBUTES} of a file"
                    )
                self.columns.append(name)
        return tuple(flat.get(name) for name in self.columns)


def _split(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise BadFieldError(f"is no CSV ({error})") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")  # Python reads NaN and Infinity, the API does not
