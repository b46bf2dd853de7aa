"""An app that names nobody: what it answered stands in gunicorn's access log alone."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return "ok\n"
