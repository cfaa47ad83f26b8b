"""Every setting of a run that the core owns, as one typed tree.

A field of ``Config`` is ``--<field>`` on the command line and a top-level key in TOML; a field of a
section is ``--<section>-<field>`` and a key of ``[<section>]``. ``metadata["help"]`` is its help.
The pass-through tables ``sglang``, ``router`` and ``megatron`` and the plugins' own tables hold raw
values here: the installed release, or the plugin's options class, checks them.
"""

# ruff: noqa: RUF009  opt() makes a field
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


def opt(default: Any, help: str, **metadata: Any) -> Any:
    """A field with a default and a help text."""
    if isinstance(default, list | dict):
        make = type(default)
        value = default
        return field(default_factory=lambda: make(value), metadata={"help": help, **metadata})
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutConfig:
    """What a step generates."""

    prompts_per_step: int = opt(32, "groups that a step trains on", at_least=1)
    samples_per_prompt: int = opt(8, "samples that each prompt is asked for", at_least=1)
    max_response_tokens: int = opt(256, "most tokens that a response may have", at_least=1)
    temperature: float = opt(1.0, "sampling temperature; 0 is greedy", at_least=0)
    top_p: float = opt(1.0, "nucleus mass", above=0, at_most=1)
    top_k: int = opt(-1, "most candidates a token; -1 is all", at_least=-1)
    stop: list[str] = opt([], "strings that end a response")
    concurrency: int = opt(256, "most samples in flight at once, over all servers", at_least=1)
    over_sample: float = opt(
        1.0,
        "groups started at once, as a multiple of prompts_per_step; 1 starts no spare ones",
        at_least=1,
    )
    generate_timeout_s: float = opt(600.0, "seconds that one sample may take to generate", above=0)
    reward_timeout_s: float = opt(30.0, "seconds that one reward may take, from its start", above=0)
    loop_lag_limit_s: float = opt(
        1.0, "seconds that a hook may keep the event loop before it is named", above=0
    )
    reward_workers: int = opt(
        1, "worker processes for rewards written as plain functions", at_least=1
    )
    max_skipped_fraction: float = opt(
        0.1,
        "stop when more than this part of the prompts is longer than the context",
        at_least=0,
        at_most=1,
    )
    save: bool = opt(True, "write every rollout to the run directory")
    save_format: Literal["jsonl.zst", "jsonl"] = opt(
        "jsonl.zst", "form of saved rollouts: JSON lines, compressed or not"
    )
    replay: Path | None = opt(None, "folder of saved rollouts, for --debug-train-only")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The inference servers."""

    servers: int = opt(1, "SGLang servers; 0 for runs that generate nothing, as SFT", at_least=0)
    tp: int = opt(1, "tensor-parallel size of each server", at_least=1)
    start_timeout_s: float = opt(
        300.0, "seconds that servers and router may take to be ready", above=0
    )
    retries: int = opt(
        6, "times that a request is sent again when a server failed at it", at_least=0
    )
    request_timeout_s: float = opt(
        600.0, "seconds that a server may take for one request; it is sent again then", above=0
    )
    wait_s: float = opt(300.0, "seconds that a request waits while no server can take it", above=0)
    max_redone_requests: int = opt(
        10_000, "requests of a run that may be sent again, all together", at_least=0
    )
    health_every_s: float = opt(
        5.0, "seconds between two looks whether a server still writes tokens", above=0
    )
    health_timeout_s: float = opt(
        60.0, "seconds without a good answer after which a server or the router is killed", above=0
    )
    max_restarts: int = opt(
        5, "times in a run that each server, and the router, is started anew", at_least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The trainer. Its optimizer is set by --megatron-lr, --megatron-clip-grad and the like."""

    tp: int = opt(1, "tensor-parallel size", at_least=1)
    pp: int = opt(1, "pipeline-parallel size", at_least=1)
    dp: int = opt(1, "data-parallel size", at_least=1)
    ep: int = opt(1, "expert-parallel size; divides dp x tp", at_least=1)
    dtype: Literal["auto", "float32", "bfloat16"] = opt(
        "auto", "parameter type; auto is float32 on a CPU, bfloat16 on a GPU"
    )
    updates_per_step: int = opt(
        1, "optimizer updates that a step's samples are divided into", at_least=1
    )
    micro_batch_tokens: int = opt(
        8192, "most tokens that a rank puts through the model at once", at_least=1
    )
    aggregation: Literal["token-mean", "sequence-mean"] = opt(
        "token-mean", "what the loss is a mean over: all trained tokens, or samples' own means"
    )
    lr_schedule: Literal["constant", "linear", "cosine"] = opt("constant", "after the warm-up")
    lr_warmup: int = opt(0, "updates until the learning rate is reached", at_least=0)
    lr_min_ratio: float = opt(
        0.0, "last learning rate over the first, for linear and cosine", at_least=0, at_most=1
    )
    threads: int = opt(1, "CPU threads a rank", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsConfig:
    """How new weights reach the servers."""

    transport: Literal["auto", "tensor", "distributed", "disk"] = opt(
        "auto", "auto is tensor where trainer and servers share GPUs or have none, else distributed"
    )
    bucket_mb: int = opt(512, "most megabytes sent at once", at_least=1)
    verify: Literal["first", "always", "never"] = opt(
        "first", "which updates are compared with the servers' weights"
    )
    timeout_s: float = opt(
        300.0, "seconds that a server may take for one request of a weight update", above=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointConfig:
    """What can be resumed."""

    every: int = opt(20, "steps between checkpoints; 0 keeps only the last one", at_least=0)
    keep: int = opt(2, "newest checkpoints to keep", at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """When held-out sets are measured."""

    every: int = opt(20, "steps between evaluations; 0 is never", at_least=0)
    at_start: bool = opt(True, "measure before step 0")
    at_end: bool = opt(True, "measure after the last step")
    background: Literal["auto", "on", "off"] = opt(
        "auto",
        "measure while the next step generates and trains, up to its weight update; "
        "auto is on with --schedule async",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveConfig:
    """What a person sees."""

    progress: bool = opt(True, "draw a progress display when the output is a terminal")
    report: bool = opt(True, "write report.html into the run directory")
    timeline: bool = opt(True, "write timeline.json, for Perfetto, into the run directory")
    timeline_samples: int = opt(
        64, "samples a step in the timeline, half of them the slowest; 0 is none", at_least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole run."""

    plugins: list[str] = opt([], "task or algorithm to load; may be repeated", flag="--plugin")
    model: Path | None = opt(None, "folder of an HF model: config.json, weights, tokenizer")
    run_dir: Path | None = opt(None, "folder of this run; runs/<time>-<plugin> by default")
    steps: int = opt(60, "training steps", at_least=1)
    seed: int = opt(0, "seed of everything random", at_least=0)
    schedule: Literal["sync", "one-step-off", "async"] = opt(
        "sync",
        "how rollouts and training take turns; one-step-off generates the next step's rollout "
        "while the trainer works, async generates without a pause",
    )
    max_staleness: int = opt(
        1, "weight versions that async may train a token behind the newest", at_least=1
    )
    partial_rollout: bool = opt(
        False, "groups stopped at the end of a step go on in the next one, from their tokens so far"
    )
    mask_stale_tokens: bool = opt(
        False, "do not train on tokens that older weights wrote than the step's"
    )
    colocate: bool = opt(False, "trainer and servers share the same GPUs")
    use: list[str] = opt([], "ROLE=PLUGIN where several plugins offer a role; may be repeated")
    advantage: str | None = opt(None, "short for --use advantage=PLUGIN")
    loss: str | None = opt(None, "short for --use loss=PLUGIN")
    reward_weight: list[str] = opt([], "PLUGIN=WEIGHT of a reward, 1 by default; may be repeated")
    block: list[str] = opt([], "plugin, distribution or PLUGIN.HOOK not to load; may be repeated")
    trust: list[str] = opt(
        [], "distribution to load plugins from, none but these; NAME* is any ending; repeatable"
    )
    locked: Path | None = opt(
        None, "load only what this lock file holds", const="slime-plugins.lock", metavar="FILE"
    )
    max_failed_fraction: float = opt(
        0.2, "stop when more than this part of a step's samples fails", at_least=0, at_most=1
    )
    check_plugins: int = opt(
        16, "calls of each rollout hook to check at the start of a run; 0 is off", at_least=0
    )
    debug_rollout_only: bool = opt(False, "generate and score; start no trainer")
    debug_train_only: bool = opt(False, "train on --rollout-replay; start no server")
    ray_address: str | None = opt(None, "Ray cluster to join; starts one on this machine if unset")
    allow_changed_plugins: bool = opt(
        False, "resume although the code of a reward, loss or advantage has changed"
    )
    ray_cpus: int | None = opt(
        None,
        "CPUs that a Ray started here may hand out; more than there are lets ranks share",
        at_least=1,
    )
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    observe: ObserveConfig = field(default_factory=ObserveConfig)
    sglang: dict[str, Any] = field(default_factory=dict)
    router: dict[str, Any] = field(default_factory=dict)
    megatron: dict[str, Any] = field(default_factory=dict)
    plugin: dict[str, dict[str, Any]] = field(default_factory=dict)
