"""Trains the demo's task while servers and router are killed and rewards hang and crash.

Every few seconds a server that serves is killed (or only stopped, so that it hangs), now and then
the router; one reward in some hundreds hangs, raises, or ends its process. Then the books of the
run are checked prompt by prompt. Prints one JSON object a schedule.

    python benchmarks/chaos.py [--minutes 10] [--schedules async sync] [--model FOLDER] [OPTIONS]

OPTIONS are the run's own, e.g. ``--weights-transport distributed``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

from slime_core.demo.commands import SFT_BATCH, SLIME, Settings, rl_options, sft_options
from slime_core.demo.data import write_sloppy_sft
from slime_core.demo.model import make_tiny_model
from slime_core.engine import control
from slime_core.engine.keeper import descendants

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))
from books import check_books

MARK = "CHAOS_RUN_MARK"
SAVED_EVERY = 5
SERVERS = 2

#: A reward of weight 0 that fails in every way that there is.
REWARD = """
import os, random, time
from slime_hookspecs import hookimpl

@hookimpl
def slime_reward(sample):
    draw = random.SystemRandom().random()
    if draw < 0.002:
        time.sleep(1000)
    if draw < 0.004:
        os._exit(3)
    if draw < 0.008:
        raise ValueError("chaos")
    return 0.0
"""

OPTIONS = (
    *("--plugin", "chaos", "--reward-weight", "chaos=0", "--rollout-reward-timeout-s", 2),
    *("--rollout-reward-workers", 2, "--max-failed-fraction", 0.5, "--steps", 100_000),
    *("--engine-servers", SERVERS, "--engine-max-restarts", 10_000, "--engine-retries", 50),
    *("--engine-health-every-s", 1, "--engine-health-timeout-s", 8, "--eval-every", 0),
    *("--checkpoint-every", SAVED_EVERY, "--engine-max-redone-requests", 10_000_000),
)


def main() -> None:
    """Run each schedule and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--schedules", nargs="+", default=["async", "sync"])
    parser.add_argument("--model", type=Path, help="the demo's model after its cold start")
    parser.add_argument("--seed", type=int, default=0)
    asked, extra = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or cold_start(Path(folder) / "demo", asked.seed)
        for schedule in asked.schedules:
            out = Path(folder) / schedule
            words = ["--schedule", schedule, *extra]
            found = chaos(out, model.absolute(), words, asked.minutes, asked.seed)
            print(json.dumps(found), flush=True)


def cold_start(out: Path, seed: int) -> Path:
    """The demo's model after its supervised fine-tuning."""
    settings = Settings(out, seed)
    make_tiny_model(settings.model, seed)
    write_sloppy_sft(settings.data, settings.sft_updates * SFT_BATCH, seed)
    subprocess.run([*SLIME, *sft_options(settings)], check=True, stdout=subprocess.DEVNULL)
    (found,) = (settings.sft_run / "checkpoints").glob("*/hf")
    return found


def chaos(out: Path, model: Path, extra: list[str], minutes: float, seed: int) -> dict[str, Any]:
    """One run under fire, and what its files say afterwards."""
    settings, mark = Settings(out, seed), uuid.uuid4().hex
    write_plugin(out / "site")
    path = os.pathsep.join([str(out / "site"), os.environ.get("PYTHONPATH", "")])
    words = [*rl_options(settings, model), *map(str, OPTIONS), *extra]
    with (out / "output.txt").open("w") as output:
        run = subprocess.Popen(
            [*SLIME, *words],
            env={**os.environ, MARK: mark, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )
    metrics = settings.rl_run / "metrics.jsonl"
    while run.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") > 3):
        time.sleep(0.2)
    if run.poll() is not None:
        raise SystemExit(f"the run ended before it began:\n{(out / 'output.txt').read_text()}")
    kills = fire(run, mark, minutes, random.Random(seed))
    alive = run.poll() is None
    if alive:
        run.send_signal(signal.SIGINT)
    run.wait(120)
    time.sleep(10)
    found = result(settings.rl_run, alive)
    left = [pid for pid, _ in processes(mark)]
    return {"options": extra, "minutes": minutes, "kills": kills, **found, "left": len(left)}


def fire(
    run: subprocess.Popen[bytes], mark: str, minutes: float, chance: random.Random
) -> dict[str, int]:
    """Kill something every few seconds; how often what was killed."""
    kills: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and run.poll() is None:
        time.sleep(chance.uniform(2.0, 8.0))
        kind = chance.choices(["first", "tree", "stop", "router"], [5, 3, 1, 1])[0]
        keepers = [pid for pid, url in kept(mark, kind == "router") if control.is_healthy(url)]
        if keepers:
            strike(kind, chance.choice(keepers))
            kills[kind] += 1
    return dict(kills)


def strike(kind: str, keeper: int) -> None:
    """Kill or stop what a keeper keeps: its first process, or all of them."""
    pids = descendants(keeper)
    for pid in pids[:1] if kind == "first" else pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if kind == "stop" else signal.SIGKILL)


