"""The engine handle against a server that answers as told."""

from __future__ import annotations

import asyncio
import math
import socket
from pathlib import Path
from typing import Any

import pytest
import transformers
from slime_hookspecs import Engine, EngineError, Sampling, StopReason, Trace

from slime_core.engine import transport
from slime_core.engine.address import ServingAddress
from slime_core.engine.client import FRUITLESS, RESERVED, ROUTING_KEY, EngineClient

CONTEXT = 64
RUN = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.9, top_k=20, stop=["\n"])


def written(
    tokens: list[int], logprobs: list[float], finish: str = "stop", version: Any = "3"
) -> tuple[int, Any]:
    rows = [[logprob, token, None] for token, logprob in zip(tokens * 2, logprobs, strict=False)]
    meta = {
        "finish_reason": {"type": finish},
        "output_token_logprobs": rows,
        "completion_tokens": len(tokens),
        "weight_version": version,
    }
    return 200, {"text": "ignored", "output_ids": [99], "meta_info": meta}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_BACKOFF_S", 0.001)


@pytest.fixture
async def client(stand_in: Any) -> Any:
    address = ServingAddress(stand_in.url, (stand_in.url,))
    client = EngineClient(address, None, defaults=RUN, context_length=CONTEXT, retries=2)
    yield client
    await client.close()


def prompt(length: int = 3) -> Trace:
    trace = Trace()
    trace.append_prompt(range(10, 10 + length))
    return trace


async def test_a_trace_ends_with_exactly_what_the_server_wrote(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5, 6, 1], [-0.5, -1.5, 0.0])]
    trace = prompt()
    assert await client.session(0, 7).generate(trace) is StopReason.STOP
    assert trace.tokens == [10, 11, 12, 5, 6, 1]
    assert trace.logprobs == [0.0, 0.0, 0.0, -0.5, -1.5, 0.0]
    assert trace.loss_mask == [0, 0, 0, 1, 1, 1]
    assert trace.weight_versions == [-1, -1, -1, 3, 3, 3]


async def test_the_next_turn_sends_every_token_so_far(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5], [-0.5]), written([6], [-0.5])]
    session, trace = client.session(4, 7), prompt()
    await session.generate(trace)
    trace.append_observed([40, 41])
    await session.generate(trace)
    (_, first), (path, second) = stand_in.requests
    assert path == "/generate"
    assert second["input_ids"] == [10, 11, 12, 5, 40, 41]
    assert second["return_logprob"] is True
    assert first["rid"] != second["rid"]
    assert {h[ROUTING_KEY] for h in stand_in.headers} == {"sample-4"}


async def test_a_call_overrides_the_run_field_by_field(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5], [-0.5])]
    override = Sampling(temperature=0.0, max_new_tokens=2, extra={"ignore_eos": True})
    await client.session(0, 7).generate(prompt(), sampling=override)
    sent = stand_in.requests[0][1]["sampling_params"]
    assert sent.pop("sampling_seed") >= 0
    assert sent == {
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 20,
        "stop": ["\n"],
        "ignore_eos": True,
        "max_new_tokens": 2,
    }


async def test_seeds_repeat_between_runs_and_differ_between_calls(
    client: Any, stand_in: Any
) -> None:
    stand_in.replies = [written([5], [-0.5])]
    for session in (client.session(0, 7), client.session(0, 7), client.session(0, 8)):
        await session.generate(prompt())
        await session.generate(prompt())
    for session in (client.session(0, None), client.session(0, None)):
        await session.generate(prompt())
    seeds = [body["sampling_params"]["sampling_seed"] for _, body in stand_in.requests]
    assert seeds[:2] == seeds[2:4]
    assert len({*seeds}) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("failure", [None, (500, "broken"), (503, "busy")])
