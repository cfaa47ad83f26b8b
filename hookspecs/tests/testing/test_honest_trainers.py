"""Advantages, losses and observers of many shapes that are right, and are not caught."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import pytest
from slime_hookspecs.testing import Certificate, Status, run
from slime_hookspecs.testing.checks import registered

HEAD: Final = """
from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading

from slime_hookspecs import *
from slime_hookspecs import hookimpl
"""

#: Leave-one-out baselines (RLOO), which are 0 on equal rewards but for rounding.
LEAVE_ONE_OUT: Final = """
@hookimpl
def slime_advantage(group):
    rewards = [one.reward for one in group.scored]
    others = max(1, len(rewards) - 1)
    if len(rewards) == 1:
        return [0.0]
    return [reward - (sum(rewards) - reward) / others for reward in rewards]

@hookimpl
def slime_conformance():
    return Conformance(capabilities=frozenset({"zero_on_equal_rewards"}))
"""

#: Rewards themselves: no baseline, so that equal rewards are no zeros, and nothing is promised.
PLAIN: Final = """
@hookimpl
def slime_advantage(group, ctx):
    return tuple(one.reward for one in group.scored)
"""

#: One ratio for a whole sample, over trained tokens (GSPO), with a metric.
SEQUENCE: Final = """
@hookimpl
def slime_loss(batch, policy):
    where, mask = batch["sample_index"], batch["loss_mask"]
    log_ratio = (policy.logprobs - batch["old_logprobs"]) * mask
    zeros = log_ratio.new_zeros(len(batch["lengths"]))
    counts = zeros.index_add(0, where, mask).clamp(min=1)
    ratio = (zeros.index_add(0, where, log_ratio) / counts)[where].clamp(-20, 20).exp()
    clipped = ratio.clamp(0.8, 1.2)
    advantages = batch["advantages"]
    return Loss(-(ratio * advantages).minimum(clipped * advantages), {"ratio": ratio.detach()})

@hookimpl
def slime_conformance():
    return Conformance(capabilities=frozenset({"policy_gradient"}))
"""

#: An importance weight that is held constant on purpose (CISPO), which its author says.
DETACHED: Final = """
@hookimpl
def slime_loss(batch, policy):
    ratio = (policy.logprobs - batch["old_logprobs"]).detach().clamp(-20, 20).exp()
    return Loss(-ratio.clamp(max=1.2) * batch["advantages"] * policy.logprobs)

@hookimpl
def slime_conformance():
    reason = "the importance weight is a constant of the gradient, as in CISPO"
    return Conformance(
        capabilities=frozenset({"policy_gradient"}), exempt={"loss.gradient": reason}
    )
"""

#: Imitation, an entropy bonus, a column of its own, and advantages of its own.
OWN_FIELD: Final = """
@hookimpl
def slime_batch_fields():
    return [BatchField("weight", per="sample", default=1.0), BatchField("bonus", per="token")]

@hookimpl
def slime_token_advantage(batch):
    return (batch["sample_advantages"] * batch["weight"])[batch["sample_index"]] + batch["bonus"]

@hookimpl
def slime_loss(batch, policy):
    return Loss(-policy.logprobs * batch["weight"][batch["sample_index"]] - 0.1 * policy.entropy)

def extend(batch):
    signs = batch["sample_advantages"].sign()
    return {**batch, "weight": 1 + 0.5 * signs, "bonus": batch["rollout_logprobs"] * 0.1}

@hookimpl
def slime_conformance():
    return Conformance(batch=extend)
"""

#: Reads values on the host in four ways, which is slow and right.
READS: Final = """
import torch

@hookimpl
def slime_token_advantage(batch):
    spread = batch["sample_advantages"][batch["sample_index"]]
    parts = torch.split(spread, batch["lengths"].tolist())
    return torch.cat([part * 1.0 for part in parts])

@hookimpl
def slime_loss(batch, policy):
    trained = batch["loss_mask"] > 0
    per_token = torch.zeros_like(policy.logprobs)
    if trained.any():
        weight = batch["loss_mask"].max().item()
        per_token[trained] = -policy.logprobs[trained] * batch["advantages"][trained] * weight
    return Loss(per_token)
"""

#: A tensor without dimensions on the CPU, which torch takes to every device.
SCALAR: Final = """
import torch

