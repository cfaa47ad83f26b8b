"""Whether random sessions of unmodified clients leave traces that replay to the same log-probs.

A tiny model is served by a real SGLang server (float32, CPU) behind router and gateway. Its traces
are replayed through transformers: every sampled token's log-prob must be within 1e-4, every answer
that a client was told must be the text of sampled tokens, and nothing else may be in the traces.

    python benchmarks/gateway_exactness.py --sessions 10000     # writes results/*.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import logging
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from gateway_checks import complaints, differences, written
from gateway_clients import Clients, clients, pick
from gateway_model import write_model
from gateway_sessions import Session
from slime_hookspecs import Sampling

from slime_core.engine.address import ServingAddress
from slime_core.engine.client import EngineClient
from slime_core.engine.options import check_router, check_sglang
from slime_core.engine.parsing import Parsers
from slime_core.engine.process import RouterProcess, ServerProcess
from slime_core.gateway.server import Gateway

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("sglang", "sglang-router", "torch", "transformers", "openai", "anthropic", "slime-rl")
TOLERANCE = 1e-4
TOGETHER = 48
BATCH = 500


@dataclass
class Found:
    """What was seen so far.

    Attributes:
        counts: Of sessions, traces, answers, tokens and what clients did.
        farthest: Largest difference of a log-prob.
        beyond: Sampled tokens whose log-prob differs by more than the tolerance.
        complaints: What is not as it must be.
    """

    counts: Counter[str] = field(default_factory=Counter)
    farthest: float = 0.0
    beyond: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether all is as it must be."""
        return not self.complaints and not self.beyond


@contextlib.contextmanager
def serving(model: Path, logs: Path) -> Iterator[ServingAddress]:
    """A server and a router."""
    options = {"log-level": "warning", "max-running-requests": 64, "grammar-backend": "xgrammar"}
    server = ServerProcess(model, log_path=logs / "server.log", tokens=check_sglang(options))
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


async def measure(
    address: ServingAddress, model: Path, seeds: range, say: Any = lambda line: None
) -> Found:
    """Sessions with these seeds, replayed batch by batch."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    load = transformers.AutoModelForCausalLM.from_pretrained
    network = load(model, dtype=torch.float32).eval()
    engine = EngineClient(
        address, tokenizer, defaults=Sampling(max_new_tokens=8), context_length=2048, retries=1
    )
    engine.gateway = gateway = Gateway(tokenizer, "tiny", Parsers(tool_calls="qwen25"))
    await gateway.start()
    found, started = Found(), time.monotonic()
    try:
        async with clients(gateway.key) as given:
            for start in range(seeds.start, seeds.stop, BATCH):
                batch = range(start, min(start + BATCH, seeds.stop))
                await _batch(engine, given, network, batch, found)
                seconds = time.monotonic() - started
                say(f"{batch.stop - seeds.start} sessions in {seconds:.0f} s: {summary(found)}")
    finally:
        await gateway.close()
        await engine.close()
    return found


async def _batch(
    engine: EngineClient, given: Clients, network: Any, seeds: range, found: Found
) -> None:
    """Some sessions at once, then their replay."""
    handles = [engine.session(seed, seed) for seed in seeds]
    room = asyncio.Semaphore(TOGETHER)

    async def one(seed: int, url: str) -> Session:
        async with room:
            rng = random.Random(seed)
            api = pick(rng)
            session = Session(rng, api, given.speaker(api, url))
            await session.run()
            return session

    work = (one(s, h.openai_base_url) for s, h in zip(seeds, handles, strict=True))
    sessions = await asyncio.gather(*work)
    await _settled(engine)
    traces = []
    for seed, session, handle in zip(seeds, sessions, handles, strict=True):
        wrong = complaints(session, handle.openai_traces, engine.tokenizer)
        found.complaints += [f"session {seed} ({session.api}): {line}" for line in wrong]
        traces += [(trace, session.temperature) for trace in handle.openai_traces]
        _count(found.counts, session, handle.openai_traces)
    apart = differences(network, traces)
    found.counts["tokens replayed"] += len(apart)
    found.farthest = max(found.farthest, *apart)
    found.beyond += sum(not one <= TOLERANCE for one in apart)


async def _settled(engine: EngineClient) -> None:
    """Wait for requests whose clients left."""
    while engine._asking:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


def _count(counts: Counter[str], session: Session, traces: Any) -> None:
    counts.update(session.did)
    counts[f"sessions: {session.api}"] += 1
    counts["sessions"] += 1
    counts["traces"] += len(traces)
    counts["answers"] += len(session.answers)
    counts["answers with calls"] += sum(bool(one.told.calls) for one in session.answers)
    counts["answers with half characters"] += sum("�" in a.told.text for a in session.answers)
    counts["tokens sampled"] += sum(len(one.segment.tokens) for one in written(traces))


def summary(found: Found) -> str:
    """One line."""
    counts = found.counts
    return (
        f"{counts['answers']} answers, {counts['traces']} traces, {counts['tokens sampled']} "
        f"tokens; log-probs at most {found.farthest:.1e} apart, {found.beyond} beyond; "
        f"{len(found.complaints)} complaints"
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first session")
    parser.add_argument("--output", type=Path, default=RESULTS / "gateway_exactness.json")
    options = parser.parse_args()
    logging.getLogger("sglang").setLevel(logging.ERROR)  # It warns of each call that is malformed.
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model")
        with serving(model, Path(folder)) as address:
            seeds = range(options.seed, options.seed + options.sessions)
            found = asyncio.run(measure(address, model, seeds, print))
    for line in found.complaints[:20]:
        print(line, file=sys.stderr)
    options.output.write_text(
        json.dumps(result(found, time.monotonic() - started), indent=1) + "\n"
    )
    return 0 if found.exact else 1


def result(found: Found, seconds: float) -> dict[str, Any]:
    """What is written."""
    return {
        "exact": found.exact,
        "largest_logprob_difference": found.farthest,
        "tolerance": TOLERANCE,
        "tokens_beyond_tolerance": found.beyond,
        "complaints": len(found.complaints),
        "counts": dict(sorted(found.counts.items())),
        "seconds": round(seconds, 1),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
