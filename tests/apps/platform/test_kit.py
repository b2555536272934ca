"""The leaf kit's pure parts: settings, logs, traces, queries, health, the filter contract."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.platform import telemetry
from apps.platform.health import Health, State
from apps.platform.lifecycle import ServiceGroup
from apps.platform.log import JsonFormatter, Log, redact
from apps.platform.queries import load_queries
from apps.platform.settings import AuthSettings, DatabaseSettings, SettingsError, load_settings

if TYPE_CHECKING:
    from pathlib import Path

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_settings_report_every_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message lists all bad variables in order, shows what was found, and never a secret."""
    monkeypatch.setenv("DATABASE_HOST", "db")
    monkeypatch.setenv("DATABASE_PORT", "x")
    monkeypatch.setenv("DATABASE_POOL_SIZE", "0")
    monkeypatch.setenv("DATABASE_PASSWORD", "hush")
    with pytest.raises(SettingsError) as caught:
        load_settings(DatabaseSettings)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "DATABASE_CA_FILE",
        "DATABASE_NAME",
        "DATABASE_POOL_SIZE",
        "DATABASE_PORT",
        "DATABASE_USERNAME",
    ]
    text = str(caught.value)
    assert "found str 'x'" in text
    assert "PEM bundle" in text
    assert "hush" not in text


def test_good_settings_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete settings come back typed."""
    for name in ("AUTH_ISSUER", "AUTH_AUDIENCE", "AUTH_JWKS_URL"):
        monkeypatch.setenv(name, name.lower())
    assert load_settings(AuthSettings).auth_audience == "auth_audience"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        TRACE.upper(),
        TRACE.replace("00-", "ff-", 1),
        TRACE + "-more",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        TRACE[:-1],
    ],
)
def test_bad_traceparents_start_a_new_trace(header: str | None) -> None:
    """What the W3C calls invalid is not continued."""
    assert telemetry.parse(header) is None
    assert telemetry.parse(telemetry.accept(header).traceparent) is not None


def test_a_trace_goes_on_in_a_new_span() -> None:
    """The trace id and flags stay, the span is new, a future version's extra part is accepted."""
    for header in (TRACE, TRACE.replace("00-", "cc-", 1) + "-future"):
        trace = telemetry.accept(header, "order-1")
        assert (trace.trace_id, trace.flags, trace.correlation_id) == (TRACE.split("-")[1], "01", "order-1")
        assert trace.span_id != TRACE.split("-")[2]


@given(st.text())
def test_a_correlation_id_is_safe_for_headers_and_logs(text: str) -> None:
    """Whatever a caller sends, what goes on is short printable ASCII."""
    kept = telemetry.accept(None, text).correlation_id
    assert 1 <= len(kept) <= 128
    assert kept.isascii()
    assert kept.isprintable()


def line(log: Any, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """What the last record looks like as a line."""
    del log
    return json.loads(JsonFormatter(stack="dev", service="api").format(caplog.records[-1]))


def test_a_log_line_has_event_fields_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Event, fields, stack, service and the running trace are in one JSON object; reserved names stay."""
    caplog.set_level(logging.INFO)
    with telemetry.use(telemetry.accept(TRACE, "c-1")) as trace:
        shown = line(
            Log("t").info("thing.done", rows=3, password="p", level="x", nested={"api_token": "t"}), caplog
        )
    assert shown["event"] == "thing.done"
    assert (shown["rows"], shown["stack"], shown["service"], shown["level"]) == (3, "dev", "api", "info")
    assert (shown["traceparent"], shown["correlation_id"]) == (trace.traceparent, "c-1")
    assert shown["password"] == "[redacted]"
    assert shown["nested"] == {"api_token": "[redacted]"}


def test_an_exception_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is a field; values that are no JSON become text."""
    try:
        int("no\ngood")
    except ValueError:
        shown = line(Log("t").exception("thing.failed", value=object(), many=("a", b"b")), caplog)
    assert shown["error"].startswith("ValueError: invalid literal")
    assert "test_kit.py" in shown["traceback"]
    assert shown["value"].startswith("<object")


def test_long_texts_are_cut() -> None:
    """A log line can't carry a body."""
    assert len(redact("x", "y" * 100_000)) < 5000


def test_queries_need_a_name_and_a_description(tmp_path: Path) -> None:
    """A query without description, without statement or named twice is refused."""
    path = tmp_path / "q.sql"
    path.write_text(
        "-- name: one\n-- What it does,\n-- and why.\nSELECT 1\nFROM x\n\n-- name: two\n-- B.\nSELECT 2\n"
    )
    queries = load_queries(path)
    assert (queries["one"].description, queries["one"].sql) == ("What it does, and why.", b"SELECT 1\nFROM x")
    assert queries["two"].sql == b"SELECT 2"
    for bad in ("-- name: a\nSELECT 1\n", "-- name: a\n-- b\n", "-- name: a\n-- b\nx\n-- name: a\n-- b\nx\n"):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"q\.sql"):
            load_queries(path)


async def test_health_never_hides_draining_or_failure() -> None:
    """Ready may become busy and back; from draining and failed no way leads to ready."""
    health = Health()
    assert (await health.ready())[0] == 503
    health.to(State.READY)
    health.to(State.BUSY, "full")
    assert (await health.ready()) == (503, {"status": "busy", "seconds": 0.0, "reason": "full"})
    assert health.live()[0] == 200
    health.to(State.READY)
    assert (await health.ready())[0] == 200
    health.to(State.DRAINING)
    health.to(State.READY)
    assert health.state is State.DRAINING
    health.to(State.FAILED)
    health.to(State.DRAINING)
    assert health.live()[0] == 503


async def test_readiness_asks_dependencies_once_in_a_while() -> None:
    """A dependency that is away makes the process unready; many probes ask it once."""
    health = Health()
    health.to(State.READY)
    asked = 0

    async def away() -> None:
        nonlocal asked
        asked += 1
        raise OSError("gone")

    health.require("database", away)
    answers = await asyncio.gather(*(health.ready() for _ in range(20)))
    assert {status for status, _ in answers} == {503}
    assert answers[0][1]["dependencies"] == {"database": "away: OSError"}
    assert asked == 1


class Worker:
    """A service that does what the test says."""

    def __init__(self, name: str, how: str) -> None:
        self.name = name
        self.how = how
        self.finished = False

    async def run(self, stop: asyncio.Event) -> None:
        """Return, raise, hang or behave."""
        if self.how == "return":
            return
        if self.how == "raise":
            raise RuntimeError("boom")
        await stop.wait()
        if self.how == "hang":
            await asyncio.sleep(60)
        self.finished = True


@pytest.mark.parametrize(("how", "why"), [("return", "returned early"), ("raise", "RuntimeError: boom")])
async def test_a_service_that_ends_is_a_crash(how: str, why: str) -> None:
    """Ending before anybody asked is reported with the service's name and reason."""
    good = Worker("good", "well")
    group = ServiceGroup([good, Worker("bad", how)])
    group.start()
    await asyncio.wait_for(group.crashed.wait(), 5)
    assert str(group.crash) == f"service bad ended: {why}"
    assert await group.stop(5) == []
    assert good.finished


async def test_stop_cancels_who_is_late() -> None:
    """Services get their time, and who does not finish is named."""
    good, slow = Worker("good", "well"), Worker("slow", "hang")
    group = ServiceGroup([good, slow])
    group.start()
    await asyncio.sleep(0)
    assert await group.stop(0.1) == ["slow"]
    assert (good.finished, slow.finished, group.crash) == (True, False, None)
    assert await ServiceGroup().stop(1) == []
