"""The launcher's own tests: `scripts/test launcher`. Every server here is real."""

import http.client
import json
import math
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.dont_write_bytecode = True

from launcher.environment import SERVERS, python
from launcher.site import PODS

RUN = str(SERVERS / "run")
HOST = "edu.challenger-03"
SECONDS = 600
# A correct server leaves this many standard deviations in fewer than one of a million tests.
DEVIATIONS = 5


class Server:
    """A launch as a program has it: described by a line of JSON, stopped by closing its input."""

    def __init__(self, *options: str, stderr: int | None = None) -> None:
        self.launcher = subprocess.Popen(
            [RUN, *options, "--attached"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        assert self.launcher.stdout is not None
        self.about: dict[str, Any] = json.loads(self.launcher.stdout.readline())

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.launcher.communicate(timeout=SECONDS)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.about["url"]).netloc, timeout=SECONDS)

    def get(
        self, count: int, host: str = HOST, path: str = "/", headers: dict[str, str] | None = None
    ) -> list[tuple[int, str]]:
        """Status and body of `count` requests, over one connection as long as the server keeps it."""
        connection = self.connect()
        answers = []
        for _ in range(count):
            connection.request("GET", path, headers={"Host": host, **(headers or {})})
            response = connection.getresponse()
            answers.append((response.status, response.read().decode()))
        connection.close()
        return answers


