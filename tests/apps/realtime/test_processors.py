"""Processors killed under load, a disordered stream, the settings of matching: clients hold what is true."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from typing import TYPE_CHECKING

from apps.contracts.entities import Access
from tests.apps.realtime.test_faults import ALPS, leases_spread

if TYPE_CHECKING:
    from apps.contracts.entities import EntityChanged
    from tests.apps.realtime.live import Client, World


class Load:
    """Entities that move, change hands, go and come back; the stream tells it twice and out of order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pick = random.Random(5)
        self.stored: dict[str, EntityChanged] = {}
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        while not self.stopped.is_set():
            changes = [self._change() for _ in range(8)]
            told = [*changes, *self.pick.sample(changes, 4)]
            self.pick.shuffle(told)
            for change in told:
                self.world.announce(change)
            await asyncio.sleep(0.05)

    def _change(self) -> EntityChanged:
        entity = f"e{self.pick.randrange(12)}"
        owner = self.pick.choice(["ann", "bob"])
        change = self.world.write(
            entity,
            self.pick.choice([46.0, 47.0, 10.0]),
            8.0 + self.pick.random(),
            announce=False,
            deleted=self.pick.random() < 0.1,
            access=self.pick.choice([Access("public", owner), Access("owner", owner)]),
        )
        self.stored[entity] = change
        return change

    def seen_by(self, user: str) -> dict[str, int]:
        """What the API says: live, in the Alps, public or one's own."""
        return {
            one.id: one.version
            for one in self.stored.values()
            if not one.deleted and one.lat > 45 and (one.access.rule == "public" or one.access.owner == user)
        }


async def read_on(client: Client, stopped: asyncio.Event) -> None:
    """Take frames while the load goes on, as a browser does."""
    while not stopped.is_set():
        try:
            await client.frame(0.2)
        except TimeoutError:
            continue


async def test_two_of_three_processors_are_killed_at_once_under_load(world: World):
    """SIGKILL, with a stream that repeats itself and swaps versions: nothing committed is lost to anybody."""
    gateway = await world.gateway()
    processors = await asyncio.gather(*(world.processor() for _ in range(3)))
    await leases_spread(world, 3)
    users = {f"{name}{n}": name for n in range(4) for name in ("ann", "bob", "eve")}
    clients = [(user, await world.client(gateway, user)) for user in users.values()]
    for _, client in clients:
        await client.look_at(*ALPS)
    load = Load(world)
    tasks = [asyncio.create_task(load.run())]
    tasks += [asyncio.create_task(read_on(client, load.stopped)) for _, client in clients]
    await asyncio.sleep(0.5)
    for dead in processors[:2]:
        dead.process.send_signal(signal.SIGKILL)
    await leases_spread(world, 1)
    await asyncio.sleep(0.5)
    load.stopped.set()
    await asyncio.gather(*tasks)
    for user, client in clients:
        await client.holds(load.seen_by(user))
    # and deliveries go on, by the one that is left
    load.stored["last"] = world.write("last", 46.5, 8.0)
    for user, client in clients:
        await client.holds(load.seen_by(user))


async def test_settings_of_matching_end_to_end(world: World):
    """Least zoom and margin hold for snapshot and changes alike; above the cap changes come with the slow tick."""
    rules = json.dumps({"truck": {"min_zoom": 9}, "ship": {"margin_degrees": 0.5}})
    gateway, _ = await asyncio.gather(
        world.gateway(kind_rules=rules),
        world.processor(kind_rules=rules, max_affected=1, conflate_milliseconds=300, tick_milliseconds=0),
    )
    world.write("truck", 46.0, 8.0, kind="truck")
    world.write("ship", 46.0, 11.4, kind="ship")
    world.write("plane", 46.0, 11.4)
    far, near = await world.client(gateway, "u1"), await world.client(gateway, "u2")
    west, south, east, north = ALPS
    for client, zoom in ((far, 5), (near, 12)):
        await client.send(type="viewport", west=west, south=south, east=east, north=north, zoom=zoom)
        await client.until("snapshot")
    await far.holds({"ship": 1})
    await near.holds({"ship": 1, "truck": 1})
    world.write("truck", 46.1, 8.0, kind="truck")
    world.write("plane", 46.0, 11.3)
    for longitude in (11.41, 11.42, 11.43):
        ship = world.write("ship", 46.0, longitude, kind="ship")
    await near.holds({"ship": ship.version, "truck": 2})
    await far.holds({"ship": ship.version})
    # both see it, and that is above the cap: leaving is told at once all the same
    world.write("ship", 46.0, 11.6, kind="ship")
    await near.holds({"truck": 2})
    await far.holds({})
