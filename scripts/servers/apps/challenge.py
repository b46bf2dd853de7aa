"""What the versions of the challenge's app have in common: the page and how it is served."""

import logging
import os

import waitress


def page(version: str) -> str:
    """The app's HTML, which names the node and the pod that answer."""
    node = os.environ["NODE_NAME"]
    pod = os.environ["POD_NAME"]
    return (
        "<!DOCTYPE html>\n<html>\n"
        f"<head><title>Challenge 6</title></head>\n<body>\n<h1>app:{version}</h1>\n"
        f"<p>Node Name: {node}</p>\n<p>Pod Name: {pod}</p>\n</body>\n</html>\n"
    )


def serve(app) -> None:
    """Serves a WSGI app on $HOST:$PORT (127.0.0.1 unless a container says otherwise) until SIGTERM.

    waitress, because it is one pure Python package that speaks HTTP/1.1 with keep-alive and
    TCP_NODELAY: without the latter each response waits 25 to 40 ms for a delayed ACK.
    """
    # It warns of every request that finds its threads busy, which under load is each of them.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ["PORT"]),
        threads=4,
        connection_limit=2000,
        backlog=2000,
        asyncore_use_poll=True,
    )
