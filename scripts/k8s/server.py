"""An lbtest that listens, and how it is asked."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

LBTEST = os.environ.get("LBTEST", str(Path(__file__).resolve().parent.parent.parent / "target" / "debug" / "lbtest"))
SECONDS = 900


class Server:
    """An lbtest that listens, until it is stopped."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            [LBTEST, *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        # The address comes last.
        listening = (re.search(r"listening on http://([^/]+)/", line) for line in self.process.stdout)
        self.address = next(found.group(1) for found in listening if found)

    def stop(self):
        self.process.terminate()
        status = self.process.wait(timeout=SECONDS)
        self.process.stdout.close()
        return status

    def ask(self, path, payload=None, headers=None):
        """The status and the body, read as JSON where it is, of a GET, or of a POST with a payload."""
        body = None if payload is None else json.dumps(payload).encode()
        types = {} if payload is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}{path}", body, {**types, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        return status, json.loads(text) if text.startswith(b"{") else None

    def verdict(self, *request, **more):
        """What is answered in the end."""
        deadline = time.monotonic() + SECONDS
        while True:
            status, answer = self.ask(*request, **more)
            if answer["verdict"] != "running":
                return status, answer["verdict"]
            assert time.monotonic() < deadline, request
            time.sleep(0.1)
