"""The real router: it serves whom it is told to, and keeps its port when it is started anew."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import EngineError

from slime_core.engine import control
from slime_core.engine.control import Call
from slime_core.engine.options import check_router
from slime_core.engine.ports import lease
from slime_core.engine.process import RouterProcess

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


class Worker(BaseHTTPRequestHandler):
    """Answers all that the router asks a server, and says its port."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = json.dumps({"model_path": "m", "port": self.server.server_port}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def serve(port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), Worker)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RouterProcess]:
    router = RouterProcess(log_path=tmp_path / "router.log", tokens=check_router({}))
    router.start()
    yield router
    router.stop()


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except EngineError:
            pass
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def asked(router: RouterProcess) -> Any:
    return control.send(router.url, Call("/generate", {"text": "x"}))["port"]


def test_it_serves_whom_it_is_told_to_after_a_restart_too(router: RouterProcess) -> None:
    one, other = serve(0), serve(0)
    urls = [f"http://127.0.0.1:{server.server_port}" for server in (one, other)]
    router.wait_ready(urls, 60)
    assert router.serve(urls)
    router.serve(urls[:1])
    until(lambda: router.serve(urls[:1]))
    assert {asked(router) for _ in range(8)} == {one.server_port}
    before = router.url
    router.restart()
    until(lambda: router.serve(urls))
    assert router.url == before
    assert asked(router) in (one.server_port, other.server_port)
    for server in (one, other):
        server.shutdown()
        server.server_close()


def test_a_server_that_was_told_to_leave_before_it_answered_does_not_stay(
    router: RouterProcess,
) -> None:
    claim = lease()
    one = serve(0)
    here, late = f"http://127.0.0.1:{one.server_port}", f"http://127.0.0.1:{claim.port}"
    router.wait_ready([here], 60)
    router.serve([here, late])  # the router waits for it
    router.serve([here])
    other = serve(claim.port)
    until(lambda: late in router.healthy_servers())  # and takes it all the same
    until(lambda: router.serve([here]))
    assert router.healthy_servers() == {here}
    for server in (one, other):
        server.shutdown()
        server.server_close()
    claim.release()
