"""A backend that answers every request with the status $STATUS and names no pod."""

import os
from http import HTTPStatus

from challenge import serve

STATUS = HTTPStatus(int(os.environ["STATUS"]))


def app(_environment, start_response) -> list[bytes]:
    body = f"{STATUS.value} {STATUS.phrase}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response(f"{STATUS.value} {STATUS.phrase}", headers)
    return [body]


if __name__ == "__main__":
    serve(app)
