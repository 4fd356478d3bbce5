"""A port for a server that is started later, or stopped and started again."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LEAST, _USUAL = 10_000, 32_768
_draw = random.SystemRandom()  # tests seed the other ones


def free_port() -> int:
    """Return a port of loopback on which nobody listens.

    It is below those that the kernel gives to outgoing connections: one of them could take a port in between.
    """
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = _draw.randrange(_LEAST, outgoing if outgoing > 2 * _LEAST else _USUAL)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