def kept(mark: str, router: bool) -> Iterator[tuple[int, str]]:
    """Keepers of a run's servers, or of its router, with the URL of what they keep."""
    for pid, words in processes(mark):
        routes = "sglang_router.launch_router" in words
        if "slime_core.engine.keeper" in words and "--port" in words and routes == router:
            yield pid, f"http://127.0.0.1:{words[words.index('--port') + 1]}"


def processes(mark: str) -> Iterator[tuple[int, list[str]]]:
    """Processes of a run with their command lines."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}" in (entry / "environ").read_text():
                words = (entry / "cmdline").read_text().split("\0")
                if words != [""]:
                    yield int(entry.name), words


def result(run_dir: Path, alive: bool) -> dict[str, Any]:
    """What a run's files say: whether its books balance, what it learned, how long servers took."""
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").open()][1:]
    log = (run_dir / "logs" / "driver.log").read_text()
    back = [int(seconds) for seconds in re.findall(r"serves again, (\d+) s after", log)]
    saved = rows[: len(rows) - len(rows) % SAVED_EVERY]
    error = books_error(run_dir, saved)
    rewards = [row["reward/math_dapo"] for row in rows]
    failed: Counter[str] = Counter()
    for row in rows:
        failed.update({k: int(v) for k, v in row.items() if k.startswith("prompts/failed")})
    return {
        "went_on": alive,
        "books": error or "balance",
        "steps": len(rows),
        "steps_checked": len(saved),
        "samples_failed": int(sum(row["rollout/failed"] for row in rows)),
        "prompts_failed": dict(failed),
        "restarts": int(rows[-1]["engine/restarts"]),
        "router_restarts": int(rows[-1]["engine/router_restarts"]),
        "redone_requests": int(sum(row["engine/redone_requests"] for row in rows)),
        "seconds_to_full_throughput": {
            "median": median(back) if back else None,
            "max": max(back, default=None),
        },
        "reward_first_10_steps": round(mean(rewards[:10]), 3),
        "reward_last_10_steps": round(mean(rewards[-10:]), 3),
        "largest_logprob_diff": max(row["train/train_rollout_logprob_diff"] for row in rows),
        "staleness_max": max(row["staleness/max"] for row in rows),
        "end_of_summary": json.loads((run_dir / "summary.json").read_text())["error"],
    }


def books_error(run_dir: Path, rows: list[dict[str, Any]]) -> str:
    """What is wrong with the books; empty where they balance."""
    try:
        check_books(run_dir, rows)
    except AssertionError as error:
        return f"do not balance: {error}"
    return ""


def write_plugin(site: Path) -> None:
    """The reward as a distribution that can be found."""
    info = site / "slime_plugin_chaos-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slime-plugin-chaos\nVersion: 1.0\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text("[slime.plugins]\nchaos = slime_plugin_chaos\n")
    (site / "slime_plugin_chaos.py").write_text(REWARD)


if __name__ == "__main__":
    main()
