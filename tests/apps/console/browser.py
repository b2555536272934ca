"""A real headless browser for the page tests, and everything it complained about."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, async_playwright

#: Software WebGL: what a machine without a GPU offers. Compositing stays off it: that alone would halve the frames.
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
    "--disable-dev-shm-usage",
]
NO_WEBGL = ["--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--disable-dev-shm-usage"]


@dataclass
class Watched:
    """A page with what went wrong in it and where it sent requests."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def status(self) -> dict[str, object]:
        """What the page says of itself."""
        return await self.page.evaluate("slipway.status()")

    async def until(self, condition: str, seconds: float = 30) -> None:
        """Wait until a JavaScript condition holds; `s` is the page's status."""
        await self.page.wait_for_function(
            f"() => {{ const s = globalThis.slipway?.status(); return s && ({condition}); }}",
            timeout=seconds * 1000,
        )

    def elsewhere(self, origin: str) -> list[str]:
        """Requests that left the page's own origin."""
        own = (origin, origin.replace("http", "ws", 1), "blob:", "data:")
        return [url for url in self.requests if not url.startswith(own)]


def chromium() -> str:
    """Debian's Chromium; without it the test fails with the command that brings it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("the page tests need a browser: apt-get install -y chromium", pytrace=False)
    return found


@contextlib.asynccontextmanager
async def browser(flags: list[str] | None = None) -> AsyncIterator[Browser]:
    """A fresh headless browser."""
    program = chromium()
    async with async_playwright() as play:
        started = await play.chromium.launch(executable_path=program, args=FLAGS if flags is None else flags)
        try:
            yield started
        finally:
            await started.close()


@contextlib.asynccontextmanager
async def open_page(browser: Browser, *, width: int = 960, height: int = 640) -> AsyncIterator[Watched]:
    """A page with a profile of its own."""
    page = await browser.new_page(viewport={"width": width, "height": height})
    watched = Watched(page)
    page.on("console", lambda message: _console(watched, message.type, message.text))
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.on("websocket", lambda socket: watched.requests.append(socket.url))
    try:
        yield watched
    finally:
        await page.close()


def _console(watched: Watched, kind: str, text: str) -> None:
    if kind == "error" or (kind == "warning" and "GPU stall" not in text and "GL Driver Message" not in text):
        watched.errors.append(f"{kind}: {text}")