async def test_a_request_that_no_server_answered_is_sent_again(
    client: Any, stand_in: Any, failure: Any
) -> None:
    stand_in.replies = [failure, failure, written([5], [-0.5])]
    trace = prompt()
    assert await client.session(0, 7).generate(trace) is StopReason.STOP
    sent = [body for path, body in stand_in.requests if path == "/generate"]
    assert len({body.pop("rid") for body in sent}) == 3  # a server refuses an id in use
    assert sent[0] == sent[1] == sent[2]
    assert trace.sampled_length == 1
    await client.close()
    aborted = [body for path, body in stand_in.requests if path == "/abort_request"]
    assert len(aborted) == 2


@pytest.mark.parametrize("failure", [None, (502, "bad gateway")])
async def test_retries_end(client: Any, stand_in: Any, failure: Any) -> None:
    stand_in.replies = [failure]
    trace = prompt()
    with pytest.raises(EngineError, match="after 3 tries") as caught:
        await client.session(0, 7).generate(trace)
    assert ("status 502: bad gateway" if failure else "no answer") in str(caught.value).replace(
        " after 3 tries", ""
    )
    assert [path for path, _ in stand_in.requests].count("/generate") == 3
    assert len(trace) == 3


async def test_a_4xx_is_final_and_its_text_is_shown(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(400, "top_p must be in (0, 1]")]
    with pytest.raises(EngineError, match=r"status 400: top_p must be in \(0, 1\]"):
        await client.session(0, 7).generate(prompt())
    assert len(stand_in.requests) == 1


async def test_an_abort_keeps_the_partial_tokens(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5, 6], [-0.5, -0.25], "abort"), written([], [], "abort")]
    stand_in.delay = asyncio.Event()
    trace, rest = prompt(), prompt()
    tasks = [asyncio.create_task(client.session(0, 7).generate(t)) for t in (trace, rest)]
    while len(stand_in.requests) < 2:
        await asyncio.sleep(0.01)
    await client.abort_all()
    stand_in.delay.set()
    assert await asyncio.gather(*tasks) == [StopReason.ABORTED] * 2
    assert sorted([trace.response_tokens, rest.response_tokens]) == [[], [5, 6]]
    assert [path for path, _ in stand_in.requests].count("/generate") == 2


async def test_a_request_that_a_weight_update_cut_off_goes_on_with_the_new_weights(
    client: Any, stand_in: Any
) -> None:
    stand_in.replies = [
        written([5, 6], [-0.5, -0.25], "abort"),
        written([], [], "abort", "4"),
        written([7], [-0.5], "abort", "4"),
        written([8, 1], [-1.0, -2.0], "length", "5"),
    ]
    trace = prompt()
    sampling = Sampling(max_new_tokens=5)
    assert await client.session(0, 7).generate(trace, sampling) is StopReason.LENGTH
    assert trace.response_tokens == [5, 6, 7, 8, 1]
    assert trace.weight_versions[3:] == [3, 3, 4, 5, 5]
    sent = [body for _, body in stand_in.requests]
    assert [body["input_ids"][3:] for body in sent] == [[], [5, 6], [5, 6], [5, 6, 7]]
    assert [body["sampling_params"]["max_new_tokens"] for body in sent] == [5, 3, 3, 2]
    assert len({body["sampling_params"]["sampling_seed"] for body in sent}) == 1
    assert len({body["rid"] for body in sent}) == 4


async def test_a_request_that_was_cut_off_with_its_last_token_is_over(
    client: Any, stand_in: Any
) -> None:
    stand_in.replies = [written([5, 6], [-0.5, -0.25], "abort")]
    trace = prompt()
    assert await client.session(0, 7).generate(trace, Sampling(max_new_tokens=2)) is (
        StopReason.LENGTH
    )
    assert len(stand_in.requests) == 1


async def test_a_server_that_aborts_everything_is_not_asked_for_ever(
    client: Any, stand_in: Any
) -> None:
    stand_in.replies = [written([], [], "abort")]
    assert await client.session(0, 7).generate(prompt()) is StopReason.ABORTED
    assert len(stand_in.requests) == FRUITLESS


