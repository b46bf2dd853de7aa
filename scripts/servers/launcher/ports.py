"""Loopback ports that are free and stay free until a server binds them."""

import random
import socket
from pathlib import Path

from . import LaunchError

LOWEST = 10_240


class Ports:
    """Hands out TCP ports of 127.0.0.1, each to one launcher at a time.

    They lie outside the range from which the kernel serves outgoing connections: a load test that
    runs at the same time would otherwise take one between its choice and the server's bind. Two
    launchers are kept apart by an abstract Unix socket a port, which the kernel frees with the
    process that holds it.
    """

    def __init__(self) -> None:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        outside = [port for port in range(LOWEST, 65_536) if not low <= port <= high]
        self._candidates = outside or list(range(LOWEST, 65_536))
        random.shuffle(self._candidates)
        self._reservations: list[socket.socket] = []

    def take(self) -> int:
        """A port that nothing listens on."""
        while self._candidates:
            port = self._candidates.pop()
            reservation = socket.socket(socket.AF_UNIX)
            try:
                reservation.bind(f"\0lbtest-server-port-{port}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                reservation.close()
                continue
            self._reservations.append(reservation)
            return port
        raise LaunchError("no free port on 127.0.0.1")

    def release(self) -> None:
        """Lets other launchers use the ports."""
        for reservation in self._reservations:
            reservation.close()
