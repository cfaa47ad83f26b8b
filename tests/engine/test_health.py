"""A server is given up when its process ends, nothing comes from it for too long, or garbage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from slime_core.engine import health
from slime_core.engine.health import GARBAGE, Vigil

GOOD = {
    "meta_info": {
        "finish_reason": {"type": "length"},
        "output_token_logprobs": [[-0.5, 7, None]],
        "completion_tokens": 1,
    }
}


class StandIn:
    """A server that answers by path: (status, JSON or text), or an event to wait for first."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.paths: list[str] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer()

            def _answer(self) -> None:
                outer.paths.append(self.path)
                reply = outer.answers.get(self.path, (200, {}))
                if reply is None:
                    outer.released.wait(30)
                    self.close_connection = True
                    return
                status, value = reply
                content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[StandIn]:
    stand_in = StandIn()
    stand_in.answers["/generate"] = (200, GOOD)
    yield stand_in
    stand_in.close()


class Kept:
    """A vigil in a thread of its own."""

    def __init__(self, url: str, **limits: float) -> None:
        self.ended = ""
        self.reason: str | None = None
        limits = {"every_s": 0.01, "timeout_s": 0.3} | limits
        self.vigil = Vigil(url, lambda: self.ended, **limits)
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        self.reason = self.vigil.keep()

    def wait(self) -> str:
        self._thread.join(20)
        assert self.reason is not None
        return self.reason


@pytest.fixture
def keep(server: StandIn) -> Iterator[Callable[..., Kept]]:
    kept: list[Kept] = []

    def start(**limits: float) -> Kept:
        kept.append(Kept(server.url, **limits))
        return kept[-1]

    yield start
    for each in kept:
        each.vigil.end()


def eventually(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_nothing_is_said_of_a_server_that_works(server: StandIn, keep: Any) -> None:
    kept = keep()
    eventually(lambda: server.paths.count("/generate") > 3)
    assert kept.reason is None
    assert kept.vigil.token_s > 0
    kept.vigil.end()
    assert kept.wait() == ""


def test_a_process_that_ended_is_seen_between_two_looks(server: StandIn, keep: Any) -> None:
    kept = keep(every_s=1000)
    eventually(lambda: server.paths)
    kept.ended = "was killed by signal 9"
    assert kept.wait() == "was killed by signal 9"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, "<html>"), "string indices must be"),
        ((200, {}), "without 'meta_info'"),
        ((500, "out of order"), "status 500: out of order"),
    ],
)
def test_garbage_is_believed_when_it_comes_again(
    server: StandIn, keep: Any, reply: Any, message: str
) -> None:
    server.answers["/generate"] = reply
    reason = keep().wait()
    assert reason.startswith("answers garbage: ")
    assert message in reason
    assert server.paths.count("/generate") == GARBAGE


def test_garbage_once_is_forgotten(server: StandIn, keep: Any) -> None:
    class Turns(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            odd = server.paths.count("/generate") % 2
            return (200, GOOD if odd else {}) if path == "/generate" else default

    server.answers = Turns()
    kept = keep()
    eventually(lambda: server.paths.count("/generate") > 6)
    assert kept.reason is None


def test_a_server_from_which_nothing_comes_has_hung(server: StandIn, keep: Any) -> None:
    server.answers |= {"/generate": None, "/health_generate": None}
    assert keep().wait().startswith("did not answer for 0.3 s (http://127.0.0.1:")


def test_one_that_nobody_listens_at_has_hung_too(server: StandIn, keep: Any) -> None:
    server.close()
    assert "did not answer for 0.3 s" in keep().wait()


@pytest.mark.parametrize("reply", [None, (503, "queue is full"), (429, "too many")])
def test_a_busy_server_only_has_to_move(
    server: StandIn, keep: Any, monkeypatch: pytest.MonkeyPatch, reply: Any
) -> None:
    monkeypatch.setattr(health, "TOKEN_S", 0.05)
    server.answers["/generate"] = reply
    kept = keep(timeout_s=5)
    eventually(lambda: server.paths.count("/health_generate") > GARBAGE)
    assert kept.reason is None
    # What was asked only to look is not left in its queue.
    assert server.paths.count("/abort_request") >= server.paths.count("/health_generate")


def test_a_scheduler_that_hangs_behind_a_server_that_answers_is_found(
    server: StandIn, keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TOKEN_S", 0.05)
    server.answers |= {"/generate": None, "/health_generate": (503, "")}
    assert "/health_generate: status 503" in keep().wait()


def test_while_weights_are_sent_nothing_is_written(server: StandIn, keep: Any) -> None:
    kept = keep()
    kept.vigil.quiet(True)
    eventually(lambda: server.paths.count("/health") > 2)
    server.answers["/generate"] = (200, "<html>")
    written = server.paths.count("/generate")
    eventually(lambda: server.paths.count("/health") > 6)
    assert server.paths.count("/generate") == written
    kept.vigil.quiet(False)
    assert kept.wait().startswith("answers garbage")


def test_a_server_that_hangs_while_weights_are_sent_is_found(server: StandIn, keep: Any) -> None:
    server.answers["/health"] = None
    kept = keep()
    kept.vigil.quiet(True)
    assert kept.wait().startswith("did not answer for 0.3 s")


def test_one_look_says_what_is_wrong_now(server: StandIn) -> None:
    vigil = Vigil(server.url, lambda: "", every_s=1, timeout_s=0.3)
    assert vigil.check() == ""
    server.answers["/generate"] = (500, "broken")
    assert "status 500: broken" in vigil.check()
    assert Vigil(server.url, lambda: "is gone", every_s=1, timeout_s=1).check() == "is gone"