@hookimpl
def slime_loss(batch, policy):
    return Loss(-policy.logprobs * batch["advantages"] * torch.tensor(2.0))

@hookimpl
def slime_conformance():
    return Conformance(capabilities=frozenset({"no_host_sync", "policy_gradient"}))
"""

#: A queue and a task that belong to the loop of the rollout, and a tracker with a thread.
ASYNC: Final = """
LOOP = {}

@hookimpl
async def slime_on_group(group, verdict):
    loop = asyncio.get_running_loop()
    lock = LOOP.setdefault(loop, asyncio.Lock())
    async with lock:
        await asyncio.sleep(0.001)

@hookimpl
async def slime_on_rollout(rollout, ctx):
    LOOP.clear()
    rollout.metrics["own/groups"] = len(rollout.groups)

@hookimpl
async def slime_on_train_step(event):
    await asyncio.to_thread(str, event)

class Sender:
    def __init__(self):
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while self.queue.get() is not None:
            pass

    def log(self, step, metrics):
        self.queue.put((step, dict(metrics)))

    def close(self):
        self.queue.put(None)
        self.thread.join()

@hookimpl
def slime_tracker():
    return Sender()
"""

#: A database in the plugin's own folder, opened anew by each run that is resumed.
DATABASE: Final = """
class Rows:
    def __init__(self, run):
        folder = run.directory / "plugins" / "honest_database"
        folder.mkdir(parents=True, exist_ok=True)
        self.base = sqlite3.connect(folder / "rows.sqlite")
        self.base.execute("create table if not exists rows (step, name, value)")

    def log(self, step, metrics):
        rows = [(step, name, value) for name, value in metrics.items()]
        self.base.executemany("insert into rows values (?, ?, ?)", rows)
        self.base.commit()

    def close(self):
        self.base.close()

@hookimpl
def slime_tracker(run):
    return Rows(run)

@hookimpl
def slime_on_checkpoint(event):
    (event.path / "seen").touch()
"""

HONEST: Final = {
    "leave_one_out": LEAVE_ONE_OUT,
    "plain": PLAIN,
    "sequence": SEQUENCE,
    "detached": DETACHED,
    "own_field": OWN_FIELD,
    "reads": READS,
    "scalar": SCALAR,
    "async": ASYNC,
    "database": DATABASE,
}
TIERS: Final = ("declarations", "advantage", "loss", "observe")


@pytest.fixture
def honest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """A plugin of this shape, installed."""
    name = f"honest_{request.param}"
    (tmp_path / f"{name}.py").write_text(HEAD + HONEST[request.param])
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def ran(certificate: Certificate, tier: str) -> set[str]:
    passed = [one for one in certificate.outcomes if one.status is Status.PASSED]
    return {one.name.partition(".")[2] for one in passed if one.tier == tier}


@pytest.mark.parametrize("honest", HONEST, indirect=True)
def test_an_honest_plugin_is_not_caught(honest: str) -> None:
    certificate = run(honest, TIERS)
    assert {one.name: one.message for one in certificate.bad()} == {}


EVERY = {
    tier: {name.partition(".")[2] for name, one in registered().items() if one.tier == tier}
    for tier in TIERS
}


@pytest.mark.parametrize(
    ("honest", "tier", "left_out"),
    [
        ("leave_one_out", "advantage", set()),
        ("plain", "advantage", {"zero_on_equal_rewards"}),
        ("sequence", "loss", {"no_host_sync"}),
        ("detached", "loss", {"gradient", "no_host_sync"}),
        ("own_field", "loss", {"direction", "no_host_sync"}),
        ("reads", "loss", {"direction", "no_host_sync", "any_device"}),
        ("scalar", "loss", set()),
        ("async", "observe", set()),
        ("database", "observe", {"metrics_are_numbers"}),
    ],
    indirect=["honest"],
)
def test_all_of_the_tier_that_can_run_does(honest: str, tier: str, left_out: set[str]) -> None:
    assert EVERY[tier] - ran(run(honest, [tier]), tier) == left_out


@pytest.mark.parametrize("honest", ["scalar"], indirect=True)
def test_without_torch_the_loss_is_skipped_and_says_why(
    honest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "torch" else find(name)
    )
    certificate = run(honest, ["loss", "declarations"])
    reasons = {one.reason for one in certificate.outcomes if one.tier == "loss"}
    assert reasons == {"needs torch, not installed here"}
    assert certificate.ok
