"""A gRPC server that names $POD_NAME in initial metadata and trailers, and in field 3.1 of what `shop.Cart/Get` answers.

With a health service if $HEALTH is set; with $CODE every call ends with that status and without a name. A call
whose metadata says `x-fail: CODE` names its pod and ends with CODE, at v2 alone.
"""

import os
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2_grpc

POD = os.environ["POD_NAME"]
NAME = (("x-pod-name", POD),)
CODE = os.environ.get("CODE")


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    assert len(content) < 0x80
    return bytes([number << 3 | 2, len(content)]) + content


class Naming(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def answer(request, context):
            if CODE is not None:
                context.abort(getattr(grpc.StatusCode, CODE), "the backend is at fault")
            context.send_initial_metadata(NAME)
            context.set_trailing_metadata(NAME)
            asked = dict(details.invocation_metadata).get("x-fail")
            if asked is not None and "-v2-" in POD:
                context.abort(getattr(grpc.StatusCode, asked), "as the caller wishes")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)


def get(_request: bytes, _context) -> bytes:
    return field(1, b"cart") + field(3, field(1, POD.encode()))


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[Naming()])
    methods = {"Get": grpc.unary_unary_rpc_method_handler(get)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Cart", methods)])
    if "HEALTH" in os.environ:
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    threading.Event().wait()