async def test_an_abort_before_the_first_token_has_no_logprobs_at_all(
    client: Any, stand_in: Any
) -> None:
    meta = {"finish_reason": {"type": "abort", "message": "Abort in waiting queue"}}
    stand_in.replies = [(200, {"meta_info": meta})]
    trace = prompt()
    assert await client.session(0, 7).generate(trace) is StopReason.ABORTED
    assert len(trace) == 3


async def test_the_budget_used_up_is_length(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5] * 8, [-0.5] * 8, "length")]
    assert await client.session(0, 7).generate(prompt()) is StopReason.LENGTH


async def test_the_context_used_up_is_context(client: Any, stand_in: Any) -> None:
    def fill(body: Any) -> tuple[int, Any]:
        allowed = body["sampling_params"]["max_new_tokens"]
        return written([5] * (allowed - 2), [-0.5] * (allowed - 2), "length")

    stand_in.replies = [fill]
    trace = prompt(CONTEXT - RESERVED)
    assert await client.session(0, 7).generate(trace) is StopReason.CONTEXT
    assert stand_in.requests[0][1]["sampling_params"]["max_new_tokens"] == RESERVED
    assert len(trace) == CONTEXT - 2
    assert await client.session(0, 7).generate(trace) is StopReason.CONTEXT
    assert len(stand_in.requests) == 1


async def test_without_a_budget_the_context_is_the_limit(stand_in: Any) -> None:
    stand_in.replies = [written([5], [-0.5])]
    client = EngineClient(
        ServingAddress(stand_in.url, ()),
        None,
        defaults=Sampling(),
        context_length=CONTEXT,
        retries=0,
    )
    await client.session(0, 7).generate(prompt())
    await client.close()
    assert stand_in.requests[0][1]["sampling_params"]["max_new_tokens"] == CONTEXT - 3


async def test_float_noise_above_zero_is_clamped(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5, 6], [1e-6, -0.5])]
    trace = prompt()
    await client.session(0, 7).generate(trace)
    assert trace.logprobs[3:] == [0.0, -0.5]
    assert math.copysign(1, trace.logprobs[3]) == 1


@pytest.mark.parametrize(("reported", "carried"), [("12", 12), (12, 12), ("default", 5), (None, 5)])
async def test_the_servers_weight_version_wins_over_the_clients(
    client: Any, stand_in: Any, reported: Any, carried: int
) -> None:
    stand_in.replies = [written([5], [-0.5], version=reported)]
    client.weight_version = 5
    session, trace = client.session(0, 7), prompt()
    await session.generate(trace)
    assert trace.weight_versions[-1] == carried
    assert session.weight_version == 5


GARBAGE = [
    (written([5], [-0.5, -0.5]), "wrote 1 tokens but sent 2"),
    (written([5], [0.1]), r"log-prob of 0\.1, which is above 0"),
    ((200, {"error": "no"}), "without 'meta_info'"),
    ((200, '{"meta_info": NaN}'), "is not JSON"),
    ((200, []), "is this an SGLang server"),
]


@pytest.mark.parametrize(("reply", "message"), GARBAGE)
async def test_garbage_is_not_taken_and_the_request_goes_out_again(
    client: Any, stand_in: Any, reply: Any, message: str
) -> None:
    stand_in.replies = [reply, reply, written([6], [-0.5])]
    trace = prompt()
    assert await client.session(0, 7).generate(trace) is StopReason.STOP
    assert trace.response_tokens == [6]
    stand_in.replies = [reply]
    with pytest.raises(EngineError, match=rf"after 3 tries: .*{message}"):
        await client.session(0, 7).generate(trace)
    assert trace.response_tokens == [6]


async def test_post_reaches_any_path_and_returns_json(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, {"a": 1}), (404, "nothing there")]
    session = client.session(2, 7)
    assert await session.post("/v1/loads", {"x": 2}) == {"a": 1}
    assert stand_in.requests == [("/v1/loads", {"x": 2})]
    with pytest.raises(EngineError, match="/v1/none: status 404: nothing there"):
        await session.post("/v1/none", {})


