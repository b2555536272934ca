"""The listening socket's time for what a peer does not take."""

from __future__ import annotations

import socket

from apps.platform.sockets import end_untaken


def test_accepted_connections_have_the_time_of_their_listener() -> None:
    """The server's socket is found by its port among the process's own; where nobody listens there is none."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = server.getsockname()[1]
        assert end_untaken(port, 1.5) is True
        for one, wanted in ((server, 1500), (other, 0)):
            with socket.create_connection(one.getsockname()), one.accept()[0] as accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == wanted
    assert end_untaken(port, 1.5) is False
