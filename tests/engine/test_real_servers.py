"""Two real SGLang servers behind the real router, with a tiny random model."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from slime_hookspecs import EngineError, Sampling, StopReason, Trace

from slime_core.engine import control
from slime_core.engine.address import ServingAddress
from slime_core.engine.client import EngineClient
from slime_core.engine.control import Call
from slime_core.engine.keeper import descendants, shared_memory
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.process import RouterProcess, ServerProcess

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

CONTEXT = 2048


@dataclass
class Serving:
    """What runs, and what it was started from."""

    model: Path
    servers: list[ServerProcess]
    router: RouterProcess

    @property
    def address(self) -> ServingAddress:
        return ServingAddress(self.router.url, tuple(s.url for s in self.servers))


@pytest.fixture(scope="module")
def serving(
    tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    logs = tmp_path_factory.mktemp("logs")
    model = tiny_model("qwen3")
    tokens = check_sglang({"log-level": "warning", "max-running-requests": 64})
    servers = [
        ServerProcess(model, log_path=logs / f"server-{i}.log", tokens=tokens) for i in range(2)
    ]
    router = RouterProcess(log_path=logs / "router.log", tokens=check_router({}))
    try:
        for each in (*servers, router):
            each.start()
        for server in servers:
            server.wait_ready(180)
        router.wait_ready([server.url for server in servers], 60)
        yield Serving(model, servers, router)
    finally:
        for each in (router, *servers):
            each.stop()


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[EngineClient]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(serving.model)
    defaults = Sampling(max_new_tokens=16, temperature=1.0, extra={"ignore_eos": True})
    client = EngineClient(
        serving.address, tokenizer, defaults=defaults, context_length=CONTEXT, retries=1
    )
    yield client
    await client.close()


def prompt(*tokens: int) -> Trace:
    trace = Trace()
    trace.append_prompt(tokens or range(20, 44))
    return trace


def reference(model: Path, trace: Trace, temperature: float = 1.0) -> list[float]:
    """transformers' log-probs of the trace's sampled tokens."""
    network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    ids = torch.tensor([trace.tokens])
    with torch.no_grad():
        table = torch.log_softmax(network(ids).logits[0] / temperature, -1)
    mask = trace.loss_mask
    return [table[i - 1, ids[0, i]].item() for i in range(ids.shape[1]) if mask[i]]


async def test_logprobs_equal_those_of_transformers(client: EngineClient, serving: Serving) -> None:
    for temperature in (1.0, 0.7):
        session, trace = client.session(0, 5), prompt()
        for _ in range(2):  # the second turn continues from the exact tokens of the first
            stop = await session.generate(trace, Sampling(temperature=temperature))
            assert stop is StopReason.LENGTH
            trace.append_observed([30, 31])
        found = [lp for lp, m in zip(trace.logprobs, trace.loss_mask, strict=True) if m]
        assert len(found) == 32
        assert found == pytest.approx(reference(serving.model, trace, temperature), abs=1e-4)
        assert {v for v in trace.weight_versions if v >= 0} == {0}


async def test_greedy_takes_the_likeliest_token(client: EngineClient, serving: Serving) -> None:
    trace = prompt()
    await client.session(0, 5).generate(trace, Sampling(temperature=0.0))
    network = transformers.AutoModelForCausalLM.from_pretrained(serving.model, dtype=torch.float32)
    best = network(torch.tensor([trace.tokens])).logits[0].argmax(-1).tolist()
    assert trace.response_tokens == best[23:-1]


async def test_the_token_that_ends_a_turn_belongs_to_the_trace(client: EngineClient) -> None:
    first = prompt()
    await client.session(0, 5).generate(first)
    written, end = first.response_tokens, first.response_tokens[3]
    ends = Sampling(stop_token_ids=[end], extra={"ignore_eos": False})
    again = prompt()
    assert await client.session(0, 5).generate(again, ends) is StopReason.STOP
    cut = min(i for i, t in enumerate(written) if t in (end, client.tokenizer.eos_token_id))
    assert again.response_tokens == written[: cut + 1]
    texts = [client.tokenizer.decode([token]) for token in written]
    at = next(i for i, text in enumerate(texts) if text.strip().isascii() and text.strip())
    stopped = prompt()
    stop = await client.session(0, 5).generate(stopped, Sampling(stop=[texts[at]]))
    assert stop is StopReason.STOP
    assert stopped.response_tokens == written[: at + 1]


async def test_a_seed_gives_the_same_tokens_whatever_else_runs(
    client: EngineClient, serving: Serving
) -> None:
    async def sample(index: int, seed: int) -> list[int]:
        trace = prompt()
        await client.session(index, seed).generate(trace, Sampling(max_new_tokens=24))
        return trace.response_tokens

    alone = [await sample(100 + i, i) for i in range(8)]
    crowd = await asyncio.gather(*(sample(200 + i, i) for i in range(48)))
    assert crowd[:8] == alone
    assert len({tuple(tokens) for tokens in crowd}) == 48


async def test_samples_without_a_seed_differ(client: EngineClient) -> None:
    body = {"input_ids": list(range(20, 44)), "sampling_params": {"max_new_tokens": 8}}
    answers = await asyncio.gather(
        *(client.session(i, 0).post("/generate", body) for i in range(8))
    )
    assert len({tuple(answer["output_ids"]) for answer in answers}) == 8


async def test_min_p_and_seeds_go_together(client: EngineClient) -> None:
    trace, sure = prompt(), prompt()
    await client.session(0, 5).generate(sure, Sampling(temperature=0.0))
    await client.session(0, 5).generate(trace, Sampling(extra={"min_p": 1.0}))
    assert trace.response_tokens == sure.response_tokens


async def test_a_session_stays_on_one_server_and_sessions_are_spread(
    client: EngineClient, serving: Serving
) -> None:
    async def cached(post: Any, tokens: list[int]) -> int:
        body = {"input_ids": tokens, "sampling_params": {"max_new_tokens": 16}}
        return int((await post(body))["meta_info"]["cached_tokens"])

    async def held(tokens: list[int]) -> list[bool]:
        """Whether each server, asked directly, knows these tokens."""
        pool = client.transport.session
        posts = [
            lambda body, url=url: control.send_async(pool, url, Call("/generate", body))
            for url in serving.address.server_urls
        ]
        return [await cached(post, tokens) == 40 for post in posts]

    sessions = [client.session(300 + i, 0) for i in range(8)]
    prompts = [[20 + i] * 40 + [i] for i in range(8)]
    posts = [partial(session.post, "/generate") for session in sessions]
    first = await asyncio.gather(*map(cached, posts, prompts))
    assert max(first) < 40
    for _ in range(3):
        assert [await cached(*each) for each in zip(posts, prompts, strict=True)] == [40] * 8
    places = [await held(tokens) for tokens in prompts]
    assert all(sum(place) == 1 for place in places)
    assert {place.index(True) for place in places} == {0, 1}


async def test_the_context_is_never_overrun(client: EngineClient) -> None:
    trace = prompt(*([20] * (CONTEXT - 20)))
    stop = await client.session(0, 5).generate(trace, Sampling(max_new_tokens=200))
    assert stop is StopReason.CONTEXT
    assert CONTEXT - 3 <= len(trace) <= CONTEXT
    assert await client.session(0, 5).generate(trace) is StopReason.CONTEXT
    longest = prompt(*([20] * (CONTEXT - 7)))
    assert await client.session(0, 5).generate(longest) is StopReason.CONTEXT
    assert len(longest) > CONTEXT - 7


async def test_abort_all_returns_the_partial_tokens(client: EngineClient) -> None:
    traces = [prompt() for _ in range(6)]
    long = Sampling(max_new_tokens=1900)
    tasks = [
        asyncio.create_task(client.session(400 + i, i).generate(trace, long))
        for i, trace in enumerate(traces)
    ]
    await asyncio.sleep(1.0)
    await client.abort_all()
    async with asyncio.timeout(20):
        assert await asyncio.gather(*tasks) == [StopReason.ABORTED] * 6
    lengths = [trace.sampled_length for trace in traces]
    assert any(lengths)
    assert max(lengths) < 1900
    trace = traces[lengths.index(max(lengths))]
    assert await client.session(400, 0).generate(trace) is StopReason.LENGTH


async def test_a_cancelled_request_stops_on_the_server(client: EngineClient) -> None:
    long = Sampling(max_new_tokens=1900)
    task = asyncio.create_task(client.session(0, 0).generate(prompt(), long))
    await asyncio.sleep(0.7)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.close()
    for url in client.address.server_urls if client.address else ():
        for _ in range(50):
            try:
                await asyncio.to_thread(control.send, url, control.FLUSH_CACHE)
                break  # flushing is refused while a request runs
            except EngineError:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the request still runs after 5 s")


async def test_a_paused_request_goes_on(client: EngineClient, serving: Serving) -> None:
    trace = prompt()
    task = asyncio.create_task(client.session(0, 0).generate(trace, Sampling(max_new_tokens=400)))
    await asyncio.sleep(0.3)
    session = client.transport.session
    urls = serving.address.server_urls
    await control.send_to_all(session, urls, control.pause("retract"))
    await asyncio.sleep(0.5)
    assert not task.done()
    await control.send_to_all(session, urls, control.CONTINUE)
    async with asyncio.timeout(60):
        assert await task is StopReason.LENGTH
    assert trace.sampled_length == 400


async def test_held_requests_let_a_server_pause_at_once_and_go_on_afterwards(
    client: EngineClient, serving: Serving
) -> None:
    traces = [prompt() for _ in range(4)]
    sampling = Sampling(max_new_tokens=300, extra={"ignore_eos": True})
    tasks = [
        asyncio.create_task(client.session(i, i).generate(trace, sampling))
        for i, trace in enumerate(traces)
    ]
    await asyncio.sleep(0.3)
    session, urls = client.transport.session, serving.address.server_urls
    await client.hold()
    began = time.monotonic()
    await control.send_to_all(session, urls, control.pause("abort"))
    assert time.monotonic() - began < 0.8, "a pause looks again after 1 s where a request runs"
    await control.send_to_all(session, urls, control.FLUSH_CACHE)
    await control.send_to_all(session, urls, control.CONTINUE)
    client.release()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*tasks) == [StopReason.LENGTH] * 4
    assert [trace.sampled_length for trace in traces] == [300] * 4
    assert max(len(trace.segments) for trace in traces) > 2


async def test_a_pause_that_aborts_does_not_end_what_a_plugin_waits_for(
    client: EngineClient, serving: Serving
) -> None:
    trace = prompt()
    sampling = Sampling(max_new_tokens=300, extra={"ignore_eos": True})
    task = asyncio.create_task(client.session(0, 0).generate(trace, sampling))
    await asyncio.sleep(0.3)
    session, urls = client.transport.session, serving.address.server_urls
    await control.send_to_all(session, urls, control.pause("abort"))
    await asyncio.sleep(0.3)
    assert not task.done()
    await control.send_to_all(session, urls, control.FLUSH_CACHE)
    await control.send_to_all(session, urls, control.CONTINUE)
    async with asyncio.timeout(60):
        assert await task is StopReason.LENGTH
    assert trace.sampled_length == 300
    assert len(trace.segments) > 2


async def test_a_refused_request_says_what_the_server_said(client: EngineClient) -> None:
    with pytest.raises(EngineError, match=r"status 400: .*top_p"):
        await client.session(0, 0).generate(prompt(), Sampling(top_p=3.0))


async def test_the_openai_endpoint_answers(client: EngineClient, serving: Serving) -> None:
    session = client.session(0, 0)
    body = {
        "model": str(serving.model),
        "messages": [{"role": "user", "content": "2+3="}],
        "max_tokens": 3,
        "logprobs": True,
    }
    answer = await session.post("/v1/chat/completions", body)
    assert answer["usage"]["completion_tokens"] == 3
    assert len(answer["choices"][0]["logprobs"]["content"]) == 3
    assert len(session.render(body["messages"])) == answer["usage"]["prompt_tokens"]


def test_the_weights_checker_sees_a_change(serving: Serving) -> None:
    url = serving.servers[1].url
    control.send(url, control.check_weights("snapshot"))
    control.send(url, control.check_weights("compare"))
    control.send(url, control.check_weights("reset_tensors"))
    with pytest.raises(EngineError, match="weights_checker"):
        control.send(url, control.check_weights("compare"))
    restore = {"model_path": str(serving.model), "weight_version": "1"}
    control.send(url, Call("/update_weights_from_disk", restore))
    control.send(url, control.check_weights("compare"))
    assert control.send(url, control.MODEL_INFO)["weight_version"] == "1"
    assert control.send(serving.servers[0].url, control.MODEL_INFO)["weight_version"] == "0"


def test_stopping_leaves_no_process_no_port_and_no_shared_memory(serving: Serving) -> None:
    everything = (*serving.servers, serving.router)
    roots = [each.pid or 0 for each in everything]
    pids = [pid for root in roots for pid in (root, *descendants(root))]
    memory = shared_memory(pids)
    assert len(pids) > 8
    assert memory
    for each in everything:
        assert each.alive()
        each.stop()
        assert not each.alive()
        assert not control.is_healthy(each.url)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [file for file in memory if os.path.exists(file)]  # noqa: PTH110
    for each in everything:  # the ports are free again
        port = int(each.url.rpartition(":")[2])
        RouterProcess(log_path=serving.model / "unused.log", port=port).stop()
