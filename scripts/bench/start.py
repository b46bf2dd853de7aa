"""How long after its start a program's first request arrives."""

import socket
import subprocess
import time

from . import BenchError

BODY = b"<p>Pod Name: challenge-app-6f79ff6b8d-fmzvc</p>\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
SECONDS = 20.0


def seconds_to_first_request(command: list[str], listener: socket.socket) -> float:
    """From before the fork to the first byte of a request; the program gets an answer and ends by itself."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = None
    try:
        while child.poll() is None:
            listener.settimeout(0.2 if first is not None else SECONDS)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if first is None:
                    raise BenchError(f"{command[0]} sent no request") from None
                continue
            with connection:
                connection.settimeout(SECONDS)
                # A connection that only shows that somebody listens carries no request.
                if connection.recv(65536):
                    first = first or time.monotonic()
                    connection.sendall(RESPONSE)
    finally:
        child.kill()
        child.wait()
    if first is None:
        raise BenchError(f"{command[0]} sent no request")
    return first - begin


def listen() -> socket.socket:
    """A listener on a free port of 127.0.0.1."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener
