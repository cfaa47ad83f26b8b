"""What a sample costs in the rollout loop, beside a bare HTTP client that sends the same requests.

A server in its own process answers ``/generate`` at once in SGLang's format. Two clients take
turns, in the same process and run: a bare aiohttp loop (request, answer, JSON) and
``RolloutWorker.generate`` (the same through engine client, trace, an ``async`` reward, grpo
advantages and batching, with nothing saved).
The tokenizer is a stand-in, because its cost is the model's and not the framework's.

    python benchmarks/rollout_overhead.py                # prints medians, writes results/*.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import orjson
from slime_hookspecs import RunInfo

from slime_core.config.schema import Config, RolloutConfig, TrainConfig
from slime_core.engine.address import ServingAddress
from slime_core.plugins import bind, load
from slime_core.rollout.worker import RolloutWorker

RESULTS = Path(__file__).parent / "results"
PROMPT_TOKENS = 24
METADATA = """Metadata-Version: 2.1
Name: overhead-task
Version: 1.0
Requires-Dist: slime-hookspecs>=0.1
"""
TASK = """
from slime_hookspecs import Prompt, hookimpl


class Source:
    def __init__(self):
        self.taken = 0

    def take(self, count):
        start, self.taken = self.taken, self.taken + count
        messages = [{"role": "user", "content": "1+1="}]
        return [Prompt(str(i), messages) for i in range(start, self.taken)]

    def state(self):
        return {"taken": self.taken}

    def restore(self, state):
        self.taken = state["taken"]


@hookimpl
def slime_data_source():
    return Source()


@hookimpl
async def slime_reward(sample):
    return float(sample.index % 2)
"""


@dataclass(frozen=True)
class Cost:
    """One measurement, a sample."""

    samples_per_s: float
    cpu_us: float


class NullTokenizer:
    """Renders every conversation to the same tokens."""

    def apply_chat_template(self, *_: Any, **__: Any) -> dict[str, list[int]]:
        """The same prompt for everybody."""
        return {"input_ids": list(range(PROMPT_TOKENS))}

    def decode(self, tokens: list[int], **_: Any) -> str:
        """The same text for everybody."""
        return "2"


class NullServer(asyncio.Protocol):
    """Answers each HTTP request as soon as its body is whole."""

    def __init__(self, answers: dict[int, bytes]) -> None:
        self._answers = answers
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            wanted = orjson.loads(body)["sampling_params"]["max_new_tokens"]
            self._transport.write(self._answers[wanted])


def answer(tokens: int) -> bytes:
    """The whole HTTP answer with so many tokens."""
    rows = [[-0.1 - i / 7919.0, 100 + i, None] for i in range(tokens)]
    body = orjson.dumps(
        {
            "text": "2" * tokens,
            "output_ids": [row[1] for row in rows],
            "meta_info": {
                "id": "0" * 32,
                "finish_reason": {"type": "stop", "matched": 1},
                "prompt_tokens": PROMPT_TOKENS,
                "weight_version": "1",
                "completion_tokens": tokens,
                "cached_tokens": 0,
                "e2e_latency": 0.0,
                "output_token_logprobs": rows,
            },
        }
    )
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def serve(lengths: list[int], port: Connection) -> None:
    """Serve until the parent ends this process."""

    async def run() -> None:
        answers = {tokens: answer(tokens) for tokens in lengths}
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: NullServer(answers), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def null_server(lengths: list[int]) -> Iterator[str]:
    """The URL of a running null server."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(lengths, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


@contextmanager
def task_plugin() -> Iterator[None]:
    """Puts the task on the path, as an installed distribution."""
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "overhead_task-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA)
        (info / "entry_points.txt").write_text("[slime.plugins]\noverhead_task = overhead_task\n")
        (info / "RECORD").write_text("overhead_task.py,,\n")
        (Path(folder) / "overhead_task.py").write_text(TASK)
        (Path(folder) / "config.json").write_text('{"max_position_embeddings": 4096}')
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


