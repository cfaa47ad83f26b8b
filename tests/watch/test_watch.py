"""What failed leaves the router and is started anew, as often as it may be."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import EngineError
from watch_support import KILLED, FakeRouter, FakeServer

from slime_core import watch as module
from slime_core.engine.health import Failure
from slime_core.watch import Watch


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUTER_EVERY_S", 0.0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def servers() -> list[FakeServer]:
    return [FakeServer(f"server {i}", f"http://{i}") for i in range(3)]


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter()


@pytest.fixture
def watch(servers: list[FakeServer], router: FakeRouter, said: list[str]) -> Watch:
    return Watch(servers, router, 2, 60.0, said.append)


def test_as_long_as_all_work_the_router_serves_all_and_nothing_is_said(
    watch: Watch, router: FakeRouter, said: list[str]
) -> None:
    watch.look()
    assert router.served == ["http://0", "http://1", "http://2"]
    assert watch.running() == ("http://0", "http://1", "http://2")
    assert watch.metrics() == {
        "engine/restarts": 0,
        "engine/router_restarts": 0,
        "engine/servers_up": 3,
        "engine/servers_slow": 0,
        "engine/down_s": 0,
    }
    assert said == []


def test_a_server_that_failed_leaves_the_router_and_returns_with_new_weights_only(
    watch: Watch, servers: list[FakeServer], router: FakeRouter, said: list[str]
) -> None:
    servers[1].fails, servers[1].start = KILLED, False
    watch.look()
    assert router.served == ["http://0", "http://2"]
    assert (servers[1].log, watch.running()) == (["restart"], ("http://0", "http://2"))
    servers[1].start = True
    watch.look()
    assert router.served == ["http://0", "http://2"]
    assert watch.stale() == ("http://1",)
    assert watch.metrics()["engine/servers_up"] == 2
    watch.admit(watch.running())
    assert router.served == ["http://0", "http://1", "http://2"]
    assert watch.metrics()["engine/restarts"] == 1
    assert watch.metrics()["engine/down_s"] > 0
    assert said == [
        "server 1 (http://1) was killed by signal 9; it is restarted (1 of 2 times)",
        "server 1 serves again, 0 s after it failed",
    ]


def test_the_router_is_told_again_and_again_what_it_may_serve(
    watch: Watch, router: FakeRouter
) -> None:
    router.served = ["http://0", "http://of-somebody-else"]
    watch.look()
    assert router.served == ["http://0", "http://1", "http://2"]


def test_a_server_that_does_not_start_is_started_again_until_its_budget_is_spent(
    watch: Watch, servers: list[FakeServer]
) -> None:
    servers[0].fails = KILLED
    servers[0].start = Failure("ended with status 1 before it was ready", "    no such model")
    watch.look()
    watch.look()
    assert servers[0].log == ["restart", "restart"]
    with pytest.raises(EngineError) as caught:
        watch.look()
    message = str(caught.value)
    assert message.startswith("server 0 (http://0) failed 3 times in this run")
    assert "may be restarted 2 times (--engine-max-restarts)" in message
    assert "The last time it ended with status 1 before it was ready" in message
    assert message.endswith("    no such model")
    assert servers[0].log == ["restart", "restart"]


def test_the_budget_is_each_servers_own(watch: Watch, servers: list[FakeServer]) -> None:
    for _ in range(2):
        for server in servers:
            server.fails = KILLED
        watch.look()
        watch.look()
    assert watch.lives() == {"http://0": 2, "http://1": 2, "http://2": 2}


def test_a_stale_server_may_fail_as_well(watch: Watch, servers: list[FakeServer]) -> None:
    servers[0].fails = KILLED
    watch.look()
    watch.look()
    assert watch.stale() == ("http://0",)
    servers[0].fails = KILLED
    watch.look()
    assert watch.stale() == ()
    assert servers[0].log == ["restart", "restart"]


def test_a_check_finds_what_no_look_has_found_yet(
    watch: Watch, servers: list[FakeServer], router: FakeRouter
) -> None:
    servers[2].found = Failure("answers garbage: NaN")
    watch.check()
    assert router.served == ["http://0", "http://1"]
    assert servers[2].log == ["restart"]


def test_a_router_that_ended_is_started_anew_and_serves_the_same(
    watch: Watch, router: FakeRouter, said: list[str]
) -> None:
    router.dead = "was killed by signal 9"
    watch.look()
    assert (router.restarts, router.served) == (1, [])
    watch.look()
    assert router.served == ["http://0", "http://1", "http://2"]
    assert watch.metrics()["engine/router_restarts"] == 1
    assert said == [
        "the router (http://router) was killed by signal 9; it is restarted (1 of 2 times)"
    ]


def test_a_router_that_is_silent_for_too_long_is_started_anew_and_given_time(
    watch: Watch, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    watch.look()
    router.silent = True
    now[0] += 59
    watch.look()
    assert router.restarts == 0
    now[0] += 2
    watch.look()
    assert router.restarts == 1
    now[0] += 60
    watch.look()
    assert router.restarts == 1


def test_a_router_that_always_ends_stops_the_run(watch: Watch, router: FakeRouter) -> None:
    for _ in range(2):
        router.dead = "ended with status 3"
        watch.look()
    router.dead = "ended with status 3"
    with pytest.raises(EngineError, match=r"the router.*failed 3 times(?s:.*)router's last words"):
        watch.look()


def test_a_slow_server_is_named_once_and_counted_as_long_as_it_is_slow(
    watch: Watch, servers: list[FakeServer], said: list[str]
) -> None:
    servers[0].seconds, servers[1].seconds, servers[2].seconds = 0.2, 0.2, 1.5
    for _ in range(2):
        assert watch.metrics()["engine/servers_slow"] == 1
    assert said == ["server 2 (http://2) is slow: 1.5 s for one token, where the others take 0.2 s"]
    servers[2].seconds = 0.9  # below a second nothing is slow
    assert watch.metrics()["engine/servers_slow"] == 0


@pytest.mark.parametrize("seconds", [(9.0, 9.0, 9.0), (None, None, 9.0), (2.0, 2.0, 9.9)])
def test_servers_that_are_all_slow_or_alone_are_not_reported(
    watch: Watch, servers: list[FakeServer], said: list[str], seconds: Any
) -> None:
    for server, own in zip(servers, seconds, strict=True):
        server.seconds = own
    assert watch.metrics()["engine/servers_slow"] == 0
    assert said == []
