"""Requests that a server failed at go out again; those that nobody takes wait for somebody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from slime_hookspecs import EngineError

from slime_core.engine import transport
from slime_core.engine.patience import Patience, Redone
from slime_core.engine.transport import CODE, NO_SERVER, UNREACHABLE, Transport

GOOD = (200, {"a": 1})
BROKEN = (500, "broken")
GONE = (500, "error sending request", {CODE: UNREACHABLE})
NONE = (503, "no available workers", {CODE: NO_SERVER})


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_BACKOFF_S", 0.001)
    monkeypatch.setattr(transport, "LOOK_S", 0.002)


@pytest.fixture
async def open_transport(stand_in: Any) -> AsyncIterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def open_(retries: int = 2, url: str = stand_in.url, **patience: Any) -> Transport:
        made.append(Transport(url, retries, Patience(**patience)))
        return made[-1]

    yield open_
    for each in made:
        await each.close()


@pytest.mark.parametrize("reply", [NONE, GONE], ids=["no server", "its server is gone"])
async def test_a_request_waits_for_a_server_without_using_up_its_retries(
    stand_in: Any, open_transport: Any, reply: Any
) -> None:
    redone = Redone()
    stand_in.replies = [*[reply] * 20, GOOD]
    assert await open_transport(retries=1, redone=redone).post("/generate", {}) == {"a": 1}
    assert len(stand_in.requests) == 21
    # One that a server had was lost with it, once, however long that server is gone.
    assert redone.count == (reply is GONE)


async def test_a_request_that_outlives_servers_is_lost_with_each(
    stand_in: Any, open_transport: Any
) -> None:
    stand_in.replies = [GONE, NONE, NONE, GONE, NONE, GONE, NONE, GOOD]
    with pytest.raises(EngineError, match="after 3 tries: error sending request"):
        await open_transport(retries=2).post("/generate", {})
    stand_in.replies = [GONE, NONE, NONE, GONE, NONE, GONE, NONE, GOOD]
    assert await open_transport(retries=3).post("/generate", {}) == {"a": 1}


async def test_a_server_that_dies_long_into_a_request_took_it_each_time(
    stand_in: Any, open_transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TAKEN_S", -1.0)
    stand_in.replies = [GONE]
    with pytest.raises(EngineError, match="after 3 tries"):
        await open_transport(retries=2).post("/generate", {})
    assert len(stand_in.requests) == 3


@pytest.mark.parametrize("reply", [NONE, GONE], ids=["no server", "its server is gone"])
async def test_waiting_ends(stand_in: Any, open_transport: Any, reply: Any) -> None:
    stand_in.replies = [reply]
    with pytest.raises(EngineError, match=r"in 0\.05 s \(--engine-wait-s\)"):
        await open_transport(wait_s=0.05).post("/generate", {})


async def test_a_request_waits_for_the_router(open_transport: Any, stand_in: Any) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    asked = asyncio.create_task(
        open_transport(url=f"http://127.0.0.1:{port}", wait_s=60).post("/x", {})
    )
    await asyncio.sleep(0.1)
    assert not asked.done()
    stand_in.replies = [GOOD]
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    assert await asked == {"a": 1}
    await runner.cleanup()


async def test_a_server_that_takes_too_long_lost_the_request(
    stand_in: Any, open_transport: Any
) -> None:
    stand_in.delay = asyncio.Event()
    stand_in.replies = [GOOD]
    renamed: list[int] = []
    with pytest.raises(EngineError, match="no answer after 3 tries"):
        await open_transport(request_s=0.05).post(
            "/generate", {}, before_retry=lambda: renamed.append(1)
        )
    assert len(stand_in.requests) == 3
    assert len(renamed) == 2
    stand_in.delay.set()


async def test_only_what_a_server_may_know_of_gets_another_name(
    stand_in: Any, open_transport: Any
) -> None:
    stand_in.replies = [NONE, NONE, BROKEN, NONE, GONE, GOOD]
    renamed: list[int] = []
    await open_transport().post("/generate", {}, before_retry=lambda: renamed.append(1))
    assert len(renamed) == 2


async def test_a_run_sends_only_so_many_requests_again(stand_in: Any, open_transport: Any) -> None:
    redone = Redone(allowed=3)
    one, other = open_transport(redone=redone), open_transport(redone=redone)
    stand_in.replies = [BROKEN, GOOD, BROKEN, BROKEN, GOOD, BROKEN, GOOD]
    await one.post("/x", {})
    assert redone.take() == 1
    await other.post("/x", {})
    assert (redone.take(), redone.take()) == (2, 0)
    with pytest.raises(EngineError, match=r"failed at 3 requests.*--engine-max-redone-requests"):
        await one.post("/x", {})


async def test_what_the_reader_refuses_is_asked_again(stand_in: Any, open_transport: Any) -> None:
    def read(value: Any) -> Any:
        if value["a"] < 2:
            raise EngineError("too small")
        return value["a"]

    stand_in.replies = [GOOD, (200, {"a": 2})]
    assert await open_transport().post("/x", {}, read=read) == 2
    stand_in.replies = [GOOD]
    with pytest.raises(EngineError, match="/x after 3 tries: too small"):
        await open_transport().post("/x", {}, read=read)
