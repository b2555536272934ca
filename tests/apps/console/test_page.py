"""The page in a real browser, over real sockets, before a scripted server that plays recorded flights."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from apps.console import build
from lab.replay.player import Player
from lab.replay.reader import read
from tests.apps.console.browser import NO_WEBGL, open_page
from tests.apps.console.browser import browser as fresh_browser
from tests.apps.console.scripted import Scripted

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.xdist_group("browser"),
    pytest.mark.asyncio(loop_scope="module"),
]

#: From now on `said` is every pair of state and detail that the page shows.
SAID = """() => {
  globalThis.said = [];
  const [name, detail] = ["state-name", "state-detail"].map((id) => document.getElementById(id));
  const note = () => said.push([name.textContent, detail.textContent]);
  new MutationObserver(note).observe(detail, { childList: true, characterData: true, subtree: true });
}"""
POSES = "() => Object.fromEntries(slipway.ids().map((id) => [id, slipway.pose(id)]))"


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    build.build()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests here; each has a page, and a profile, of its own."""
    async with fresh_browser() as started:
        yield started


def flights() -> Player:
    """Switzerland at its busiest, ten times as fast."""
    return Player(read("switzerland"), speed=10, loop=True, fold=7200)


async def test_aircraft_are_drawn_and_move_and_nothing_leaves_the_origin(browser: Browser) -> None:
    """Within seconds a hundred aircraft are on the map, they glide, and no request goes anywhere else."""
    async with Scripted(flights()) as server, open_page(browser) as seen:
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live' && s.drawn >= 100")
        await seen.page.wait_for_timeout(2500)
        before = await seen.page.evaluate(POSES)
        await seen.page.wait_for_timeout(600)
        after = await seen.page.evaluate(POSES)
        moved = [name for name in before if name in after and before[name] != after[name]]
        assert len(moved) > 0.8 * len(before)
        steps = [abs(after[name]["lat"] - before[name]["lat"]) for name in moved]
        assert max(steps) < 0.2, "an aircraft flew 20 km in 0.6 s: it jumped"
        figures = (await seen.status())["figures"]
        assert figures["count"] >= 100
        assert figures["messages"] > 0.5
        assert figures["latency"] is not None
        assert await seen.page.inner_text("#count") != "0"
        assert seen.elsewhere(server.url) == []
        assert seen.errors == []


async def test_messages_to_the_user_are_shown_for_a_while(browser: Browser) -> None:
    """A notification's text is shown as text, a job's progress in one place, and at most four at once."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live'")
        assert server.connections[0].identify["inbox"] == ""
        await server.message(1, "notification", {"text": "<b>Your export</b> is ready"})
        for done in (10, 60):
            await server.message(2 + done, "job.progress", {"job": "j7", "text": f"{done} %", "done": done})
        toasts = seen.page.locator("#toasts li")
        await expect(seen.page.locator("#toasts progress")).to_have_js_property("value", 60)
        await expect(toasts).to_have_text(["<b>Your export</b> is ready", "60 %"])
        for number in range(100, 104):
            await server.message(number, "notification", f"n{number}")
        await expect(toasts).to_have_text(["n100", "n101", "n102", "n103"])
        assert seen.errors == []


async def test_icons_point_where_the_aircraft_head(browser: Browser) -> None:
    """An aircraft that heads east is drawn turned by 90 degrees, at its place on the screen."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await server.change(id="a", lat=47.75, lon=5.1, heading=90, attributes={"callsign": "EAST1"})
        await seen.page.goto(server.url)
        await seen.until("s.drawn === 1")
        [drawn] = await seen.page.evaluate("slipway.drawn()")
        assert drawn["heading"] == 90
        assert (round(drawn["x"]), round(drawn["y"])) == (480, 320)  # it is where the map opens
        point = await seen.page.evaluate("(({x, y}) => ({x, y}))(slipway.map.project([5.1, 47.75]))")
        assert abs(point["x"] - drawn["x"]) < 0.5
        assert abs(point["y"] - drawn["y"]) < 0.5


async def test_panning_subscribes_to_what_is_seen_then(browser: Browser) -> None:
    """A pan sends the new box once the map rests, and what is outside of it goes."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await server.change(id="zurich", lat=47.4, lon=8.5)
        await server.change(id="sydney", lat=-33.9, lon=151.2)
        await seen.page.goto(server.url)
        await seen.until("s.count === 1")
        await seen.page.evaluate("() => { slipway.map.jumpTo({center: [151, -34], zoom: 7}); }")
        await seen.until("s.count === 1 && s.viewport.west > 140")
        assert await seen.page.evaluate("slipway.ids()") == ["sydney"]
        [one] = server.connections
        assert len(one.viewports) == 2


async def test_a_map_over_the_date_line_sees_both_sides(browser: Browser) -> None:
    """At the antimeridian the box has its west above its east, and both aircraft are next to each other."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await server.change(id="west", lat=0, lon=179.5)
        await server.change(id="east", lat=0, lon=-179.5)
        await seen.page.goto(server.url + "#7/0/180")
        await seen.until("s.drawn === 2")
        [one] = server.connections
        assert one.viewports[-1]["west"] > one.viewports[-1]["east"]
        places = {spot["id"]: spot["x"] for spot in await seen.page.evaluate("slipway.drawn()")}
        assert 0 < places["east"] - places["west"] < 200


