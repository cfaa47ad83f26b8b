"""The gateway before a real server: what an unmodified client did can be replayed exactly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
import transformers
from slime_hookspecs import Sampling, Trace

from slime_core.engine.address import ServingAddress
from slime_core.engine.client import EngineClient
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.parsing import Parsers
from slime_core.engine.process import RouterProcess, ServerProcess
from slime_core.gateway.server import Gateway

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

SESSIONS = 60
WORDS = ("hello", "  ", "\n\n", "<|end|>", "日本", "\U0001f600", "2+3=", "<tool_call>", "x" * 40)


@pytest.fixture(scope="module")
def address(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    logs = tmp_path_factory.mktemp("logs")
    options = check_sglang({"log-level": "warning", "max-running-requests": 64})
    server = ServerProcess(tiny_model_dir, log_path=logs / "server.log", tokens=options)
    router = RouterProcess(log_path=logs / "router.log", tokens=check_router({}))
    try:
        server.start()
        router.start()
        server.wait_ready(180)
        router.wait_ready([server.url], 60)
        yield ServingAddress(router.url, (server.url,))
    finally:
        router.stop()
        server.stop()


@pytest.fixture
async def client(address: ServingAddress, tokenizer: Any) -> AsyncIterator[EngineClient]:
    defaults = Sampling(max_new_tokens=12, temperature=1.0)
    made = EngineClient(address, tokenizer, defaults=defaults, context_length=2048, retries=1)
    gateway = Gateway(tokenizer, "tiny", Parsers(tool_calls="qwen25"))
    await gateway.start()
    made.gateway = gateway
    yield made
    await gateway.close()
    await made.close()


def replayed(network: Any, trace: Trace) -> list[float]:
    """transformers' log-probs of the trace's sampled tokens."""
    ids = torch.tensor([trace.tokens])
    with torch.no_grad():
        table = torch.log_softmax(network(ids).logits[0], -1)
    mask = trace.loss_mask
    return [table[i - 1, ids[0, i]].item() for i in range(ids.shape[1]) if mask[i]]


async def talk(session: Any, rng: random.Random) -> int:
    """A few turns through the ordinary client; the number of answers."""
    turns = rng.randint(1, 4)
    history: list[Any] = [{"role": "user", "content": rng.choice(WORDS)}]
    async with openai.AsyncOpenAI(
        base_url=session.openai_base_url, api_key=session.openai_api_key, max_retries=0
    ) as speaker:
        for _ in range(turns):
            call = speaker.chat.completions
            answer = await call.create(model="tiny", messages=history, temperature=1.0)
            role = rng.choice(("user", "tool"))
            history.append(answer.choices[0].message)
            history.append({"role": role, "content": rng.choice(WORDS), "tool_call_id": "1"})
    return turns


async def test_sessions_of_unmodified_clients_replay_to_the_same_logprobs(
    client: EngineClient, tiny_model_dir: Path
) -> None:
    sessions = [client.session(index, index) for index in range(SESSIONS)]
    turns = await asyncio.gather(*(talk(s, random.Random(i)) for i, s in enumerate(sessions)))
    network = transformers.AutoModelForCausalLM.from_pretrained(
        tiny_model_dir, dtype=torch.float32
    ).eval()
    for session, expected in zip(sessions, turns, strict=True):
        (trace,) = session.openai_traces
        assert [s.kind for s in trace.segments].count("sampled") == expected
        found = [lp for lp, m in zip(trace.logprobs, trace.loss_mask, strict=True) if m]
        assert found == pytest.approx(replayed(network, trace), abs=1e-4)
        assert {v for v in trace.weight_versions if v >= 0} == {0}


async def test_a_sample_over_is_no_longer_served(client: EngineClient) -> None:
    session = client.session(0, 0)
    speaker = openai.AsyncOpenAI(
        base_url=session.openai_base_url, api_key=session.openai_api_key, max_retries=0
    )
    await speaker.completions.create(model="tiny", prompt="2+3=")
    assert len(session.openai_traces) == 1
    del session
    with pytest.raises(openai.NotFoundError, match="this sample is over"):
        await speaker.completions.create(model="tiny", prompt="2+3=")
    await speaker.close()
