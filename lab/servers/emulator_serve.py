"""Runs the emulator with the interpreter of its own environment: on loopback, its state saved as it changes.

The emulator alone listens on 0.0.0.0, and saves only when it is stopped in order: killed, it would forget
what PostgreSQL and Valkey still know.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

SAVE_SECONDS = 2.0


def listen(port: int) -> socket.socket:
    """The wanted port, else any free one; held from here on, so that nobody takes it in between."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    return listener


def recorded(app: Any, path: str | None) -> Any:
    """The app, its calls noted in a file when one is named; `-I` leaves this folder off the import path."""
    if path is None:
        return app
    place = Path(__file__).with_name("emulator_calls.py")
    spec = importlib.util.spec_from_file_location("emulator_calls", place)
    if spec is None or spec.loader is None:
        raise ImportError(str(place))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Calls(app, Path(path))


def let_names_pass() -> None:
    """A task's name in place of a session token is no reason to refuse a presigned URL (the only check)."""
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    check = evaluator._validate_session_token  # noqa: SLF001 — the version is pinned

    def validate(expected: Any, supplied: Any) -> Any:
        return None if expected is None else check(expected, supplied)  # of STS: still checked

    evaluator._validate_session_token = validate  # noqa: SLF001


class Saving:
    """The emulator as an ASGI app, and whether a request came since the last save."""

    def __init__(self, module: Any, record: str | None) -> None:
        self.module = module
        self.app = recorded(module.app, record)
        self.changed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Health checks change nothing."""
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack/"):
            self.changed = True
        await self.app(scope, receive, send)

    async def save(self) -> None:
        """Each file is replaced whole; one that changes while it is written is written again next time."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if self.changed:
                self.changed = False
                await asyncio.to_thread(
                    self.module.save_all,
                    self.module._build_persistence_save_dict(),  # noqa: SLF001 — the version is pinned
                )


async def run(spec: dict[str, Any]) -> None:
    """Serve until SIGTERM; the emulator then saves once more."""
    listener = listen(int(spec["listen"]))
    port = listener.getsockname()[1]
    # read by the emulator when it is imported: the port is part of queue URLs
    os.environ["GATEWAY_PORT"] = str(port)
    emulator = importlib.import_module("ministack.app")
    config = importlib.import_module("hypercorn.config").Config()
    serve = importlib.import_module("hypercorn.asyncio").serve
    logging.getLogger("hypercorn.access").disabled = True
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    let_names_pass()
    app = Saving(emulator, spec.get("record"))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    announce = Path(spec["announce"])
    fresh = announce.with_name(announce.name + ".new")
    fresh.write_text(str(port), encoding="utf-8")
    fresh.replace(announce)
    saver = asyncio.create_task(app.save())
    await serve(app, config, shutdown_trigger=stopped.wait)
    saver.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await saver


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