async def measure(samples: int, work: Callable[[], Awaitable[Any]]) -> Cost:
    """Cost of some work on so many samples."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(samples / wall, cpu / samples * 1e6)


async def bare(url: str, samples: int, tokens: int, concurrency: int) -> None:
    """Send the same requests with nothing around them."""
    body = {
        "rid": "sample-1000-0-00000000",
        "input_ids": list(range(PROMPT_TOKENS)),
        "sampling_params": {
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": -1,
            "max_new_tokens": tokens,
            "sampling_seed": 1,
        },
        "return_logprob": True,
    }
    headers = {"Content-Type": "application/json"}
    left = iter(range(samples))

    async def loop(session: aiohttp.ClientSession) -> None:
        for _ in left:
            data = orjson.dumps(body)
            async with session.post(url + "/generate", data=data, headers=headers) as response:
                orjson.loads(await response.read())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(loop(session) for _ in range(concurrency)))


async def open_worker(url: str, prompts: int, tokens: int, concurrency: int) -> RolloutWorker:
    """A worker whose step asks for ``prompts`` groups of 8."""
    folder = Path(sys.path[0])
    config = Config(
        plugins=["overhead_task"],
        model=folder,
        rollout=RolloutConfig(
            prompts_per_step=prompts,
            samples_per_prompt=8,
            max_response_tokens=tokens,
            concurrency=concurrency,
            save=False,
        ),
        train=TrainConfig(dp=1),
    )
    plan, _ = bind(config, load(["overhead_task"]))
    run = RunInfo("overhead", folder, folder, 0, 1, prompts, 8, tokens)
    worker = RolloutWorker(config, plan.to_json(), run, ServingAddress(url, (url,)))
    with mock.patch("slime_core.rollout.worker.load_tokenizer", return_value=NullTokenizer()):
        await worker.start()
    return worker


async def compare(url: str, prompts: int, tokens: int, concurrency: int, rounds: int) -> Any:
    """Both clients in turns; the first round warms up and is not counted."""
    samples = prompts * 8
    worker = await open_worker(url, prompts, tokens, concurrency)
    costs: dict[str, list[Cost]] = {"bare": [], "slime": []}
    for step in range(rounds + 1):
        alone = await measure(samples, lambda: bare(url, samples, tokens, concurrency))
        ours = await measure(samples, lambda step=step: worker.generate(step, 1))  # type: ignore[misc]
        if step:
            costs["bare"].append(alone)
            costs["slime"].append(ours)
    await worker.close()
    return summary(costs) | {"tokens": tokens, "concurrency": concurrency, "samples": samples}


def summary(costs: dict[str, list[Cost]]) -> dict[str, Any]:
    """Medians, and the median of the rounds' ratios."""
    pairs = list(zip(costs["slime"], costs["bare"], strict=True))
    result: dict[str, Any] = {
        "cpu_ratio": statistics.median(s.cpu_us / b.cpu_us for s, b in pairs),
        "rounds": len(pairs),
    }
    for who, found in costs.items():
        result[f"{who}_cpu_us"] = statistics.median(c.cpu_us for c in found)
        result[f"{who}_samples_per_s"] = statistics.median(c.samples_per_s for c in found)
    return result


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=128, help="prompts a step, 8 samples each")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--tokens", type=int, nargs="+", default=[16, 256])
    options = parser.parse_args()
    rows = []
    with task_plugin(), null_server(options.tokens) as url:
        for tokens in options.tokens:
            work = compare(url, options.prompts, tokens, options.concurrency, options.rounds)
            rows.append(asyncio.run(work))
            print(report(rows[-1]))
    RESULTS.mkdir(exist_ok=True)
    found = {"python": platform.python_version(), "aiohttp": aiohttp.__version__, "rows": rows}
    (RESULTS / "rollout_overhead.json").write_text(json.dumps(found, indent=1) + "\n")


def report(row: dict[str, Any]) -> str:
    """One line of the table."""
    return (
        f"{row['tokens']:4d} tokens, {row['concurrency']} in flight: "
        f"bare {row['bare_cpu_us']:.0f} us CPU a sample, "
        f"{row['bare_samples_per_s']:.0f} samples/s; "
        f"slime {row['slime_cpu_us']:.0f} us, {row['slime_samples_per_s']:.0f} samples/s; "
        f"CPU ratio {row['cpu_ratio']:.2f} (median of {row['rounds']})"
    )


if __name__ == "__main__":
    main()
