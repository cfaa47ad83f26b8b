"""What an update asks of servers, and how failures are told, against a small HTTP stand-in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from slime_hookspecs.errors import ConfigError, WeightSyncError

from slime_core.config.schema import WeightsConfig
from slime_core.engine.address import ServingAddress
from slime_core.weights.sync import BROKEN, WeightSync, choose, server_dtype
from slime_core.weights.transports import tensor

INFO = {"tp_size": 1, "dtype": "float32", "model_path": "/nowhere", "pp_size": 1, "ep_size": 1}
TENSORS = [("model.norm.weight", torch.ones(4))]


class StandIn:
    """A server that notes its requests and refuses those to the paths in ``refused``."""

    def __init__(self, refused: tuple[str, ...] = (), **info: Any) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.hang_at = ""
        self._stopped = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(INFO | info)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                path = self.path.partition("?")[0]
                outer.requests.append((path, json.loads(body)))
                if path == outer.hang_at:
                    outer._stopped.wait(60)
                    self.close_connection = True
                    return
                refused_here = path in refused
                self._answer({"success": not refused_here}, 400 if refused_here else 200)

            def _answer(self, value: Any, status: int = 200) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def body(self, path: str) -> Any:
        return next(body for found, body in self.requests if found == path)

    def stop(self) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def stand_in() -> Iterator[Callable[..., StandIn]]:
    made: list[StandIn] = []

    def make(*refused: str, **info: Any) -> StandIn:
        made.append(StandIn(refused, **info))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def sync(tmp_path: Path, *urls: str, transport: Any = "tensor") -> WeightSync:
    return WeightSync(WeightsConfig(transport=transport), ServingAddress("", urls), tmp_path)


def test_an_update_pauses_sends_flushes_names_the_version_and_continues(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    server = stand_in()
    metrics = sync(tmp_path, server.url).run(iter(TENSORS), 5, verify=False)
    assert server.paths() == [
        "/pause_generation",
        "/update_weights_from_tensor",
        "/flush_cache",
        "/update_weight_version",
        "/continue_generation",
    ]
    assert server.body("/pause_generation") == {"mode": "abort"}
    assert server.body("/update_weights_from_tensor")["flush_cache"] is False
    assert server.body("/update_weight_version")["new_version"] == "5"
    assert metrics["sync/bytes"] == 16
    assert metrics["sync/buckets"] == 1
    assert metrics["sync/verified_tensors"] == 0


def test_every_server_and_every_rank_gets_a_handle(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    one, two = stand_in(), stand_in(tp_size=2)
    sync(tmp_path, one.url, two.url).run(iter(TENSORS), 1, verify=False)
    handles = [
        len(s.body("/update_weights_from_tensor")["serialized_named_tensors"]) for s in (one, two)
    ]
    assert handles == [1, 2]


@pytest.mark.parametrize("transport", ["tensor", "disk"])
def test_a_refused_update_is_told_the_servers_are_marked_and_go_on_and_all_tensors_are_read(
    stand_in: Callable[..., StandIn], tmp_path: Path, transport: str
) -> None:
    path = f"/update_weights_from_{transport}"
    good, bad = stand_in(), stand_in(path)
    rest = iter([*TENSORS, ("lm_head.weight", torch.ones(1 << 19))] * 3)
    with pytest.raises(WeightSyncError) as caught:
        sync(tmp_path, good.url, bad.url, transport=transport).run(rest, 5, verify=False)
    assert f'{bad.url}{path}: status 400: {{"success": false}}' in str(caught.value)
    assert list(rest) == []
    for server in (good, bad):
        assert server.paths()[-2:] == ["/update_weight_version", "/continue_generation"]
        assert server.body("/update_weight_version")["new_version"] == BROKEN
    assert list(tmp_path.iterdir()) == []


def test_two_failures_are_one_error_with_a_note(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    servers = [stand_in("/pause_generation"), stand_in("/pause_generation")]
    with pytest.raises(WeightSyncError, match=servers[0].url) as caught:
        sync(tmp_path, *(s.url for s in servers)).run(iter(TENSORS), 1, verify=False)
    assert any(servers[1].url in note for note in caught.value.__notes__)


def test_a_server_that_is_gone_is_named(stand_in: Callable[..., StandIn], tmp_path: Path) -> None:
    server = stand_in()
    server.stop()
    rest = iter(TENSORS)
    with pytest.raises(WeightSyncError, match=rf"{server.url}/server_info: no answer"):
        sync(tmp_path, server.url).run(rest, 1, verify=False)
    assert list(rest) == []


def test_a_server_that_hangs_in_an_update_is_not_waited_for_for_ever(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    good, hangs = stand_in(), stand_in()
    hangs.hang_at = "/update_weights_from_tensor"
    config = WeightsConfig(transport="tensor", timeout_s=0.2)
    rest = iter(TENSORS)
    with pytest.raises(WeightSyncError, match=rf"{hangs.url}/update_weights_from_tensor: no ans"):
        WeightSync(config, ServingAddress("", (good.url, hangs.url)), tmp_path).run(rest, 1, False)
    assert list(rest) == []
    assert good.paths()[-1] == "/continue_generation"


def test_verification_refuses_servers_that_it_cannot_judge(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    server = stand_in(ep_size=2)
    with pytest.raises(ConfigError, match=r"expert parallelism.*--weights-verify never"):
        sync(tmp_path, server.url).run(iter(TENSORS), 1, verify=True)
    assert "/weights_checker" not in server.paths()
    assert server.paths()[-1] == "/continue_generation"


def test_the_error_of_a_tensor_source_is_not_hidden(
    stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    def broken() -> Iterator[tuple[str, torch.Tensor]]:
        yield TENSORS[0]
        raise ValueError("rank 3 died")

    server = stand_in()
    with pytest.raises(ValueError, match="rank 3 died"):
        sync(tmp_path, server.url).run(broken(), 1, verify=False)
    assert server.paths()[-1] == "/continue_generation"


def test_shared_memory_ends_with_its_context() -> None:
    from slime_core.weights.buckets import Bucket

    before = {p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()}
    with tensor.shared_memory(Bucket(tuple(TENSORS))) as handle:
        make, arguments = handle.__reduce__()
        mapped = make(*arguments)
        assert torch.equal(mapped.view(torch.float32), torch.ones(4))
        path = Path(arguments[0])
        assert path.exists()
    assert not path.exists()
    assert {p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()} == before
    assert torch.equal(mapped.view(torch.float32), torch.ones(4))  # until its last user is gone


HERE, THERE = "http://127.0.0.1:1", "http://10.0.0.2:2"


@pytest.mark.parametrize(
    ("asked", "urls", "same_device", "found"),
    [
        ("auto", (HERE, "http://localhost:2"), True, "tensor"),
        ("auto", (HERE,), False, "distributed"),
        ("auto", (HERE, THERE), True, "distributed"),
        ("disk", (HERE,), False, "disk"),
        ("tensor", (HERE,), True, "tensor"),
    ],
)
def test_auto_is_tensor_where_servers_see_the_trainers_memory(
    asked: str, urls: tuple[str, ...], same_device: bool, found: str
) -> None:
    assert choose(asked, urls, same_device) == found


@pytest.mark.parametrize(("urls", "same_device"), [((HERE,), False), ((THERE,), True)])
def test_memory_of_one_gpu_is_not_handed_to_servers_on_another(
    urls: tuple[str, ...], same_device: bool
) -> None:
    with pytest.raises(ConfigError, match="use --colocate, or distributed, or disk"):
        choose("tensor", urls, same_device)


def test_the_servers_dtype() -> None:
    assert server_dtype("bfloat16", {}) is torch.bfloat16
    assert server_dtype("half", {}) is torch.float16
    assert server_dtype("auto", {"dtype": "bfloat16"}) is torch.bfloat16
    assert server_dtype("auto", {"torch_dtype": "float32"}) is torch.float16  # SGLang's choice
    with pytest.raises(ConfigError, match="'fp7'"):
        server_dtype("fp7", {})
