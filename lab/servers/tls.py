"""The lab's own certificate authority, and the TLS front before a server that has no TLS of its own."""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.servers import tls_front
from lab.servers.process import Kept
from lab.servers.state import write_private

if TYPE_CHECKING:
    from lab.servers.state import State

NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Authority:
    """`ca_file` is what clients trust; `certificate` holds the front's key and chain."""

    ca_file: Path
    certificate: Path


def authority(state: State) -> Authority:
    """Made once per state folder: the CA's key never leaves it, and no system store is touched."""
    found = Authority(state.ca / "ca.pem", state.ca / "server.pem")
    if _usable(found):
        return found
    import trustme  # noqa: PLC0415 — a tenth of a second, needed once per state folder

    ca = trustme.CA(organization_name="slipway lab", key_type=trustme.KeyType.ECDSA)
    issued = ca.issue_cert(*NAMES, key_type=trustme.KeyType.ECDSA)
    write_private(state.ca / "ca.key", ca.private_key_pem.bytes().decode())
    write_private(found.certificate, issued.private_key_and_cert_chain_pem.bytes().decode())
    # last, as its presence says that the rest is there
    write_private(found.ca_file, ca.cert_pem.bytes().decode())
    return found


def _usable(found: Authority) -> bool:
    """Whole files that belong together; half of a pair is made anew."""
    if not (found.ca_file.is_file() and found.certificate.is_file()):
        return False
    try:
        ssl.create_default_context(cafile=str(found.ca_file))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found.certificate)
    except (OSError, ssl.SSLError):
        return False
    return True


@dataclass
class TlsFront:
    """TLS on a loopback port before a plain socket, in a process of its own."""

    state: State
    name: str
    protocol: Literal["postgres", "plain"]
    path: Path | None = None
    host: str = ""
    port: int = 0
    _kept: Kept | None = None

    def launch(self, issued: Authority) -> None:
        """Start the process; the server behind it may start meanwhile."""
        announce = self.state.run / f"{self.name}-tls.port"
        wanted = 0
        with contextlib.suppress(OSError, ValueError):
            wanted = int(announce.read_text(encoding="utf-8"))
        announce.unlink(missing_ok=True)
        spec = {
            "certificate": str(issued.certificate),
            "protocol": self.protocol,
            "path": None if self.path is None else str(self.path),
            "host": self.host,
            "port": self.port,
            "listen": wanted,
            "announce": str(announce),
        }
        command = [sys.executable, "-I", str(Path(tls_front.__file__)), json.dumps(spec)]
        self._kept = Kept(f"{self.name}-tls", self.state, command, grace=1.0)
        self._kept.start()

    async def ready(self) -> int:
        """The port it listens on: the last run's when that was free."""
        assert self._kept is not None  # noqa: S101 — launched
        announce = self.state.run / f"{self.name}-tls.port"
        await self._kept.until(announce.is_file, timeout=15)
        return int(announce.read_text(encoding="utf-8"))

    async def stop(self) -> None:
        """Clients are cut; stop the server's users first."""
        if self._kept is not None:
            await self._kept.stop()
