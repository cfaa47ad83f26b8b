"""The worker from plan to shards: real plugins, and a server that speaks SGLang's format."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from slime_hookspecs import ConfigError, DataError, PluginError, RunInfo

from slime_core.batching import Shard
from slime_core.config.schema import Config, ObserveConfig, RolloutConfig, TrainConfig
from slime_core.engine.address import ServingAddress
from slime_core.observe.timeline import FILE, Timeline
from slime_core.plugins import Plan, bind, load
from slime_core.rollout import files
from slime_core.rollout.worker import RolloutWorker, StepData

METADATA = """Metadata-Version: 2.1
Name: worker-task
Version: 1.0
Requires-Dist: slime-hookspecs>=0.1
"""
TASK = """
from slime_hookspecs import BatchField, EvalSet, Prompt, Sampling, StopReason, hookimpl


def prompt(i):
    return Prompt(f"p{i}", [{"role": "user", "content": f"{i}+1="}], label=i)


class Source:
    def __init__(self):
        self.taken = 0

    def take(self, count):
        start, self.taken = self.taken, self.taken + count
        return [prompt(i) for i in range(start, self.taken)]

    def state(self):
        return {"taken": self.taken}

    def restore(self, state):
        self.taken = state["taken"]


@hookimpl
def slime_data_source():
    return Source()


@hookimpl
def slime_batch_fields():
    return [BatchField("length", per="sample", dtype="int64")]


@hookimpl
async def slime_wrap_generate(call_next, sample, engine, ctx):
    answer = await call_next(sample, engine)
    sample.fields["length"] = len(sample.trace)
    return answer


@hookimpl
def slime_reward(sample):
    return float(sample.trace.tokens[-1] % 2)


@hookimpl
def slime_eval_sets():
    return [EvalSet("held", [prompt(0), prompt(1)], 2, Sampling(temperature=0.0))]
"""
DEMONSTRATIONS = (
    TASK
    + """

@hookimpl
async def slime_generate(sample, engine):
    sample.trace.append_prompt(engine.render(sample.prompt.messages))
    sample.trace.append_demonstrated(engine.encode("42"))
    sample.stop = StopReason.DEMONSTRATED
    return sample
"""
)

AGENT = (
    TASK
    + """

@hookimpl
async def slime_generate(sample, engine):
    import openai

    messages = list(sample.prompt.messages)
    async with openai.AsyncOpenAI(
        base_url=engine.openai_base_url, api_key=engine.openai_api_key, max_retries=0
    ) as client:
        for _ in range(2):
            answer = await client.chat.completions.create(model="default", messages=messages)
            messages += [answer.choices[0].message, {"role": "user", "content": "more"}]
    (sample.trace,) = engine.openai_traces
    sample.stop = StopReason.STOP
    return sample
"""
)


@dataclass
class Standin:
    """Answers as SGLang does; tokens depend on the prompt and the seed only."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def generate(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        start = 100 + (sum(body["input_ids"]) + body["sampling_params"]["sampling_seed"]) % 50
        rows = [[-0.5, start + i, None] for i in range(3)]
        meta = {"finish_reason": {"type": "stop"}, "completion_tokens": 3, "weight_version": "4"}
        return web.json_response({"meta_info": {**meta, "output_token_logprobs": rows}})


@asynccontextmanager
async def standin() -> AsyncIterator[Standin]:
    server = Standin()
    app = web.Application()
    app.router.add_post("/generate", server.generate)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def install(folder: Path, name: str, text: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA.replace("worker-task", name.replace("_", "-")))
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}\n")
    (info / "RECORD").write_text(f"{name}.py,,\n")
    (folder / f"{name}.py").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    install(folder, "worker_task", TASK)
    install(folder, "worker_sft", DEMONSTRATIONS)
    install(folder, "worker_agent", AGENT)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in ("worker_task", "worker_sft", "worker_agent"):
        sys.modules.pop(name, None)


@pytest.fixture
def config(tiny_model_dir: Path, site: Path) -> Config:
    return Config(
        plugins=["worker_task"],
        model=tiny_model_dir,
        rollout=RolloutConfig(prompts_per_step=4, samples_per_prompt=2, max_response_tokens=8),
        train=TrainConfig(dp=2, updates_per_step=2),
    )


@asynccontextmanager
async def worker_of(
    config: Config, folder: Path, url: str | None
) -> AsyncIterator[tuple[RolloutWorker, str]]:
    plan, _ = bind(config, load(config.plugins))
    assert config.model is not None
    run = RunInfo("t", folder, config.model, 0, 9, 4, 2, 8)
    address = ServingAddress(url, (url,)) if url else None
    worker = RolloutWorker(config, plan.to_json(), run, address)
    try:
        yield worker, await worker.start()
    finally:
        await worker.close()


def tokens_of(data: StepData) -> list[Any]:
    shards: list[Shard] = data.shards
    return [
        micro_batch.columns["tokens"].tolist()
        for shard in shards
        for update in shard.updates
        for micro_batch in update
    ]


