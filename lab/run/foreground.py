"""`up` as a person sees it: rows, addresses, then one log; Ctrl-C drains, twice kills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import EXIT_INTERRUPTED, EXIT_OK, LabError
from lab.run.progress import Progress, follower, summary, summary_document
from lab.run.stack import Extra, LocalStack, Options

if TYPE_CHECKING:
    from lab.output import Output


def up(options: Options, output: Output) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code."""
    return asyncio.run(_up(options, output))


def replay(files: Sequence[str] | None, speed: float | None) -> Callable[[str], Sequence[Extra]]:
    """Recorded tracks through the public API, once the stack serves."""

    def extras(url: str) -> Sequence[Extra]:
        command = ["python", "-m", "lab.replay", *(files or ()), "--url", url]
        if speed is not None:
            command += ["--speed", f"{speed:g}"]
        return (Extra("replay", command),)

    return extras


async def _up(options: Options, output: Output) -> int:
    progress = Progress(output)
    stack = LocalStack(options, progress.rows, follower(output, progress))
    stopped, received = _signals(stack, output)
    starting = asyncio.ensure_future(stack.up())
    error: LabError | None = None
    try:
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            progress.close()
            output.data(summary_document(stack), summary(stack, output))
            await stopped
    except LabError as problem:
        error = problem
    finally:
        progress.close()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await _down(stack, error, output)
    if error is not None:
        raise error
    if received == [signal.SIGINT]:
        output.say("stopped; its state is kept. Again: slipway up. Without it: slipway down --wipe")
        return EXIT_INTERRUPTED
    return EXIT_OK


async def _down(stack: LocalStack, error: LabError | None, output: Output) -> None:
    if stack.opened:
        if error is None:
            output.say("stopping: each process drains in reverse order (Ctrl-C again kills)")
        await stack.down(error)


def _signals(stack: LocalStack, output: Output) -> tuple[asyncio.Future[Any], list[signal.Signals]]:
    """The first signal asks for an orderly end, the second one ends everything at once."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[Any] = loop.create_future()
    received: list[signal.Signals] = []

    def receive(number: signal.Signals) -> None:
        if received:
            stack.kill()
            output.say("killed")
            sys.stderr.flush()
            os._exit(EXIT_INTERRUPTED)  # the keepers of the servers see this end, and end them
        received.append(number)
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, receive, number)
    return stopped, received
