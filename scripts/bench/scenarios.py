"""What is measured: how requests travel, and how many of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One load that every peer which knows how puts on the server.

    `requests` is a multiple of `connections`, since hey rounds down to one.
    """

    name: str
    requests: int
    connections: int
    is_fresh: bool = False
    protocol: str = "http1"
    seconds: int = 2

    @property
    def is_tls(self) -> bool:
        return self.protocol in ("tls", "h2")


SCENARIOS = {
    scenario.name: scenario
    for scenario in [
        Scenario("keep-alive-1", 60_000, 1),
        Scenario("keep-alive-50", 200_000, 50),
        Scenario("keep-alive-1000", 200_000, 1000),
        Scenario("keep-alive-10000", 200_000, 10_000, seconds=4),
        Scenario("fresh", 30_000, 50, is_fresh=True),
        Scenario("tls", 100_000, 50, protocol="tls"),
        Scenario("tls-fresh", 4_000, 50, is_fresh=True, protocol="tls"),
        Scenario("h2", 100_000, 50, protocol="h2"),
    ]
}