async def test_abort_all_goes_to_the_servers(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, "")]
    await client.abort_all()
    assert stand_in.requests == [("/abort_request", {"abort_all": True})]


async def test_a_cancelled_call_ends_its_request_on_the_servers(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, "")]
    stand_in.delay = asyncio.Event()
    task = asyncio.create_task(client.session(0, 7).generate(prompt()))
    while not stand_in.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.close()
    stand_in.delay.set()
    rid = stand_in.requests[0][1]["rid"]
    assert stand_in.requests[1:] == [("/abort_request", {"rid": rid})]


async def test_many_requests_are_in_flight_at_once(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5], [-0.5])]
    stand_in.delay = asyncio.Event()
    tasks = [asyncio.create_task(client.session(i, i).generate(prompt())) for i in range(300)]
    async with asyncio.timeout(20):
        while len(stand_in.requests) < 300:
            await asyncio.sleep(0.01)
        stand_in.delay.set()
        assert await asyncio.gather(*tasks) == [StopReason.STOP] * 300


class Kept:
    """A gateway that notes who writes for it."""

    key = "sk-1"
    traces: list[Trace]

    def __init__(self) -> None:
        self.writers: list[Any] = []
        self.traces = [prompt()]

    def open(self, writer: Any) -> tuple[str, Kept]:
        self.writers.append(writer)
        return f"http://gateway/{len(self.writers)}/v1", self


async def test_a_session_is_opened_at_the_gateway_once_when_it_is_first_asked_for(
    client: Any,
) -> None:
    client.gateway = gateway = Kept()
    one, two = client.session(1, 7), client.session(2, 7)
    assert (one.openai_traces, gateway.writers) == ([], [])
    assert [one.openai_base_url, one.openai_base_url] == ["http://gateway/1/v1"] * 2
    assert two.openai_base_url == "http://gateway/2/v1"
    assert (one.openai_api_key, one.openai_traces) == ("sk-1", gateway.traces)
    assert one not in gateway.writers


async def test_agents_meet_the_server_of_their_sample(client: Any, stand_in: Any) -> None:
    stand_in.replies = [written([5], [-0.5])]
    client.gateway = gateway = Kept()
    session = client.session(4, 7)
    _ = session.openai_base_url
    for each in (session, gateway.writers[0]):
        await each.generate(prompt())
    assert {h[ROUTING_KEY] for h in stand_in.headers} == {"sample-4"}
    seeds = [body["sampling_params"]["sampling_seed"] for _, body in stand_in.requests]
    assert len(set(seeds)) == 2


async def test_without_a_gateway_there_is_no_url_for_agents(client: Any) -> None:
    for name in ("openai_base_url", "openai_api_key"):
        with pytest.raises(EngineError, match="no gateway runs here"):
            getattr(client.session(0, None), name)


async def test_a_run_without_servers_renders_and_refuses_to_generate(tiny_model_dir: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model_dir)
    client = EngineClient(None, tokenizer, defaults=RUN, context_length=CONTEXT, retries=0)
    session: Engine = client.session(0, None)
    ids = session.render([{"role": "user", "content": "2+3="}])
    assert tokenizer.decode(ids) == "<|user|>2+3=<|assistant|>"
    open_end = session.render([{"role": "user", "content": "2"}], add_generation_prompt=False)
    assert tokenizer.decode(open_end) == "<|user|>2"
    assert session.decode([*session.encode("five"), tokenizer.eos_token_id]) == "five"
    for attempt in (session.generate(prompt()), session.post("/x", {})):
        with pytest.raises(EngineError, match="no servers"):
            await attempt
    with pytest.raises(EngineError, match="no servers"):
        _ = session.openai_base_url
    await client.abort_all()
    await client.close()


