"""The driver's side of a server: nothing waits, and an actor that dies is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import EngineError, RunError
from watch_support import KILLED

from slime_core import serving
from slime_core.engine.health import Failure
from slime_core.serving import RunningServer

URL = "http://127.0.0.1:15001"


class FakeActor:
    """An actor whose calls end when a test says how."""

    name = "server 0"

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.calls: list[tuple[Any, ...]] = []
        self.over: dict[str, Any] = {}

    def call(self, method: str, *args: Any) -> Any:
        self.calls.append((method, *args))
        self.over.pop(method, None)
        return self, method


@pytest.fixture
def actors(monkeypatch: pytest.MonkeyPatch) -> list[FakeActor]:
    def poll(ref: Any) -> tuple[bool, Any]:
        actor, method = ref
        return method in actor.over, actor.over.get(method)

    monkeypatch.setattr(serving, "poll", poll)
    return []


@pytest.fixture
def server(actors: list[FakeActor]) -> RunningServer:
    def spawn(port: int | None) -> Any:
        actors.append(FakeActor(port))
        return actors[-1]

    server = RunningServer(spawn, Path("/model"))
    server.started(URL)
    return server


def test_a_server_that_works_has_no_failure(server: RunningServer, actors: Any) -> None:
    assert actors[0].calls == [("start",), ("failure",)]
    assert server.failure() is None


def test_a_server_that_failed_is_started_with_the_folder_that_stays(
    server: RunningServer, actors: Any
) -> None:
    actors[0].over["failure"] = KILLED
    assert server.failure() == KILLED
    server.restart()
    assert actors[0].calls[-1] == ("restart", Path("/model"))
    assert server.restarted() is False
    actors[0].over["restart"] = URL
    assert server.restarted() is True
    assert server.failure() is None


def test_one_that_cannot_start_says_why(server: RunningServer, actors: Any) -> None:
    server.restart()
    actors[0].over["restart"] = EngineError("server was not ready within 3 s. End of log:\n    x")
    assert server.restarted() == Failure("server was not ready within 3 s. End of log:", "    x")


def test_an_actor_that_died_is_replaced_on_the_same_port(
    server: RunningServer, actors: Any
) -> None:
    actors[0].over["failure"] = RuntimeError("the actor died")
    found = server.failure()
    assert found is not None
    assert "lost the process that started it (RuntimeError)" in found.reason
    server.restart()
    assert [actor.port for actor in actors] == [None, 15001]
    assert actors[1].calls == [("start",)]
    actors[1].over["start"] = URL
    assert server.restarted() is True
    assert server.actor is actors[1]
    server.restart()
    assert actors[1].calls[-1] == ("restart", Path("/model"))


def test_a_check_of_a_server_whose_actor_died_finds_that(
    server: RunningServer, actors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*_: Any) -> Any:
        raise RunError("server 0: its process died.")

    monkeypatch.setattr(serving, "result", died)
    found = server.check()
    assert found is not None
    assert "lost the process" in found.reason


def test_how_long_a_token_takes_is_what_was_last_heard(server: RunningServer, actors: Any) -> None:
    assert server.token_s() is None
    actors[0].over["token_s"] = 0.25
    assert server.token_s() == 0.25
    assert server.token_s() == 0.25
    actors[0].over["token_s"] = RuntimeError("died")
    assert server.token_s() == 0.25
