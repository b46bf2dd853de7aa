"""Starts a real ingress with real apps behind it, for the tests and for people.

options → ports → site → (nginx | haproxy | envoy) → processes, and back down by process id.
Standard library alone, so that it runs before anything is installed.
"""


class LaunchError(Exception):
    """Why a server could not be started, in one sentence for a person."""
