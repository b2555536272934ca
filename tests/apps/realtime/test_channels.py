"""Messages to one user and on channels: exactly once per socket, recovered whole or said not to be."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis.asyncio

from apps.contracts.channels import user_key
from apps.platform.publish import Messages
from tests.apps.realtime.live import PATIENCE, Client, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lab.servers import RedisServer


@asynccontextmanager
async def sender(valkey: RedisServer, **more: Any) -> AsyncIterator[Messages]:
    """What another service sends with."""
    async with redis.asyncio.Redis.from_url(valkey.admin_url()) as connection:
        yield Messages(connection, **more)


async def messages(client: Client, count: int) -> list[dict[str, Any]]:
    """The next so many messages; what comes between is passed over."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += (await client.until("messages"))["messages"]
    return found


async def silent(client: Client, seconds: float = 0.3) -> None:
    """Assert that no message comes."""
    with pytest.raises(TimeoutError):
        await client.until("messages", seconds)


async def subscribe(client: Client, *names: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Listen to channels; where each stands."""
    await client.send(type="subscribe", channels=list(names), **more)
    found: dict[str, dict[str, Any]] = {}
    while len(found) < len(names):
        found.update((one["channel"], one) for one in (await client.until("subscribed"))["channels"])
    return found


async def inbox(world: World, gateway: Any, since: str, user: str = "ann") -> tuple[Client, list[Any], Any]:
    """Connect with the id of the last message: what was missed, and where the user's own stream is."""
    client = await world.connect(gateway)
    await client.identify(world.token(user), inbox=since)
    missed: list[Any] = []
    while (frame := await client.frame(PATIENCE))["type"] != "subscribed":
        missed += frame.get("messages", ())
    (stand,) = frame["channels"]
    assert stand["channel"] == "user"
    return client, missed, stand


async def test_a_user_on_two_gateways_gets_each_message_once_per_socket(world: World, valkey: RedisServer):
    """Three sockets on two gateways get all of one user's messages in order, another none; one gateway may die."""
    one, other = await asyncio.gather(world.gateway(), world.gateway())
    mine = [(await inbox(world, gateway, ""))[0] for gateway in (one, one, other)]
    bob, _, _ = await inbox(world, other, "", "bob")
    async with sender(valkey) as send:
        sent = [await send.to_user("ann", "notification", {"n": n}) for n in range(30)]
        assert {each.gateways for each in sent} == {2}
        for client in mine:
            got = await messages(client, 30)
            assert [item["data"]["n"] for item in got] == list(range(30))
            assert [item["id"] for item in got] == [item.id for item in sent]
            assert {(item["channel"], item["name"]) for item in got} == {("user", "notification")}
            assert all(item["traceparent"] and item["correlation_id"] for item in got)
            await silent(client)
        await silent(bob)
        # her gateway dies: the other one gives her what came meanwhile
        one.stop(signal.SIGKILL)
        later = [(await send.to_user("ann", "notification", n)).id for n in range(5)]
        _, missed, stand = await inbox(world, other, sent[-1].id)
        assert ([item["id"] for item in missed], stand["recovered"]) == (later, True)


async def test_a_user_who_comes_back_gets_what_was_missed(world: World, valkey: RedisServer):
    """The id of the last message brings all since, without it nothing old comes; gaps are said, not hidden."""
    gateway = await world.gateway()
    first, missed, stand = await inbox(world, gateway, "")
    assert (missed, stand["recovered"]) == ([], True)
    await first.socket.close()
    async with sender(valkey, history=40) as send:
        sent = [(await send.to_user("ann", "notification", n)).id for n in range(35)]
        _, missed, at = await inbox(world, gateway, stand["id"])
        assert [item["id"] for item in missed] == sent
        assert (at["id"], at["recovered"]) == (sent[-1], True)
        _, missed, at = await inbox(world, gateway, sent[30])
        assert ([item["data"] for item in missed], at["recovered"]) == ([31, 32, 33, 34], True)
        for n in range(35, 60):
            await send.to_user("ann", "notification", n)
        # 20 to 59 are kept: from 19 on all can be had, from before not even a part
        _, missed, at = await inbox(world, gateway, sent[19])
        assert ([item["data"] for item in missed], at["recovered"]) == (list(range(20, 60)), True)
        lost, missed, at = await inbox(world, gateway, sent[18])
        assert (missed, at["recovered"]) == ([], False)
        newest = await send.to_user("ann", "notification", "after")
        assert [item["id"] for item in await messages(lost, 1)] == [newest.id]
        # an emptied Redis does not know what it lost
        world.redis.flushall()
        (stand,) = (await lost.until("subscribed"))["channels"]
        assert (stand["channel"], stand["recovered"]) == ("user", False)
        _, missed, at = await inbox(world, gateway, newest.id)
        assert (missed, at["recovered"]) == ([], False)


async def test_of_a_jobs_progress_the_newest_is_kept(world: World, valkey: RedisServer):
    """Progress of one job takes one place in the inbox, a late sequence none, and a repeated key sends nothing."""
    gateway = await world.gateway()
    client, _, stand = await inbox(world, gateway, "")
    await client.socket.close()
    async with sender(valkey) as send:
        await send.to_user("ann", "notification", "first")
        for step in range(1, 201):
            await send.to_user("ann", "job.progress", {"done": step}, conflate="job-7", sequence=step)
        late = await send.to_user("ann", "job.progress", {"done": 150}, conflate="job-7", sequence=150)
        assert late.superseded
        await send.to_user("ann", "job.progress", {"done": 1}, conflate="job-8", sequence=1)
        once = await send.to_user("ann", "notification", "last", idempotency_key="k")
        again = await send.to_user("ann", "notification", "last", idempotency_key="k")
        assert (again.id, again.duplicate) == (once.id, True)
    _, missed, at = await inbox(world, gateway, stand["id"])
    assert [item["data"] for item in missed] == ["first", {"done": 200}, {"done": 1}, "last"]
    assert at["recovered"]


async def test_channels_follow_their_rule(world: World, valkey: RedisServer):
    """Members hear their group, others are told why not; unknown names and too many are refused one by one."""
    one, other = await asyncio.gather(world.gateway(), world.gateway())
    red, blue = await world.client(one, "ann", ("red",)), await world.client(other, "bob", ("blue",))
    await subscribe(red, "public.news", "group.red.chat")
    await blue.send(type="subscribe", channels=["group.red.chat", "nothing", "public.news"])
    frames = [await blue.frame() for _ in range(3)]
    errors = {frame["code"]: frame["message"] for frame in frames if frame["type"] == "error"}
    assert set(errors) == {"channel.forbidden", "channel.unknown"}
    assert "group.red.chat" in errors["channel.forbidden"]
    async with sender(valkey) as send:
        for n in range(5):
            await send.to_channel("group.red.chat", "said", n)
            await send.to_channel("public.news", "headline", n)
        assert [item["data"] for item in await messages(red, 10)] == [n for n in range(5) for _ in range(2)]
        heard = await messages(blue, 5)
        assert [(item["channel"], item["data"]) for item in heard] == [("public.news", n) for n in range(5)]
        await blue.send(type="unsubscribe", channels=["public.news"])
        assert (await blue.until("unsubscribed"))["channels"] == ["public.news"]
        missed = [await send.to_channel("public.news", "headline", n) for n in range(5, 8)]
        await messages(red, 3)
        await silent(blue)
        stand = await subscribe(blue, "public.news", since={"public.news": heard[-1]["id"]})
        assert stand["public.news"] == {"channel": "public.news", "id": missed[-1].id, "recovered": True}
        assert [item["data"] for frame in blue.frames[-2:-1] for item in frame["messages"]] == [5, 6, 7]
    for start in (0, 100):
        await red.send(type="subscribe", channels=[f"public.c{n}" for n in range(start, start + 100)])
    error = await red.until("error")
    assert (error["code"], "74 more" in error["message"] or "71 more" in error["message"]) == (
        "channel.limit",
        True,
    )


async def test_a_lost_subscriber_loses_no_message(world: World, valkey: RedisServer):
    """What was sent while the gateway's subscriber was away comes from the streams, once and in order."""
    gateway = await world.gateway()
    client, _, _ = await inbox(world, gateway, "")
    quiet = await world.client(gateway, "ann")
    await subscribe(client, "public.news")
    async with sender(valkey) as send:
        for turn in range(3):
            for one in world.redis.client_list():
                if one["name"].startswith("slipway-realtime") and one["name"].endswith("-sub"):
                    world.redis.client_kill_filter(_id=one["id"])
            for n in range(20):
                await send.to_user("ann", "notification", turn * 20 + n)
                await send.to_channel("public.news", "headline", turn * 20 + n)
        got = await messages(client, 120)
        for name in ("user", "public.news"):
            assert [item["data"] for item in got if item["channel"] == name] == list(range(60))
        assert [item["data"] for item in await messages(quiet, 60)] == list(range(60))
        await silent(client)
        assert all(one["recovered"] for frame in client.frames for one in frame.get("channels", ()))


async def test_a_slow_client_is_not_closed_and_reads_on(world: World, valkey: RedisServer):
    """One that reads nothing while more is sent than may wait for it stays connected, and gets all of it."""
    gateway = await world.gateway(max_pending_bytes=32_768)
    slow = await world.connect(gateway)
    await slow.identify(world.token("ann"), inbox="")
    await slow.until("subscribed")
    slow.socket.transport.pause_reading()
    async with sender(valkey) as send:
        for n in range(95):
            await send.to_user("ann", "notification", f"{n}" + "x" * 16_000)
        slow.socket.transport.resume_reading()
        got = await messages(slow, 95)
        assert len({item["id"] for item in got}) == 95
        assert [item["id"] for item in got] == [
            entry.decode() for entry, _ in world.redis.xrange(user_key("ann", "inbox"))
        ]


async def members(client: Client, *users: str) -> dict[str, Any]:
    """Read until the newest that the client was shown is exactly these members."""
    shown = [frame for frame in client.frames if frame["type"] == "presence"][-1:]
    while not shown or shown[-1]["members"] != list(users):
        shown = [await client.until("presence")]
    assert shown[-1]["count"] == len(users)
    return shown[-1]


async def test_members_of_a_channel_come_go_and_expire(world: World):
    """On two gateways all see the same members, once per user; a killed gateway's are gone after their time."""
    one, other = await asyncio.gather(
        *(world.gateway(presence_seconds=0.1, presence_ttl_seconds=2) for _ in range(2))
    )
    ann, bob, again = (
        await world.client(one, "ann"),
        await world.client(other, "bob"),
        await world.client(other, "ann"),
    )
    unseen = await world.client(one, "eve")
    await subscribe(unseen, "public.room")
    for client in (ann, bob, again):
        await subscribe(client, "public.room", presence=True)
    for client in (ann, bob, again):
        await members(client, "ann", "bob")
    # ann is still there with her other socket
    await ann.send(type="unsubscribe", channels=["public.room"])
    cat = await world.client(one, "cat")
    await subscribe(cat, "public.room", presence=True)
    for client in (bob, cat, again):
        await members(client, "ann", "bob", "cat")
    await again.socket.close()
    assert (await members(cat, "bob", "cat"))["left"] == ["ann"]
    # Redis forgets everybody: the gateways say it again
    world.redis.flushall()
    dan = await world.client(one, "dan")
    await subscribe(dan, "public.room", presence=True)
    await members(dan, "bob", "cat", "dan")
    other.stop(signal.SIGKILL)
    await members(cat, "cat", "dan")
    # an orderly end says it at once
    last = await world.gateway(presence_seconds=0.1, presence_ttl_seconds=60)
    eve = await world.client(last, "eve")
    await subscribe(eve, "public.room", presence=True)
    await members(eve, "cat", "dan", "eve")
    await asyncio.to_thread(one.stop)
    await members(eve, "eve")
    assert "presence" not in {frame["type"] for frame in unseen.frames}


async def test_a_storm_of_joins_is_told_in_few_frames(world: World):
    """A hundred and twenty members come within a round or some: few frames, a hundred names, the exact count."""
    gateway = await world.gateway(presence_seconds=0.5)
    watcher = await world.client(gateway, "a")
    await subscribe(watcher, "public.room", presence=True)
    crowd = await asyncio.gather(*(world.client(gateway, f"u{n:03}") for n in range(120)))
    await asyncio.gather(
        *(one.send(type="subscribe", channels=["public.room"], presence=True) for one in crowd)
    )
    while (frame := await watcher.until("presence"))["count"] != 121:
        pass
    assert frame["members"][:2] == ["a", "u000"]
    assert len(frame["members"]) == 100
    assert [frame["type"] for frame in watcher.frames].count("presence") <= 20


async def test_what_the_api_is_given_arrives_under_its_trace(world: World):
    """POSTed by a service, heard by the user and on the channel, with the sender's correlation id."""
    gateway, api = await asyncio.gather(world.gateway(), world.start("api").ready())
    client, _, _ = await inbox(world, gateway, "")
    await subscribe(client, "public.news")
    token = world.token("robot", scope="messages:write messages:admin")
    headers = {"authorization": f"Bearer {token}", "x-correlation-id": "order-7"}
    async with httpx.AsyncClient(base_url=api.base, headers=headers) as http:
        for path, name in (("users/ann", "notification"), ("channels/public.news", "headline")):
            answer = await http.post(f"/v1/{path}/messages", json={"name": name, "data": {"n": 1}})
            assert (answer.status_code, answer.json()["gateways"]) == (202, 1)
            (item,) = await messages(client, 1)
            assert (item["id"], item["name"], item["data"]) == (answer.json()["id"], name, {"n": 1})
            assert item["correlation_id"] == "order-7"