async def test_after_a_drop_it_resumes_where_it_was(browser: Browser) -> None:
    """The server drops the connection: the picture stays, and the next one resumes without a snapshot."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await server.change(id="a", lat=47.75, lon=5.1)
        await seen.page.goto(server.url)
        await seen.until("s.count === 1")
        await server.change(id="a", lat=47.76, lon=5.1)
        await seen.page.wait_for_timeout(300)
        await server.drop()
        await seen.until("s.state === 'live' && s.reconnects === 1", 10)
        # the first wait is anything up to half a second: a look may come too late to see it
        assert (await seen.status())["states"][-3:] == ["reconnecting", "reconnecting", "live"]
        status = await seen.status()
        assert (status["resumed"], status["snapshots"]) == (1, 1)
        again = server.history[-1].identify
        assert (again["session"], again["epoch"], again["since"]) == ("s1", "e1", server.seq)
        await server.change(id="b", lat=46.5, lon=7.5)
        await seen.until("s.count === 2", 5)
        assert seen.errors == []


async def test_a_restarting_server_is_awaited_and_said_so(browser: Browser) -> None:
    """A close with 1012 shows that the server restarts, and honours the time that it asks for."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live' && s.snapshots === 1")
        # what the page says while it waits is seen by an observer in it: on a busy machine a look comes late
        await seen.page.evaluate(SAID)
        dropped = time.monotonic()
        await server.drop(1012, '{"retry_ms":2500}')
        await seen.until("s.state === 'live' && s.reconnects === 1", 20)
        said = await seen.page.evaluate("said")
        assert any(name == "Server restarts" and "next try in" in detail for name, detail in said), said
        assert server.history[1].opened - dropped >= 2.5
        assert await seen.page.is_hidden("#state-detail")


async def test_where_websockets_are_blocked_the_map_moves_by_events(browser: Browser) -> None:
    """Two websockets that fail: the page says that it uses events; aircraft move, a pan and a drop work as ever."""
    async with Scripted(flights()) as server, open_page(browser) as seen:
        await seen.page.route_web_socket("**/ws", lambda socket: socket.close(code=1006))
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live' && s.drawn >= 100")
        assert (await seen.status())["transport"] == "sse"
        assert await seen.page.is_visible("#transport")
        before = await seen.page.evaluate(POSES)
        await seen.page.wait_for_timeout(1500)
        after = await seen.page.evaluate(POSES)
        moved = [name for name in before if name in after and before[name] != after[name]]
        assert len(moved) > 0.8 * len(before)
        await seen.page.evaluate("() => { slipway.map.jumpTo({center: [9, 47], zoom: 9}); }")
        await seen.until("s.snapshots === 2")
        [one] = server.connections
        assert one.viewports[-1]["east"] < 12
        assert one.identify["session"] == "s1"
        await server.drop()
        await seen.until("s.state === 'live' && s.reconnects === 1", 10)
        assert (await seen.status())["resumed"] == 1


