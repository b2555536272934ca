"""What a server's listening socket hands on to every connection that it accepts."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_OWN_DESCRIPTORS: Final = Path("/proc/self/fd")
#: Linux: a connection ends when its peer acknowledges or takes nothing for so long (tcp(7)).
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


def end_untaken(port: int, seconds: float) -> bool:
    """Have the kernel end connections of the server on `port` whose peer takes nothing for so long.

    A server that closes one can't: what is unsent stays, and the connection with it, until the peer reads on.
    Granian keeps its socket to itself, so it is looked for among the process's own. False where there is
    none, or the system knows no such time.
    """
    if _USER_TIMEOUT is None or not _OWN_DESCRIPTORS.is_dir():
        return False
    found = False
    for name in os.listdir(_OWN_DESCRIPTORS):  # noqa: PTH208  # numbers, not files
        # closed meanwhile, no socket, or one without a port
        with (
            suppress(OSError, IndexError),
            socket.fromfd(int(name), socket.AF_INET, socket.SOCK_STREAM) as one,
        ):
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port:
                one.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(seconds * 1000))
                found = True
    return found
