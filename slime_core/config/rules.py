"""What settings must hold together: sizes that divide, modes that exclude each other."""

from __future__ import annotations

from collections.abc import Iterator

from slime_core.config.fail import config_error
from slime_core.config.schema import Config


def _modes(config: Config) -> Iterator[str]:
    if config.debug_rollout_only and config.debug_train_only:
        yield (
            "--debug-rollout-only and --debug-train-only exclude each other; "
            "the first starts no trainer, the second no server. Leave one out"
        )
    if config.debug_train_only and config.rollout.replay is None:
        yield (
            "--debug-train-only trains on saved rollouts; say where they are with "
            "--rollout-replay RUN/rollouts"
        )
    if config.rollout.replay is not None and not config.debug_train_only:
        yield "--rollout-replay is read by --debug-train-only alone; add that, or leave it out"


def _sizes(config: Config) -> Iterator[str]:
    train, rollout = config.train, config.rollout
    if (train.dp * train.tp) % train.ep:
        yield (
            f"--train-ep {train.ep} must divide dp x tp = {train.dp} x {train.tp} "
            f"= {train.dp * train.tp}"
        )
    if rollout.top_k == 0:
        yield "--rollout-top-k must be -1 (all) or at least 1, found 0"
    samples = rollout.prompts_per_step * rollout.samples_per_prompt
    if train.updates_per_step > samples:
        yield (
            f"--train-updates-per-step {train.updates_per_step} is more than a step's samples: "
            f"{rollout.prompts_per_step} x {rollout.samples_per_prompt} = {samples}"
        )


def _needs(config: Config) -> Iterator[str]:
    if config.model is None:
        yield "no model: give --model DIR, a folder with config.json, weights and tokenizer"
    if config.colocate and config.engine.servers == 0:
        yield "--colocate shares GPUs with servers, but --engine-servers is 0; leave one out"


def _evaluation(config: Config) -> Iterator[str]:
    if config.eval.background == "on" and config.colocate:
        yield (
            "--eval-background on measures while the trainer works, but with --colocate trainer "
            "and servers take turns on the same GPUs; leave one out"
        )


def _staleness(config: Config) -> Iterator[str]:
    if config.mask_stale_tokens and not config.partial_rollout and config.schedule != "async":
        yield (
            "--mask-stale-tokens has nothing to mask: without --partial-rollout every token of a "
            "step is from its own weights. Add that, or leave it out"
        )


def _schedule(config: Config) -> Iterator[str]:
    if config.schedule != "async" and config.max_staleness != 1:
        yield (
            f"--max-staleness {config.max_staleness} is read by --schedule async alone; add that, "
            "or leave it out"
        )
    if config.schedule == "sync":
        return
    given = f"--schedule {config.schedule}"
    if config.colocate:
        yield (
            f"{given} generates while the trainer works, but with --colocate trainer and servers "
            "take turns on the same GPUs; use --schedule sync, or leave --colocate out"
        )
    if config.debug_rollout_only:
        yield (
            f"{given} generates while the trainer works, but --debug-rollout-only starts none; "
            "leave one out"
        )
    if config.schedule == "async":
        yield from _async(config)


def _async(config: Config) -> Iterator[str]:
    if config.debug_train_only or config.engine.servers == 0:
        given = "--debug-train-only" if config.debug_train_only else "--engine-servers 0"
        yield (
            f"--schedule async generates without a pause, but with {given} nothing is generated; "
            "use --schedule sync"
        )
    if config.rollout.over_sample > 1:
        yield (
            f"--rollout-over-sample {config.rollout.over_sample:g} starts spare groups for one "
            "step, but --schedule async has those of --max-staleness steps under way anyway; "
            "leave it out"
        )
    if config.mask_stale_tokens:
        yield (
            "--mask-stale-tokens masks what older weights wrote, which with --schedule async is "
            "nearly all; --max-staleness says how old it may be. Leave the former out"
        )


def check(config: Config) -> None:
    """Refuses settings that contradict each other.

    Raises:
        ConfigError: With one line for each contradiction.
    """
    wrong = [
        *_modes(config),
        *_sizes(config),
        *_needs(config),
        *_schedule(config),
        *_evaluation(config),
        *_staleness(config),
    ]
    if wrong:
        raise config_error("\n".join(wrong))