def label(body: str) -> str:
    """Which version a page is of, by its pod."""
    return next((name for name, pod in PODS.items() if f"<p>Pod Name: {pod}</p>" in body), "none")


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def wait_until_gone(pids: dict[str, int]) -> list[str]:
    """What is left of the processes when they are gone, or when that has taken too long."""
    deadline = time.monotonic() + SECONDS
    while (left := alive(pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


class EveryKind(unittest.TestCase):
    def check(self, kind: str, *options: str, exactly: bool = False, secured: bool = True) -> None:
        tls = ["--tls"] if secured else []
        with Server(kind, "--weights", "v1=70,v2=30", *tls, *options) as server:
            requests = 1000
            answers = server.get(requests)
            self.assertEqual(Counter(status for status, _ in answers), {200: requests})
            counts = Counter(label(body) for _, body in answers)
            self.assertEqual(set(counts), {"v1", "v2"})
            allowed = 1 if exactly else DEVIATIONS * math.sqrt(requests * 0.7 * 0.3)
            self.assertLessEqual(abs(counts["v2"] - 0.3 * requests), allowed)

            [(status, body)] = server.get(1, host="other.example")
            self.assertEqual((status, label(body)), (404, "none"))
            for offered in ("h2", "http/1.1") if secured else ():
                self.assertEqual(self.negotiated(server, offered), offered)
            self.assertTrue(self.speaks_http2_in_the_clear(server))
        self.assertEqual(alive(server.about["pids"]), [])
        self.assertFalse(Path(server.about["directory"]).exists())

    def negotiated(self, server: Server, protocol: str) -> str | None:
        context = ssl.create_default_context(cafile=server.about["ca_file"])
        context.set_alpn_protocols([protocol])
        address = urlsplit(server.about["tls_url"])
        with socket.create_connection((address.hostname, address.port), SECONDS) as plain:
            with context.wrap_socket(plain, server_hostname=HOST) as encrypted:
                return encrypted.selected_alpn_protocol()

    def speaks_http2_in_the_clear(self, server: Server) -> bool:
        """Answers the client's preface and empty SETTINGS with a SETTINGS frame (type 4)."""
        address = urlsplit(server.about["h2c_url"])
        with socket.create_connection((address.hostname, address.port), SECONDS) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            head = b""
            while len(head) < 9 and (part := connection.recv(9 - len(head))):
                head += part
        return len(head) == 9 and head[3] == 4

    def test_nginx_splits_by_weight(self) -> None:
        self.check("nginx")

    def test_nginx_splits_by_weight_in_turn(self) -> None:
        self.check("nginx", "--balance", "smooth", exactly=True)

    def test_static_nginx_splits_by_weight(self) -> None:
        self.check("static")

    def test_haproxy_splits_by_weight_in_turn(self) -> None:
        self.check("haproxy", exactly=True)

    def test_haproxy_splits_by_weight_at_random(self) -> None:
        self.check("haproxy", "--balance", "random")

    def test_envoy_splits_by_weight(self) -> None:
        self.check("envoy")

    def test_traefik_splits_by_weight_in_turn(self) -> None:
        self.check("traefik", exactly=True, secured=False)

    def test_caddy_splits_by_weight_in_turn(self) -> None:
        self.check("caddy", exactly=True, secured=False)


class Splits(unittest.TestCase):
    def test_weight_of_zero_gets_nothing(self) -> None:
        for kind in ("nginx", "static", "haproxy", "envoy"):
            with self.subTest(kind), Server(kind, "--weights", "v1=1,v2=0") as server:
                self.assertEqual({label(body) for _, body in server.get(100)}, {"v1"})

    def test_labels_beyond_two_have_pods_of_their_own(self) -> None:
        with Server("nginx", "--weights", "v1=50,v2=30,v3=20") as server:
            bodies = [body for _, body in server.get(300)]
            for pod in server.about["pods"].values():
                self.assertTrue(any(f"<p>Pod Name: {pod}</p>" in body for body in bodies), pod)
            self.assertEqual(len(set(server.about["pods"].values())), 3)


class Faults(unittest.TestCase):
    def test_nginx_routes_by_header_then_cookie_and_a_path_by_itself(self) -> None:
        rules = ["--route-header", "X-Canary", "--route-cookie", "canary", "--route-path", "/beta:v2=1"]
        with Server("nginx", "--weights", "v1=1,v2=0", *rules) as server:
            for headers, expected in [
                ({}, "v1"),
                ({"X-Canary": "always"}, "v2"),
                ({"X-Canary": "never", "Cookie": "canary=always"}, "v1"),
                ({"X-Canary": "other", "Cookie": "canary=always"}, "v2"),
                ({"Cookie": "a=b; canary=never"}, "v1"),
            ]:
                self.assertEqual({label(body) for _, body in server.get(5, headers=headers)}, {expected}, headers)
            for path, expected in [("/beta", "v2"), ("/beta/x", "v2"), ("/betamax", "none")]:
                self.assertEqual({label(body) for _, body in server.get(5, path=path)}, {expected}, path)

    def test_nginx_keeps_a_client_by_its_cookie(self) -> None:
        with Server("nginx", "--weights", "v1=50,v2=50", "--sticky") as server:
            connection = server.connect()
            connection.request("GET", "/", headers={"Host": HOST})
            response = connection.getresponse()
            first = label(response.read().decode())
            cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
            self.assertEqual(cookie, f"INGRESSCOOKIE={first}")
            kept = server.get(30, headers={"Cookie": cookie})
            self.assertEqual({label(body) for _, body in kept}, {first})
            self.assertEqual({label(body) for _, body in server.get(60)}, {"v1", "v2"})

    def test_limiter_answers_503_beyond_its_burst(self) -> None:
        with Server("nginx", "--limit-rpm", "60", "--burst-multiplier", "1") as server:
            statuses = [status for status, _ in server.get(150)]
        self.assertEqual(set(statuses[:61]), {200})
        self.assertIn(503, statuses[61:])
        self.assertLessEqual(set(statuses[61:]), {200, 503})

    def test_faulty_backend_answers_its_status_and_names_no_pod(self) -> None:
        for kind in ("nginx", "static", "haproxy", "envoy"):
            with self.subTest(kind), Server(kind, "--fault", "v2=503") as server:
                answers = Counter((status, label(body)) for status, body in server.get(100))
                self.assertEqual(set(answers), {(200, "v1"), (503, "none")})

    def test_limit_of_the_app_rejects_v2_alone(self) -> None:
        with Server("haproxy", "--weights", "v1=50,v2=50", "--app-limit", "10 per hour") as server:
            answers = Counter((status, label(body)) for status, body in server.get(100))
        self.assertEqual(answers, {(200, "v1"): 50, (200, "v2"): 10, (429, "none"): 40})

    def test_connection_closes_after_its_requests(self) -> None:
        for kind in ("nginx", "static", "envoy"):
            with self.subTest(kind), Server(kind, "--keepalive-requests", "3") as server:
                connection = server.connect()
                closing = []
                for _ in range(3):
                    connection.request("GET", "/", headers={"Host": HOST})
                    response = connection.getresponse()
                    response.read()
                    closing.append(response.will_close)
                self.assertEqual(closing, [False, False, True])

    def test_v2_without_flask_limiter_dies_on_line_3(self) -> None:
        program = "import runpy, sys; sys.modules['flask_limiter'] = None; runpy.run_path(sys.argv[1])"
        app = str(SERVERS / "apps" / "v2.py")
        result = subprocess.run([python(), "-c", program, app], capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(result.returncode, 1)
        self.assertIn('v2.py", line 3, in <module>\n    from flask_limiter import Limiter\n', result.stderr)
        self.assertIn("ModuleNotFoundError", result.stderr)


class Life(unittest.TestCase):
    def run_launcher(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([RUN, *arguments], capture_output=True, text=True, timeout=SECONDS)

    def test_command_gets_the_servers_and_gives_the_exit_status(self) -> None:
        script = 'echo "$LBTEST_SERVER_URL $LBTEST_SERVER_HOST"; cat "$LBTEST_SERVER_JSON"; exit 7'
        result = self.run_launcher("static", "--", "sh", "-c", script)
        self.assertEqual(result.returncode, 7)
        first, _, rest = result.stdout.partition("\n")
        about = json.loads(rest)
        self.assertEqual(first, f"{about['url']} {HOST}")
        self.assertEqual(wait_until_gone(about["pids"]), [])
        self.assertFalse(Path(about["directory"]).exists())

    def test_sigterm_and_sigint_stop_everything(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name), Server("nginx") as server:
                server.launcher.send_signal(number)
                self.assertEqual(server.launcher.wait(SECONDS), 0)
                self.assertEqual(alive(server.about["pids"]), [])
                self.assertFalse(Path(server.about["directory"]).exists())

    def test_sigterm_is_passed_on_to_the_command(self) -> None:
        program = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
print(" ".join(open(os.environ["LBTEST_SERVER_JSON"]).read().split()), flush=True)
while True:
    signal.pause()
"""
        command = [RUN, "static", "--", sys.executable, "-c", program]
        launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert launcher.stdout is not None
        about = json.loads(launcher.stdout.readline())
        launcher.terminate()
        launcher.communicate(timeout=SECONDS)
        self.assertEqual(launcher.returncode, 9)
        self.assertEqual(alive(about["pids"]), [])

    def test_servers_end_with_a_killed_launcher(self) -> None:
        with Server("nginx") as server:
            server.launcher.kill()
            self.assertEqual(wait_until_gone(server.about["pids"]), [])
        subprocess.run(["rm", "-r", server.about["directory"]], check=True)

    def test_server_that_dies_ends_the_launch_with_its_log(self) -> None:
        with Server("haproxy", stderr=subprocess.PIPE) as server:
            os.kill(server.about["pids"]["v2"], signal.SIGKILL)
            self.assertEqual(server.launcher.wait(SECONDS), 125)
            assert server.launcher.stderr is not None
            self.assertIn("v2 ended by itself", server.launcher.stderr.read())
        self.assertEqual(alive(server.about["pids"]), [])

    def test_launches_side_by_side_share_no_port(self) -> None:
        with Server("static") as one, Server("static") as two:
            ports = [urlsplit(server.about[url]).port for server in (one, two) for url in ("url", "h2c_url")]
            self.assertEqual(len(set(ports)), 4)

    def test_late_server_is_reported_in_a_sentence(self) -> None:
        result = self.run_launcher("static", "--ready-timeout", "0", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("static is not ready on 127.0.0.1:", result.stderr)

    def test_missing_server_is_reported_with_the_command_that_installs_it(self) -> None:
        environment = {**os.environ, "PATH": "/nonexistent"}
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]); from launcher.environment import program; program('absent')"
        )
        result = subprocess.run(
            [sys.executable, "-c", program, str(SERVERS)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        self.assertIn("absent is not installed: run `scripts/test packages`", result.stderr)

    def test_wrong_options_exit_2(self) -> None:
        for options in (
            ["nginx", "--weights", "v1=70,v1=30"],
            ["nginx", "--weights", "v1=0"],
            ["nginx", "--weights", "v1=-1,v2=2"],
            ["nginx", "--fault", "v3=503"],
            ["nginx", "--fault", "v2=200"],
            ["nginx", "--burst-multiplier", "2"],
            ["nginx", "--balance", "random"],
            ["haproxy", "--balance", "smooth"],
            ["nginx", "--balance", "smooth", "--sticky"],
            ["static", "--limit-rpm", "10"],
            ["nginx", "--in-flight", "10"],
            ["nginx", "--host", "a b"],
            ["nginx", "--route-header", "a b"],
            ["nginx", "--route-path", "beta:v1=1"],
            ["nginx", "--route-path", "/beta:v3=1"],
            ["nginx", "--weights", "v1=1", "--route-cookie", "canary"],
            ["envoy", "--sticky"],
            ["apache"],
        ):
            with self.subTest(options):
                self.assertEqual(self.run_launcher(*options, "--", "true").returncode, 2)


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout, verbosity=2))
