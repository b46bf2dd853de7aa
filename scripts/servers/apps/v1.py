"""The challenge's app, version 1."""

from flask import Flask

from challenge import page, serve

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return page("v1")


if __name__ == "__main__":
    serve(app)