async def test_a_filter_is_saved_applied_taken_off_and_deleted(browser: Browser) -> None:
    """What the form says goes to the API; the map then shows only what passes, until it is unticked."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await server.change(id="a", lat=46.7, lon=7.5, attributes={"callsign": "SWR1", "altitude": 36000})
        await server.change(id="b", lat=46.8, lon=7.6, attributes={"callsign": "EZY1", "altitude": 36000})
        await server.change(id="c", lat=46.9, lon=7.7, attributes={"callsign": "SWR2", "altitude": 4000})
        await seen.page.goto(server.url)
        await seen.until("s.count === 3")
        await seen.page.click("#filters summary")
        await seen.page.fill("[name=callsign]", "swr")
        await seen.page.fill("[name=lowest]", "30000")
        await seen.page.click("#filter-form button")
        await seen.until("s.count === 1")
        assert await seen.page.evaluate("slipway.ids()") == ["a"]
        assert await seen.page.inner_text("#applied") == "1 on"
        await seen.page.uncheck("#saved input")
        await seen.until("s.count === 3")
        await seen.page.click("#saved button")
        await seen.page.wait_for_selector("#saved li", state="detached")
        assert server.filters == {}
        assert seen.errors == []


async def test_a_wrong_filter_is_answered_beside_the_form(browser: Browser) -> None:
    """An altitude that is no number is said so; nothing is sent."""
    async with Scripted(None) as server, open_page(browser) as seen:
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live'")
        await seen.page.click("#filters summary")
        await seen.page.fill("[name=lowest]", "high")
        await seen.page.click("#filter-form button")
        assert "number of feet" in await seen.page.inner_text("#filter-problem")
        assert server.filters == {}


async def test_a_click_shows_the_entity_and_follows_it(browser: Browser) -> None:
    """A click on an aircraft opens its details; they change with it, and close when it goes."""
    async with Scripted(None) as server, open_page(browser) as seen:
        attributes = {"callsign": "SWR8", "airline": "SWR", "altitude": 31000, "squawk": "1000"}
        await server.change(id="a", lat=47.75, lon=5.1, heading=10, attributes=attributes)
        await seen.page.goto(server.url)
        await seen.until("s.drawn === 1")
        await seen.page.mouse.click(482, 322)
        await seen.page.wait_for_selector("#entity-name")
        assert await seen.page.inner_text("#entity-name") == "SWR8"
        assert "31,000 ft" in await seen.page.inner_text("#entity-fields")
        await server.change(
            id="a", lat=47.751, lon=5.1, heading=10, attributes={**attributes, "altitude": 32000}
        )
        await seen.page.wait_for_function(
            "() => document.querySelector('#entity-fields').innerText.includes('32,000')"
        )
        await seen.page.keyboard.press("Escape")
        assert await seen.page.is_hidden("#entity")


async def test_text_of_an_entity_is_never_markup(browser: Browser) -> None:
    """A callsign that is HTML is shown as its letters: no element of it, no script of it."""
    async with Scripted(None) as server, open_page(browser) as seen:
        evil = "<img src=x onerror=document.title='owned'>"
        await server.change(id="a", lat=47.75, lon=5.1, attributes={"callsign": evil, "note": evil})
        await seen.page.goto(server.url)
        await seen.until("s.drawn === 1")
        await seen.page.mouse.click(480, 320)
        assert await seen.page.inner_text("#entity-name") == evil
        assert "owned" not in await seen.page.title()
        assert await seen.page.locator("#entity img").count() == 0


async def test_without_a_demo_a_token_is_asked_for_and_a_refused_one_again(browser: Browser) -> None:
    """No local issuer: the page asks for a token, says when one is refused, and connects with a good one."""
    async with Scripted(None, demo=False) as server, open_page(browser) as seen:
        await seen.page.goto(server.url)
        await seen.page.wait_for_selector("#sign-in[open]")
        await seen.page.fill("#token", "forged")
        await seen.page.click("#sign-in button")
        await seen.page.wait_for_function(
            "() => document.querySelector('#sign-in-text').innerText.includes('refused')"
        )
        await seen.page.fill("#token", "demo-token")
        await seen.page.click("#sign-in button")
        await seen.until("s.state === 'live'")
        assert server.history[0].identify["token"] == "forged"


async def test_a_browser_without_webgl_is_told_what_to_do() -> None:
    """No WebGL: one clear message instead of an empty page, and no error."""
    async with Scripted(None) as server, fresh_browser(NO_WEBGL) as plain, open_page(plain) as seen:
        await seen.page.goto(server.url)
        await seen.page.wait_for_selector("#no-webgl:not([hidden])")
        assert "hardware acceleration" in await seen.page.inner_text("#no-webgl")
        assert seen.errors == []
        await asyncio.sleep(0.2)
        assert server.history == []


async def test_it_fits_a_phone(browser: Browser) -> None:
    """On a narrow screen nothing is wider than the screen, and the map is most of it."""
    async with Scripted(flights()) as server, open_page(browser, width=390, height=760) as seen:
        await seen.page.goto(server.url)
        await seen.until("s.state === 'live' && s.drawn > 20")
        assert await seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        box = await seen.page.locator(".panel").bounding_box()
        assert box is not None
        assert box["height"] < 200


async def test_the_tiers_figures_follow_what_the_processes_say(browser: Browser) -> None:
    """Who may see them gets the figures of all processes in the panel, and a few seconds later the newer ones."""
    spread = {"EventToDelivery": {"p50": 12.0, "p99": 61.4, "count": 40}}
    async with Scripted(None) as server, open_page(browser) as seen:
        gateway = {"service": "websocket", "instance": "a", "at": 1, "spreads": spread}
        server.processes = [{**gateway, "figures": {"ActiveConnectionsPerTask": 3.0}}]
        await seen.page.goto(server.url)
        await seen.page.wait_for_selector("#tier:not([hidden])")
        text = await seen.page.inner_text("#tier")
        assert "1 process" in text
        assert "61" in text
        server.processes.append({**gateway, "figures": {"ActiveConnectionsPerTask": 4.0}})
        await seen.page.wait_for_function(
            "() => document.querySelector('#tier dd').textContent === '7'", timeout=20_000
        )
        assert seen.errors == []