async def test_held_requests_end_and_go_on_with_the_new_weights_and_new_ones_wait(
    client: Any, stand_in: Any
) -> None:
    stand_in.replies = [
        written([5, 6], [-0.5, -0.25], "abort"),
        written([7], [-0.5], version="4"),
    ]
    stand_in.delay = asyncio.Event()
    trace, other = prompt(), prompt()
    first = asyncio.create_task(client.session(0, 7).generate(trace))
    while not stand_in.requests:
        await asyncio.sleep(0.01)
    holding = asyncio.create_task(client.hold())
    while ("/abort_request", {"abort_all": True}) not in stand_in.requests:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(client.session(1, 7).generate(other))
    assert not holding.done()
    stand_in.delay.set()
    await holding
    await asyncio.sleep(0.05)
    assert [path for path, _ in stand_in.requests].count("/generate") == 1
    assert not first.done()
    client.release()
    assert await asyncio.gather(first, second) == [StopReason.STOP] * 2
    assert trace.weight_versions[3:] == [3, 3, 4]
    assert other.weight_versions[3:] == [4]


async def test_a_request_that_does_not_end_is_told_again_and_not_waited_for_for_ever(
    client: Any, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slime_core.engine.client.HOLD_TRIES", 3)
    monkeypatch.setattr("slime_core.engine.client.HOLD_EVERY_S", 0.01)
    stand_in.delay = asyncio.Event()
    task = asyncio.create_task(client.session(0, 7).generate(prompt()))
    while not stand_in.requests:
        await asyncio.sleep(0.01)
    await asyncio.wait_for(client.hold(), 5)
    assert [path for path, _ in stand_in.requests].count("/abort_request") == 3
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stand_in.delay.set()


async def test_what_plugins_post_waits_for_new_weights_too(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, {"a": 1})]
    await client.hold()
    posted = asyncio.create_task(client.session(0, 7).post("/v1/loads", {}))
    await asyncio.sleep(0.05)
    assert stand_in.requests == []
    client.release()
    assert await posted == {"a": 1}


async def test_an_update_waits_for_what_plugins_posted_before(client: Any, stand_in: Any) -> None:
    stand_in.replies = [(200, {"a": 1})]
    stand_in.delay = asyncio.Event()
    posted = asyncio.create_task(client.session(0, 7).post("/generate", {}))
    while not stand_in.requests:
        await asyncio.sleep(0.01)
    holding = asyncio.create_task(client.hold())
    while ("/abort_request", {"abort_all": True}) not in stand_in.requests:
        await asyncio.sleep(0.01)
    assert not holding.done()
    stand_in.delay.set()
    await holding
    assert await posted == {"a": 1}


async def test_a_server_that_is_gone_keeps_nobody_from_aborting_at_the_others(
    stand_in: Any,
) -> None:
    stand_in.replies = [(200, "")]
    urls = ("http://127.0.0.1:9", stand_in.url)
    client = EngineClient(
        ServingAddress(stand_in.url, urls),
        None,
        defaults=RUN,
        context_length=CONTEXT,
        retries=0,
    )
    await client.abort_all()
    assert stand_in.requests == [("/abort_request", {"abort_all": True})]
    client.address = ServingAddress(stand_in.url, urls[:1])
    with pytest.raises(EngineError, match="9/abort_request: no answer"):
        await client.abort_all()
    await client.hold()
    await client.close()


async def test_a_server_that_hangs_does_not_hold_an_update_up(
    client: Any, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slime_core.engine.client.HOLD_TRIES", 3)
    monkeypatch.setattr("slime_core.engine.client.HOLD_EVERY_S", 0.01)
    monkeypatch.setattr("slime_core.engine.client.HOLD_ABORT_S", 0.05)
    stand_in.delay = asyncio.Event()
    task = asyncio.create_task(client.session(0, 7).generate(prompt()))
    while not stand_in.requests:
        await asyncio.sleep(0.01)
    with socket.socket() as hangs:
        hangs.bind(("127.0.0.1", 0))
        hangs.listen()  # and never answers
        client.address = ServingAddress(
            stand_in.url, (f"http://127.0.0.1:{hangs.getsockname()[1]}",)
        )
        await asyncio.wait_for(client.hold(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        client.address = None
    stand_in.delay.set()
