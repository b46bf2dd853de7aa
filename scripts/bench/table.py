"""From runs to medians, ratios and their spread."""

import csv
import statistics
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from .measure import Cost
from .peers import PEERS

HEADER = [
    *("scenario", "pair", "round", "program", "responses"),
    *("user_seconds", "system_seconds", "wall_seconds", "peak_kib", "load_average"),
]


@dataclass(frozen=True)
class Run:
    """One program's half of a pair; `pair` is the peer that lbtest ran beside."""

    scenario: str
    pair: str
    round: int
    program: str
    cost: Cost
    load_average: float

    def row(self) -> list[object]:
        return [self.scenario, self.pair, self.round, self.program, *astuple(self.cost), self.load_average]


def write(path: Path, runs: Iterable[Run]) -> None:
    """Appends the runs; a new file gets the header first."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        if is_new:
            out.writerow(HEADER)
        for run in runs:
            out.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in run.row()])


def read(path: Path) -> list[Run]:
    """What `write` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Run(
                *(row["scenario"], row["pair"], int(row["round"]), row["program"]),
                Cost(
                    *(int(row["responses"]), float(row["user_seconds"]), float(row["system_seconds"])),
                    *(float(row["wall_seconds"]), int(row["peak_kib"])),
                ),
                float(row["load_average"]),
            )
            for row in csv.DictReader(file)
        ]


def spread(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


@dataclass(frozen=True)
class Comparison:
    """lbtest beside a peer in one scenario; every field is (first quartile, median, third quartile)."""

    scenario: str
    peer: str
    rounds: int
    own_cpu: tuple[float, float, float]
    peer_cpu: tuple[float, float, float]
    cpu_ratio: tuple[float, float, float]
    throughput_ratio: tuple[float, float, float]
    own_peak: tuple[float, float, float]
    peer_peak: tuple[float, float, float]
    load_average: tuple[float, float, float]


def compare(runs: list[Run]) -> list[Comparison]:
    """One comparison for every scenario and peer, in the order of the runs."""
    pairs: dict[tuple[str, str], dict[int, dict[bool, Run]]] = {}
    for run in runs:
        rounds = pairs.setdefault((run.scenario, run.pair), {})
        rounds.setdefault(run.round, {})[run.program == "lbtest"] = run
    found = []
    for (scenario, peer), rounds in pairs.items():
        both = [(pair[True], pair[False]) for pair in rounds.values() if len(pair) == 2]
        if not both:
            continue

        def over(value: Callable[[Cost, Cost], float], both: list[tuple[Run, Run]] = both) -> tuple[float, float, float]:
            return spread([value(own.cost, other.cost) for own, other in both])

        found.append(
            Comparison(
                *(scenario, peer, len(both)),
                own_cpu=over(lambda own, _: own.cpu_microseconds),
                peer_cpu=over(lambda _, other: other.cpu_microseconds),
                cpu_ratio=over(lambda own, other: own.cpu_microseconds / other.cpu_microseconds),
                throughput_ratio=over(lambda own, other: own.throughput / other.throughput),
                own_peak=over(lambda own, _: own.peak_kib / 1024),
                peer_peak=over(lambda _, other: other.peak_kib / 1024),
                load_average=spread([run.load_average for pair in both for run in pair]),
            )
        )
    return found


COLUMNS = [
    "scenario",
    "peer",
    "same work",
    "pairs",
    "lbtest µs/request",
    "peer µs/request",
    "CPU ratio",
    "throughput ratio",
    "lbtest MiB",
    "peer MiB",
    "load",
]


def markdown(comparisons: list[Comparison]) -> str:
    """A table; ratios are lbtest's figure over the peer's, with the quartiles of the pairs in brackets."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---|" + "--:|" * (len(COLUMNS) - 3)]
    same = {peer.name for peer in PEERS if peer.does_same_work}
    for found in comparisons:
        low, ratio, high = found.cpu_ratio
        fast_low, fast, fast_high = found.throughput_ratio
        cells = [
            found.scenario,
            found.peer,
            "yes" if found.peer in same else "no",
            str(found.rounds),
            f"{found.own_cpu[1]:.2f}",
            f"{found.peer_cpu[1]:.2f}",
            f"**{ratio:.3f}** ({low:.3f}–{high:.3f})",
            f"{fast:.2f} ({fast_low:.2f}–{fast_high:.2f})",
            f"{found.own_peak[1]:.1f}",
            f"{found.peer_peak[1]:.1f}",
            f"{found.load_average[1]:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
