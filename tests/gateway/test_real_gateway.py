"""The gateway before a real server: what an unmodified client did can be replayed exactly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import agents
import anthropic
import openai
import pytest
from gateway_exactness import measure, serving
from gateway_model import write_model
from slime_hookspecs import Sampling

from slime_core.engine.address import ServingAddress
from slime_core.engine.client import EngineClient
from slime_core.engine.parsing import Parsers
from slime_core.gateway.server import Gateway

pytestmark = [pytest.mark.engines, pytest.mark.timeout(400)]

SESSIONS = 100
SAID = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def address(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingAddress]:
    with serving(model, tmp_path_factory.mktemp("logs")) as found:
        yield found


@pytest.fixture
async def client(address: ServingAddress, model: Path) -> AsyncIterator[EngineClient]:
    import transformers

    words = transformers.AutoTokenizer.from_pretrained(model)
    defaults = Sampling(max_new_tokens=1500, temperature=1.0)
    made = EngineClient(address, words, defaults=defaults, context_length=2048, retries=1)
    gateway = Gateway(words, "tiny", Parsers(tool_calls="qwen25"))
    await gateway.start()
    made.gateway = gateway
    yield made
    await gateway.close()
    await made.close()


def speaker(session: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=session.openai_base_url, api_key=session.openai_api_key, max_retries=0
    )


async def test_random_sessions_of_unmodified_clients_replay_to_the_same_logprobs(
    address: ServingAddress, model: Path
) -> None:
    found = await measure(address, model, range(SESSIONS))
    assert (found.complaints, found.beyond) == ([], 0)
    assert found.farthest < 1e-4
    kinds = ("sessions: chat", "sessions: messages", "sessions: text", "answers with calls")
    assert min(found.counts[kind] for kind in kinds) > 0
    assert found.counts["traces"] > SESSIONS


async def test_an_agent_whose_call_is_forced_runs_from_end_to_end(client: EngineClient) -> None:
    agents.set_tracing_disabled(True)
    called: list[str] = []

    @agents.function_tool
    def paint(color: Literal["red", "green"], twice: bool) -> str:
        """Paint it."""
        called.append(color)
        return f"It is {color}."

    session = client.session(0, 0)
    async with speaker(session) as spoken:
        agent = agents.Agent(
            "painter",
            tools=[paint],
            model=agents.OpenAIChatCompletionsModel(model="tiny", openai_client=spoken),
            model_settings=agents.ModelSettings(tool_choice="required", parallel_tool_calls=False),
        )
        await agents.Runner.run(agent, "Paint!", max_turns=20)
    assert called[0] in ("red", "green")
    (trace,) = session.openai_traces
    assert [s.kind for s in trace.segments][:4] == ["prompt", "sampled", "observed", "sampled"]
    forced = client.tokenizer.decode(trace.segments[1].tokens)
    assert forced.startswith('<tool_call>\n{"name":"paint"')
    assert f"It is {called[0]}." in client.tokenizer.decode(trace.segments[2].tokens)


async def test_anthropics_client_gets_the_tool_that_it_names(client: EngineClient) -> None:
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    tools: Any = [{"name": name, "input_schema": schema, "strict": True} for name in ("a", "b")]
    session = client.session(1, 1)
    url = session.openai_base_url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, api_key=session.openai_api_key) as spoken:
        answer = await spoken.messages.create(
            model="tiny",
            max_tokens=1500,
            messages=SAID,  # type: ignore[arg-type]
            tools=tools,
            tool_choice={"type": "tool", "name": "b", "disable_parallel_tool_use": True},
        )
    assert answer.stop_reason == "tool_use"
    (call,) = answer.content
    assert (call.name, list(call.input)) == ("b", ["on"])
    assert call.input["on"] in (True, False)


async def test_a_schema_that_is_none_is_the_clients_mistake(client: EngineClient) -> None:
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 5}}}
    session = client.session(2, 2)
    async with speaker(session) as spoken:
        with pytest.raises(openai.BadRequestError, match="Failed to compile json grammar"):
            await spoken.chat.completions.create(model="tiny", messages=SAID, response_format=wrong)
    assert session.openai_traces == []


async def test_a_sample_over_is_no_longer_served(client: EngineClient) -> None:
    session = client.session(3, 3)
    async with speaker(session) as spoken:
        await spoken.completions.create(model="tiny", prompt="2+3=")
        assert len(session.openai_traces) == 1
        del session
        with pytest.raises(openai.NotFoundError, match="this sample is over"):
            await spoken.completions.create(model="tiny", prompt="2+3=")