async def test_a_step_becomes_one_shard_a_rank_with_the_plugins_own_columns(
    config: Config, tmp_path: Path
) -> None:
    async with standin() as server, worker_of(config, tmp_path, server.url) as (worker, found):
        plan, _ = bind(config, load(config.plugins))
        assert found == plan.fingerprint
        data = await worker.generate(0, 4)
        assert not data.empty
        assert len(data.shards) == 2
        assert [len(shard.updates) for shard in data.shards] == [2, 2]
        columns = [m.columns for s in data.shards for u in s.updates for m in u]
        indices = sorted(int(i) for c in columns for i in c["sample_indices"])
        assert indices == list(range(8))
        assert all((c["length"] == c["lengths"]).all() for c in columns)
        assert {int(v) for c in columns for v in c["weight_versions"]} == {-1, 4}
        assert data.metrics["prompts/trained"] == 4
        assert data.metrics["rollout/tokens"] == 24
        assert data.metrics["rollout/observer_errors"] == 0


async def test_a_resumed_worker_sends_the_same_requests(config: Config, tmp_path: Path) -> None:
    async with standin() as server:
        async with worker_of(config, tmp_path, server.url) as (worker, _):
            await worker.generate(0, 4)
            state = json.loads(json.dumps(await worker.state(1)))
            server.bodies.clear()
            expected = await worker.generate(1, 4)
            before = [(b["input_ids"], b["sampling_params"]) for b in server.bodies]
        server.bodies.clear()
        async with worker_of(config, tmp_path, server.url) as (worker, _):
            worker.restore(state)
            assert tokens_of(await worker.generate(1, 4)) == tokens_of(expected)
            after = [(b["input_ids"], b["sampling_params"]) for b in server.bodies]
    assert len(before) == 8
    assert sorted(before, key=str) == sorted(after, key=str)


async def test_a_rollout_that_was_made_ahead_is_in_the_state_and_is_not_generated_again(
    config: Config, tmp_path: Path
) -> None:
    config = replace(config, schedule="one-step-off")
    async with standin() as server:
        async with worker_of(config, tmp_path, server.url) as (worker, _):
            await worker.generate(3, 4)
            ahead = await worker.generate(4, 4)
            at_4 = json.loads(json.dumps(await worker.state(4)))
            at_5 = json.loads(json.dumps(await worker.state(5)))
        assert len(server.bodies) == 16
        assert at_4["carried"] == {"drawn": 4, "from_buffer": 0, "kept": 4}
        assert (at_5["carried"], at_5["buffer"]) == ({}, [])
        async with worker_of(config, tmp_path, server.url) as (worker, _):
            worker.restore(at_4)
            again = await worker.generate(4, 5)
            assert len(server.bodies) == 16
    assert tokens_of(again) == tokens_of(ahead)
    assert balanced(again.metrics) == (8, 8)
    assert again.metrics["prompts/drawn"] == again.metrics["prompts/kept"] == 4
    assert again.metrics["rollout/tokens"] == 0
    assert again.metrics["staleness/max"] == again.metrics["staleness/mean"] == 1


def balanced(metrics: dict[str, float]) -> tuple[float, float]:
    came = metrics["prompts/drawn"] + metrics["prompts/from_buffer"]
    went = sum(v for k, v in metrics.items() if k.startswith("prompts/")) - came
    return came, went


async def test_a_saved_step_is_replayed_without_servers(config: Config, tmp_path: Path) -> None:
    async with standin() as server, worker_of(config, tmp_path, server.url) as (worker, _):
        made = await worker.generate(0, 4)
    rollout = replace(config.rollout, replay=tmp_path / "rollouts")
    async with worker_of(replace(config, rollout=rollout), tmp_path, None) as (worker, _):
        again = await worker.replay(0)
        with pytest.raises(DataError, match="no rollout of step 1"):
            await worker.replay(1)
    for mine, theirs in zip(made.shards, again.shards, strict=True):
        for update, same in zip(mine.updates, theirs.updates, strict=True):
            for a, b in zip(update, same, strict=True):
                assert all((a.columns[name] == b.columns[name]).all() for name in a.columns)
    assert again.metrics["reward/mean"] == made.metrics["reward/mean"]


async def test_a_steps_rows_and_metrics_say_how_long_things_took(
    config: Config, tmp_path: Path
) -> None:
    Timeline.begin(tmp_path, "driver").close()
    async with standin() as server, worker_of(config, tmp_path, server.url) as (worker, _):
        metrics = (await worker.generate(0, 4)).metrics
        await worker.evaluate(1, 4)
        after = (await worker.generate(1, 4)).metrics
    assert metrics["latency/request_s_p50"] > 0
    for one in (metrics, after):  # those of the evaluation are not among them
        assert sum(n for name, n in one.items() if name.startswith("latency/requests/")) == 8
    for step in range(2):
        rows = [
            json.loads(line) for line in files.lines(files.path_of(tmp_path / "rollouts", step))
        ]
        assert len(rows) == 8
        assert all(row["times"]["generate_s"] > 0 <= row["times"]["reward_s"] for row in rows)
        assert all(row["lengths"]["sampled"] == 3 for row in rows)
    text = (tmp_path / FILE).read_text()
    assert "rollout worker" in text
    assert text.count('"name":"generate","ph":"b"') == 16
    assert text.count("8 samples ended; spans of 8") == 2


