"""Requests to the servers themselves, blocking and from an event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slime_hookspecs import EngineError

from slime_core.engine import control


@pytest.fixture(params=["blocking", "async"])
async def ask(request: pytest.FixtureRequest) -> Any:
    async with aiohttp.ClientSession() as session:

        async def ask(url: str, call: control.Call) -> Any:
            if request.param == "async":
                return (await control.send_to_all(session, [url], call, 5.0))[0]
            return await asyncio.to_thread(control.send, url, call, 5.0)

        yield ask


async def test_each_call_has_its_path_and_body(ask: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, {"ok": 1})]
    calls = [
        (control.FLUSH_CACHE, ("/flush_cache", {})),
        (control.ABORT_ALL, ("/abort_request", {"abort_all": True})),
        (control.abort("r1"), ("/abort_request", {"rid": "r1"})),
        (control.pause("in_place"), ("/pause_generation", {"mode": "in_place"})),
        (control.CONTINUE, ("/continue_generation", {})),
        (control.check_weights("compare"), ("/weights_checker", {"action": "compare"})),
        (
            control.release_memory(["kv_cache"]),
            ("/release_memory_occupation", {"tags": ["kv_cache"]}),
        ),
        (control.resume_memory(), ("/resume_memory_occupation", {})),
        (control.MODEL_INFO, ("/model_info", None)),
    ]
    for call, sent in calls:
        await ask(stand_in.url, call)
        assert stand_in.requests[-1] == sent


async def test_text_is_returned_where_the_answer_is_no_json(ask: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, "Cache flushed."), (200, "")]
    assert await ask(stand_in.url, control.FLUSH_CACHE) == "Cache flushed."
    assert await ask(stand_in.url, control.HEALTH) is None


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((400, "tensor x differs"), "status 400: tensor x differs"),
        ((200, {"success": False, "message": "shape mismatch"}), "refused: .*shape mismatch"),
        (None, "no answer"),
    ],
)
async def test_what_a_server_refuses_is_an_error(
    ask: Any, stand_in: Any, reply: Any, message: str
) -> None:
    stand_in.replies = [reply]
    with pytest.raises(EngineError, match=message) as caught:
        await ask(stand_in.url, control.check_weights("compare"))
    assert f"{stand_in.url}/weights_checker" in str(caught.value)


async def test_a_server_that_is_not_there_is_not_healthy(stand_in: Any) -> None:
    stand_in.replies = [(503, "starting"), (200, "")]
    assert not await asyncio.to_thread(control.is_healthy, stand_in.url)
    assert await asyncio.to_thread(control.is_healthy, stand_in.url)
    assert not control.is_healthy("http://127.0.0.1:1")
