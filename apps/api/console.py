"""The console's built files at `/`: right types, safe caching, gzip once, and a helpful page without them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, route
from litestar.params import FromPath

from apps.platform.errors import NotFoundError

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

#: Where `apps/console` builds to; inside the image too.
DIST: Final = Path(__file__).resolve().parents[1] / "console" / "dist"

_TEXT: Final = ("text/", "application/json", "application/geo+json", "image/svg")
_TYPES: Final = {
    # Litestar adds the charset to text
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".geojson": "application/geo+json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".pbf": "application/x-protobuf",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}

_ABSENT: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Slipway</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}
code{background:#8882;padding:.1em .3em;border-radius:.2em}</style></head>
<body><h1>Slipway's API runs</h1>
<p>The console is not built here. Build it with <code>make console</code> (or <code>make up</code>,
which also starts the whole stack), then reload this page.</p>
<p><a href="/schema">The API's reference</a> &middot; <a href="/ready">its readiness</a></p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    zipped: bytes | None
    media_type: str
    etag: str


class Assets:
    """Files below one folder, read once and again when they change; nothing outside can be named."""

    def __init__(self, folder: Path = DIST, *, most: int = 512) -> None:
        self._folder = folder
        self._most = most
        self._cache: dict[Path, tuple[tuple[int, int], Asset]] = {}

    async def find(self, path: str) -> Asset | None:
        """Return the file at `path` (`/` is index.html), or None."""
        return await asyncio.to_thread(self._find, path)

    def _find(self, path: str) -> Asset | None:
        name = path.lstrip("/") or "index.html"
        if "\x00" in name:
            return None
        root = self._folder.resolve()
        file = (root / name).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            return None
        stat = file.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        held = self._cache.get(file)
        if held is not None and held[0] == stamp:
            return held[1]
        if len(self._cache) >= self._most:
            self._cache.clear()
        asset = _read(file)
        self._cache[file] = (stamp, asset)
        return asset


def _read(file: Path) -> Asset:
    content = file.read_bytes()
    media_type = _TYPES.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0]
    media_type = media_type or "application/octet-stream"
    zipped = gzip.compress(content, 6, mtime=0) if media_type.startswith(_TEXT) else None
    return Asset(
        content,
        zipped if zipped is not None and len(zipped) < len(content) else None,
        media_type,
        f'"{hashlib.sha256(content).hexdigest()[:20]}"',
    )


def handlers(assets: Assets) -> list[HTTPRouteHandler]:
    """Serve `/` and everything no other route knows."""

    async def answer(request: Request[Any, Any, Any], path: str) -> Response[bytes]:
        found = await assets.find(path)
        if found is not None:
            return _answer(request, found)
        if path in {"/", "/index.html"}:
            return Response(_ABSENT, headers={"cache-control": "no-store"}, media_type="text/html")
        raise NotFoundError(f"nothing is at {path}", code="route.not_found")

    @route("/", http_method=["GET", "HEAD"], opt={"public": True}, include_in_schema=False)
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await answer(request, "/")

    @route("/{path:path}", http_method=["GET", "HEAD"], opt={"public": True}, include_in_schema=False)
    async def file(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
        return await answer(request, path)

    return [page, file]


def _answer(request: Request[Any, Any, Any], asset: Asset) -> Response[bytes]:
    headers = {
        "etag": asset.etag,
        # names carry no hash: browsers keep the file and ask each time whether it is still the one
        "cache-control": "no-cache",
        "vary": "accept-encoding",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    if asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            asset.zipped, headers={**headers, "content-encoding": "gzip"}, media_type=asset.media_type
        )
    return Response(asset.content, headers=headers, media_type=asset.media_type)
