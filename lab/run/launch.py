"""Becomes the program of a service: a script, run before it, that ties its life to the supervisor's.

A child that outlives its supervisor would keep its port. The kernel is asked for SIGKILL when the parent ends
(Linux); it is asked here, in the fresh process, because a fork hook is not safe beside threads.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Arguments: the supervisor's process id, then the program and its arguments."""
    supervisor, *command = arguments
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415  only here: it costs milliseconds

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(supervisor):
        sys.exit(1)  # it ended before the kernel was asked
    try:
        os.execvp(command[0], command)  # noqa: S606  no shell on purpose
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
