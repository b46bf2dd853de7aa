"""A TCP service: greets each connection with the line `pod $POD_NAME` and closes; within TLS where $CERTIFICATE is."""

import os
import socketserver
import ssl

POD = os.environ["POD_NAME"]
CERTIFICATE = os.environ.get("CERTIFICATE")


class Greeting(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(f"pod {POD}\r\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def finish_request(self, request, client_address) -> None:
        if CERTIFICATE is not None:
            request = CONTEXT.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """Whoever only looks whether somebody listens has gone before the greeting."""


if __name__ == "__main__":
    if CERTIFICATE is not None:
        CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CONTEXT.load_cert_chain(CERTIFICATE)
    with Server(("127.0.0.1", int(os.environ["PORT"])), Greeting) as server:
        server.serve_forever()
