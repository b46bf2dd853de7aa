# The challenge's app, version 2: limits each client. Without Flask-Limiter it dies on line 3.
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

import os

from challenge import page, serve

app = Flask(__name__)
Limiter(
    get_remote_address,
    app=app,
    default_limits=[os.environ.get("RATE_LIMIT", "1000000 per second")],
    headers_enabled=True,
    storage_uri="memory://",
)


@app.get("/")
def index() -> str:
    return page("v2")


if __name__ == "__main__":
    serve(app)
