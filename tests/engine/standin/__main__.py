"""A plugin process: `python -m tests.engine.standin PACKAGE CLOUD ENGINE_ADDRESS`, which the engine starts."""

from __future__ import annotations

import os
import sys
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from tests.engine.standin.cloud import Cloud
from tests.engine.standin.provider import Provider

_MESSAGE = 400 * 1024 * 1024


def main() -> None:
    """Serve until the engine goes away."""
    package, folder = sys.argv[1], Path(sys.argv[2])
    options = [("grpc.max_receive_message_length", _MESSAGE), ("grpc.max_send_message_length", _MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
    provider = Provider(package, Cloud(folder))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # the engine reads the port from the first line
    parent = os.getppid()
    # an engine that was killed says no goodbye: its plugins are handed to another parent
    while server.wait_for_termination(timeout=1) and os.getppid() == parent:
        pass
    server.stop(None)


if __name__ == "__main__":
    main()
