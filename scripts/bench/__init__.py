"""Measures what a request costs the client, for lbtest and its peers, in pairs: `scripts/bench-peers --help`.

scenario → peers' commands → runs in alternating pairs → CSV → medians and ratios
"""


class BenchError(Exception):
    """Why nothing could be measured, in one sentence for a person."""