async def test_a_run_may_want_neither_rollouts_nor_a_timeline(
    config: Config, tmp_path: Path
) -> None:
    Timeline.begin(tmp_path, "driver").close()
    before = (tmp_path / FILE).read_text()
    rollout = replace(config.rollout, save=False)
    quiet = replace(config, rollout=rollout, observe=ObserveConfig(timeline=False))
    async with standin() as server, worker_of(quiet, tmp_path, server.url) as (worker, _):
        await worker.generate(0, 4)
    assert not (tmp_path / "rollouts").exists()
    assert (tmp_path / FILE).read_text() == before


async def test_replay_needs_a_folder(config: Config, tmp_path: Path) -> None:
    async with worker_of(config, tmp_path, None) as (worker, _):
        with pytest.raises(ConfigError, match="--rollout-replay"):
            await worker.replay(0)


async def test_evaluation_samples_as_its_set_says_and_touches_no_state(
    config: Config, tmp_path: Path
) -> None:
    async with standin() as server, worker_of(config, tmp_path, server.url) as (worker, _):
        state = await worker.state(0)
        metrics = await worker.evaluate(0, 4)
        assert await worker.state(0) == state
    assert {b["sampling_params"]["temperature"] for b in server.bodies} == {0.0}
    assert len(server.bodies) == 4
    assert metrics["eval/held/samples"] == 4
    assert 0.0 <= metrics["eval/held/mean@2"] <= 1.0


async def test_demonstrations_need_no_servers(config: Config, tmp_path: Path) -> None:
    config = replace(config, plugins=["worker_sft"])
    async with worker_of(config, tmp_path, None) as (worker, _):
        data = await worker.generate(0, 0)
    columns = [m.columns for s in data.shards for u in s.updates for m in u]
    assert sum(float(c["loss_mask"].sum()) for c in columns) == 8 * 2
    assert sum(float(c["loss_weights"].sum()) for c in columns) == pytest.approx(2.0)
    assert data.metrics["rollout/tokens"] == 0


async def test_an_unmodified_agent_is_trained_on_what_it_asked_at_the_gateway(
    config: Config, tmp_path: Path
) -> None:
    config = replace(config, plugins=["worker_agent"])
    async with standin() as server, worker_of(config, tmp_path, server.url) as (worker, _):
        data = await worker.generate(0, 4)
        assert data.metrics["gateway/turns"] == 16
        again = await worker.generate(1, 4)
        assert again.metrics["gateway/turns"] == 16
    columns = [m.columns for s in data.shards for u in s.updates for m in u]
    assert sum(float(c["loss_mask"].sum()) for c in columns) == 8 * 2 * 3
    asked = sorted((b["input_ids"] for b in server.bodies[:16]), key=len)
    tokens = [t for c in columns for t in c["tokens"].tolist()]
    assert all(str(body)[1:-1] in str(tokens) for body in asked[8:])


async def test_without_servers_generation_fails_and_says_why(
    config: Config, tmp_path: Path
) -> None:
    async with worker_of(config, tmp_path, None) as (worker, _):
        with pytest.raises(Exception, match="no servers"):
            await worker.generate(0, 0)


async def test_a_reward_worker_finds_the_plugins_of_the_plan_or_the_start_fails(
    config: Config, tmp_path: Path, site: Path
) -> None:
    child = f"import os\nif os.getpid() != {os.getpid()}: raise ImportError('gone')\n"
    (site / "worker_task.py").write_text(child + TASK)
    plan, _ = bind(config, load(config.plugins))
    assert config.model is not None
    run = RunInfo("t", tmp_path, config.model, 0, 9, 4, 2, 8)
    worker = RolloutWorker(config, Plan.from_json(plan.to_json()).to_json(), run, None)
    with pytest.raises(PluginError, match="gone"):
        await worker.start()
    await worker.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_plugin_that_was_edited_since_the_plan_was_made_is_named(
    config: Config, tmp_path: Path, site: Path
) -> None:
    plan, _ = bind(config, load(config.plugins))
    (site / "worker_task.py").write_text(TASK + "# edited\n")
    assert config.model is not None
    worker = RolloutWorker(
        config, plan.to_json(), RunInfo("t", tmp_path, config.model, 0, 9, 4, 2, 8), None
    )
    with pytest.raises(PluginError, match="plugin worker_task: source files differ"):
        await worker.start()
    await worker.close()


async def test_two_evaluation_sets_of_one_name_are_refused(
    config: Config, tmp_path: Path, site: Path
) -> None:
    (site / "worker_task.py").write_text(
        TASK.replace("    return [EvalSet(", '    return [EvalSet("held", []), EvalSet(')
    )
    with pytest.raises(PluginError, match="evaluation set named 'held' already"):
        async with worker_of(config, tmp_path, None):
            pass
