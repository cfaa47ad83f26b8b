"""Weights reach the servers that run, whichever these are; no server serves with others."""

from __future__ import annotations

import pytest
from slime_hookspecs import EngineError, WeightSyncError
from watch_support import KILLED, FakeRanks, FakeRouter, FakeServer, refused

from slime_core import updates as module
from slime_core import watch as watch_module
from slime_core.updates import Updates
from slime_core.watch import Watch

A, B = "http://0", "http://1"


@pytest.fixture(autouse=True)
def _look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "ROUTER_EVERY_S", 0.0)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)


@pytest.fixture
def servers() -> list[FakeServer]:
    return [FakeServer(f"server {i}", f"http://{i}") for i in range(2)]


@pytest.fixture
def router() -> FakeRouter:
    return FakeRouter()


@pytest.fixture
def ranks() -> FakeRanks:
    return FakeRanks((A, B))


@pytest.fixture
def updates(servers: list[FakeServer], router: FakeRouter, ranks: FakeRanks) -> Updates:
    watch = Watch(servers, router, 3, 60.0, lambda text: None)
    return Updates(router.url, watch.lives(), watch, ranks)


def test_all_servers_get_an_update_and_write_nothing_meanwhile(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer]
) -> None:
    assert updates.send(4, verify=False) == {"sync/bytes": 1.0}
    assert ranks.sent == [((A, B), 4, False)]
    assert servers[0].log == servers[1].log == ["quiet", "loud"]


def test_a_run_without_a_trainer_sends_nothing_and_serves_what_runs_again(
    updates: Updates, servers: list[FakeServer], router: FakeRouter
) -> None:
    updates.ranks = None
    assert updates.send(4, verify=True) == {}
    servers[0].fails = KILLED
    updates.mend()
    assert router.served == [B]
    updates.mend()
    assert router.served == [A, B]


def test_a_server_that_runs_again_gets_the_current_weights_alone_and_verified(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    updates.send(4, verify=False)
    servers[1].fails = KILLED
    updates.mend()
    assert len(ranks.sent) == 1
    updates.mend()
    assert ranks.sent[1:] == [((B,), 4, True)]
    assert router.served == [A, B]
    updates.mend()
    updates.send(5, verify=False)
    assert ranks.sent[2:] == [((A, B), 5, False)]


def test_who_asked_for_no_verification_gets_none(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer]
) -> None:
    updates.verifies = False
    updates.send(4, verify=False)
    servers[1].fails = KILLED
    updates.mend()
    updates.mend()
    assert ranks.sent[1:] == [((B,), 4, False)]


def test_before_the_first_update_nothing_is_mended_with_weights_that_are_not_there(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    servers[0].fails = KILLED
    for _ in range(3):
        updates.mend()
    assert ranks.sent == []
    updates.send(1, verify=False)
    assert ranks.sent == [((A, B), 1, True)]
    assert router.served == [A, B]


def test_a_server_that_is_started_anew_during_an_update_is_left_out_of_it(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    servers[1].fails, servers[1].start = KILLED, False
    updates.watch.look()
    updates.send(4, verify=False)
    assert ranks.sent == [((A,), 4, False)]
    assert router.served == [A]


def test_an_update_that_a_server_does_not_survive_is_sent_again_to_the_others(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    def dies() -> None:
        servers[1].found, servers[1].start = KILLED, False
        refused()

    ranks.meanwhile = [dies]
    updates.send(4, verify=False)
    assert ranks.sent == [((A, B), 4, False), ((A,), 4, False)]
    servers[1].start = True
    updates.mend()
    updates.mend()
    assert ranks.sent[2:] == [((B,), 4, True)]
    assert router.served == [A, B]


def test_one_that_dies_and_runs_again_during_an_update_does_not_serve_after_it(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    def dies_and_returns() -> None:
        servers[1].fails = KILLED
        updates.watch.look()
        updates.watch.look()
        assert updates.watch.stale() == (B,)

    ranks.meanwhile = [dies_and_returns]
    updates.send(4, verify=False)
    assert router.served == [A]
    updates.mend()
    assert ranks.sent[1:] == [((B,), 4, True)]
    assert router.served == [A, B]


def test_servers_that_work_and_refuse_weights_stop_the_run(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer]
) -> None:
    servers[1].fails, servers[1].start = KILLED, False
    updates.watch.look()  # that another one is down is no excuse
    ranks.meanwhile = [refused]
    with pytest.raises(WeightSyncError, match="status 400"):
        updates.send(4, verify=False)


def test_a_mend_that_fails_with_its_server_is_tried_again(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer], router: FakeRouter
) -> None:
    updates.send(4, verify=False)
    servers[1].fails = KILLED
    updates.mend()

    def dies() -> None:
        servers[1].found = KILLED
        refused()

    ranks.meanwhile = [dies]
    for _ in range(2):
        updates.mend()
    assert ranks.sent[1:] == [((B,), 4, True), ((B,), 4, True)]
    assert router.served == [A, B]


def test_a_trainer_that_is_a_step_ahead_gives_what_runs_again_the_version_after(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer]
) -> None:
    updates.send(4, verify=False)
    updates.trained = True  # and what was begun before is still waited for
    servers[1].fails = KILLED
    for _ in range(2):
        updates.mend()
    updates.send(5, verify=False)
    servers[1].fails = KILLED
    for _ in range(2):
        updates.mend()
    assert ranks.sent[1:] == [((B,), 5, True), ((A, B), 5, False), ((B,), 5, True)]


def test_an_update_waits_for_a_server_that_runs(
    updates: Updates, ranks: FakeRanks, servers: list[FakeServer]
) -> None:
    looks = iter([False, False, False, True])
    for server in servers:
        server.fails, server.start = KILLED, False
    updates.watch.look()
    servers[0].restarted = lambda: next(looks)  # type: ignore[method-assign]
    updates.send(4, verify=False)
    assert ranks.sent == [((A,), 4, True)]


def test_an_update_does_not_wait_beyond_the_budget(
    updates: Updates, servers: list[FakeServer]
) -> None:
    for server in servers:
        server.fails, server.start = KILLED, KILLED
    updates.watch.look()
    with pytest.raises(EngineError, match="--engine-max-restarts"):
        updates.send(4, verify=False)
