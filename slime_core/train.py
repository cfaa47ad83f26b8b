"""The training loop, readable top to bottom: sync, then rollout, train, sync, step after step.

The schedule decides when a step's rollout begins, and nothing else:

* ``sync``: when it is needed, with the newest weights. Trainer and servers wait for each other.
* ``one-step-off``: one step early, while the trainer works. Its weights are one update old.
* ``async``: never. Groups are generated without a pause, also through weight updates, which cut
  each request in two that goes on with the new weights; a step takes groups that are done.

Held-out sets are measured between two steps, or in the background (``--eval-background``): while
the next step generates and trains, up to its weight update, so that one version answers them all.
"""

from __future__ import annotations

from typing import Any

from slime_core.config.schema import Config
from slime_core.machinery import Machinery
from slime_core.observe.journal import Journal


def train(config: Config, machine: Machinery, journal: Journal, start: int) -> None:
    """Every step of the run. A weight version is 1 + the number of steps that it learned from.

    Args:
        config: The run's settings.
        machine: Servers, rollout worker and trainer, running.
        journal: Where numbers and events go.
        start: Steps that are already done.
    """
    version = machine.first_version + start
    with journal.phase("sync"):
        journal.weights(start, version, machine.sync_weights(version, first=True))
    if start == 0 and config.eval.at_start and config.eval.every:
        with journal.phase("eval"):
            journal.add(machine.evaluate(0, version))
    if start == 0:
        journal.end_step(-1)

    ahead = measuring = None
    for step in range(start, config.steps):
        done = step + 1
        last = done == config.steps
        with journal.phase("rollout"):
            batch = machine.finish_rollout(ahead or machine.begin_rollout(step, version))
            journal.add(batch.metrics)
        if batch.empty:
            journal.note(f"the data ended after {step} steps")
            finish_late(machine, journal, measuring)
            if machine.trains:
                journal.saved(step, machine.save(step))
            break
        early = config.schedule == "one-step-off" and not last
        ahead = machine.begin_rollout(done, version) if early else None
        if machine.trains:
            with journal.phase("train"):
                journal.trained(step, machine.train(step, batch.shards))
            version += 1
            if ahead is not None:
                with journal.phase("wait"):  # an update would cut its requests off
                    machine.finish_rollout(ahead)
        finish_late(machine, journal, measuring)
        measuring = None
        if machine.trains:
            with journal.phase("sync"):
                journal.weights(done, version, machine.sync_weights(version, first=False))
        saves = machine.trains and is_due(done, config.checkpoint.every, last)
        if is_due(done, config.eval.every, last and config.eval.at_end and config.eval.every > 0):
            measuring = machine.begin_evaluation(done, version)
            # A checkpoint's rows are whole, and after the last step there is nothing to wait in.
            if saves or last or not in_background(config):
                with journal.phase("eval"):
                    journal.add(machine.finish_evaluation(measuring))
                measuring = None
        if saves:
            with journal.phase("checkpoint"):
                journal.saved(done, machine.save(done))
        journal.end_step(step, late=measuring is not None)


def finish_late(machine: Machinery, journal: Journal, measuring: Any) -> None:
    """Wait for what is measured in the background, if anything is; it belongs to the last step."""
    if measuring is not None:
        with journal.phase("eval"):
            journal.add_late(machine.finish_evaluation(measuring))


def in_background(config: Config) -> bool:
    """Whether held-out sets are measured while the run goes on."""
    auto = config.schedule == "async"
    return {"on": True, "off": False, "auto": auto}[config.eval.background]


def is_due(done: int, every: int, at_end: bool) -> bool:
    """Whether something that happens every ``every`` steps (0: never) happens after ``done``."""
    return at_end or (every > 0 and done % every == 0)
