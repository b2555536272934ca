"""One Redis subscriber connection per process: a raw protocol and hiredis, a tenth of redis-py's cost.

It reconnects with back-off and says so: what was published meanwhile is gone, and its owner must act on that.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from apps.platform.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apps.platform.settings import RedisSettings

log = Log("slipway.subscriber")

CONNECT_SECONDS: Final = 5.0
#: A connection nobody answers on is noticed after at most twice this.
PING_SECONDS: Final = 5.0
_BACKOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class SubscriberLostError(ConnectionError):
    """The connection ended before the server confirmed."""


class _Connection(asyncio.Protocol):
    """Parses replies where they arrive; no task, no queue."""

    def __init__(self, on_message: Callable[[bytes, bytes], None]) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.waiting: dict[bytes, asyncio.Future[None]] = {}
        self.replies: list[asyncio.Future[Any]] = []
        self.answered = True
        self._reader = hiredis.Reader()
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self.answered = True
        while True:
            try:
                reply: Any = self._reader.gets()
            except hiredis.ProtocolError as error:
                self.close(error)
                return
            if reply is False:
                return
            self._take(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(exc)

    def _take(self, reply: Any) -> None:
        if not isinstance(reply, list):
            if self.replies:
                future = self.replies.pop(0)
                if not future.done():
                    future.set_result(reply)
            return
        message = cast("list[Any]", reply)
        if message[0] == b"message":
            self._on_message(message[1], message[2])
        elif message[0] == b"subscribe":
            future = self.waiting.pop(message[1], None)
            if future is not None and not future.done():
                future.set_result(None)

    def send(self, *words: bytes) -> None:
        if self._transport is not None:
            self._transport.write(command(words))

    async def ask(self, *words: bytes) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.replies.append(future)
        self.send(*words)
        reply = await future
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def subscribe(self, channels: Iterable[str]) -> list[asyncio.Future[None]]:
        names = [channel.encode() for channel in channels]
        futures = [asyncio.get_running_loop().create_future() for _ in names]
        self.waiting.update(zip(names, futures, strict=True))
        self.send(b"SUBSCRIBE", *names)
        return futures

    def close(self, error: Exception | None = None) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        if not self.lost.done():
            self.lost.set_result(error)
        for future in (*self.waiting.values(), *self.replies):
            if not future.done():
                future.set_exception(SubscriberLostError("the subscriber's connection ended"))
                future.exception()  # whoever waits still gets it; nobody has to
        self.waiting.clear()
        self.replies.clear()


class Subscriber:
    """A service. `on_up(first)` runs when all channels are confirmed, `on_lost()` when that ends."""

    name = "subscriber"

    def __init__(
        self,
        settings: RedisSettings,
        client_name: str,
        on_message: Callable[[bytes, bytes], None],
        on_up: Callable[[bool], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._client_name = client_name
        self._on_message = on_message
        self._on_up = on_up
        self._on_lost = on_lost
        self._channels: set[str] = set()
        self._connection: _Connection | None = None
        self._first = True
        #: How often the connection ended although nobody asked it to.
        self.lost = 0
        self.up = asyncio.Event()

    async def subscribe(self, *channels: str) -> None:
        """Subscribe and wait for the confirmation; they are subscribed again after a reconnect.

        Raises `SubscriberLostError` when the connection ends before: `on_up` comes when it is back.
        """
        await self.up.wait()
        self._channels.update(channels)
        connection = self._connection
        if connection is None:
            raise SubscriberLostError("the subscriber's connection ended")
        if channels:
            await asyncio.gather(*connection.subscribe(channels))

    def unsubscribe(self, *channels: str) -> None:
        """Leave channels; what is on its way may still arrive."""
        self._channels.difference_update(channels)
        if self._connection is not None and channels:
            self._connection.send(b"UNSUBSCRIBE", *(channel.encode() for channel in channels))

    def add(self, *channels: str) -> None:
        """Name channels to subscribe as soon as there is a connection (before `run`)."""
        self._channels.update(channels)

    def reconnect(self) -> None:
        """Leave a server that is the primary no more: what it still hands on may have holes."""
        if self._connection is not None:
            self._connection.close()

    async def check(self) -> None:
        """Raise unless connected (readiness)."""
        if not self.up.is_set():
            raise SubscriberLostError("the subscriber is not connected")

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until told to stop."""
        stopping = asyncio.ensure_future(stop.wait())
        attempt = 0
        try:
            while not stop.is_set():
                try:
                    await self._session(stopping)
                    attempt = 0
                except (OSError, TimeoutError, hiredis.HiredisError) as error:
                    log.warning("subscriber.connect_failed", error=f"{type(error).__name__}: {error}")
                wait = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
                attempt += 1
                await asyncio.wait((stopping,), timeout=wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
        finally:
            stopping.cancel()

    async def _session(self, stopping: asyncio.Future[Any]) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await self._connect()
        self._connection = connection
        self.up.set()
        try:
            self._on_up(self._first)
            self._first = False
            await self._watch(connection, stopping)
        finally:
            self.up.clear()
            self._connection = None
            connection.close()
            if not stopping.done():
                self.lost += 1
                log.warning("subscriber.lost")
                self._on_lost()

    async def _connect(self) -> _Connection:
        context = ssl.create_default_context(cafile=self._settings.redis_ca_file)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._on_message),
            self._settings.redis_host,
            self._settings.redis_port,
            ssl=context,
        )
        try:
            await connection.ask(b"AUTH", self._settings.redis_password.get_secret_value().encode())
            await connection.ask(b"CLIENT", b"SETNAME", self._client_name.encode())
            if b"role:master" not in await connection.ask(b"INFO", b"replication"):
                # a failover's new address is not known everywhere at once
                raise SubscriberLostError("the server is a replica")  # noqa: TRY301  # closed below like the rest
            if self._channels:
                await asyncio.gather(*connection.subscribe(sorted(self._channels)))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _watch(self, connection: _Connection, stopping: asyncio.Future[Any]) -> None:
        while not connection.lost.done() and not stopping.done():
            connection.answered = False
            connection.send(b"PING")
            await asyncio.wait(
                (connection.lost, stopping), timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not connection.answered and not connection.lost.done() and not stopping.done():
                log.warning("subscriber.silent", seconds=PING_SECONDS)
                return


def command(words: Iterable[bytes]) -> bytes:
    """Encode a command as the server expects it."""
    parts = list(words)
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in parts)
