"""Everything that can be found wrong before anything starts, in the order of its price."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

from slime_hookspecs import ConfigError, PluginError, RunInfo

from slime_core.config.schema import Config
from slime_core.launch import Launch
from slime_core.observe.rundir import RunDir
from slime_core.placement.layout import check_local, rank_count, server_count
from slime_core.plugins import Plan, compare


def preflight(launch: Launch) -> RunInfo:
    """Check a run and return its facts. Starts nothing and writes nothing.

    Raises:
        UserError: with the first thing that is wrong.
    """
    config = launch.config
    info = run_info(config, launch.resume)
    check_resume(launch)
    check_installed(config)
    check_model(launch, info.model)
    check_local(config)
    check_pass_through(config)
    check_replay(config)
    check_data(launch, info)
    return info


def run_info(config: Config, resume: Path | None = None) -> RunInfo:
    """The facts of a run that plugins may know."""
    if config.model is None:
        raise ConfigError(
            "no model: give --model FOLDER, an HF folder with config.json and weights"
        )
    directory = resume or config.run_dir or Path("runs") / default_name(config)
    return RunInfo(
        name=directory.name,
        directory=directory.absolute(),
        model=config.model.absolute(),
        seed=config.seed,
        steps=config.steps,
        prompts_per_step=config.rollout.prompts_per_step,
        samples_per_prompt=config.rollout.samples_per_prompt,
        max_response_tokens=config.rollout.max_response_tokens,
    )


def default_name(config: Config) -> str:
    """``<date>-<time>-<plugin>``."""
    task = config.plugins[0].split(":")[-1] if config.plugins else "run"
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{task}"


def check_resume(launch: Launch) -> None:
    """Refuse to go on with another reward, loss or advantage, unless that was asked for.

    Raises:
        PluginError: with each difference.
        ConfigError: the folder holds no run.
    """
    if launch.resume is None or launch.config.allow_changed_plugins:
        return
    saved = Plan.from_json(RunDir.open(launch.resume).plan_file.read_text("utf-8"))
    if changed := compare(saved, launch.plan):
        raise PluginError(
            "the plugins of this run have changed since it was started:\n"
            + "\n".join(f"    {line}" for line in changed)
            + "\n  Install what it was started with, or go on with --allow-changed-plugins."
        )


def check_installed(config: Config) -> None:
    """Refuse to start without the engines that the run needs, before any of them is imported.

    Raises:
        ConfigError: with what is missing and how to install it.
    """
    needed = {"ray": "ray", "torch": "torch", "transformers": "transformers"}
    needed |= {"aiohttp": "aiohttp", "numpy": "numpy"}
    if rank_count(config):
        needed |= {"megatron.core": "megatron-core", "safetensors": "safetensors"}
    if server_count(config):
        needed |= {"sglang": "sglang", "sglang_router": "sglang-router"}
    missing = [package for module, package in needed.items() if not is_importable(module)]
    if missing:
        raise ConfigError(
            f"not installed: {', '.join(missing)}; on a GPU machine: pip install "
            "'slime-rl[engines]', on a CPU: make setup. `slime doctor` shows the rest"
        )


def is_importable(module: str) -> bool:
    """Whether a module is there, without importing it (but for its parents)."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check_model(launch: Launch, model: Path) -> None:
    """Refuse a model folder that is not whole, and what the trainer cannot do with the model."""
    from slime_core.trainer.backends import trainer_backend
    from slime_core.weights.hf import check_model_dir, read_config

    check_model_dir(model)
    backend = trainer_backend(launch.bound)
    if rank_count(launch.config) or launch.config.megatron:
        backend.check(launch.config, read_config(model))


def check_pass_through(config: Config) -> None:
    """Refuse options that the installed engines do not know.

    Engines that the run does not start are asked only about options that were given for them.
    """
    if config.sglang or config.router:
        from slime_core.engine.options import check_router, check_sglang

        check_sglang(config.sglang)
        check_router(config.router)


def check_replay(config: Config) -> None:
    """Refuse ``--debug-train-only`` without rollouts to train on."""
    folder = config.rollout.replay
    if not config.debug_train_only or folder is None:
        return
    if not folder.is_dir() or not any(folder.iterdir()):
        raise ConfigError(
            f"--rollout-replay {folder}: no saved rollouts there; "
            "give the rollouts/ folder of an earlier run"
        )


def check_data(launch: Launch, info: RunInfo) -> None:
    """Open the data once, so that a bad file is found before a server starts.

    Raises:
        DataError: from the plugin, naming file and line.
        ConfigError: no plugin of the run offers data.
    """
    if launch.config.debug_train_only:
        return
    source = launch.bound.maybe("slime_data_source")
    if source is None:
        raise ConfigError(
            "no plugin of this run offers a data source: name a task, as --plugin math_dapo"
        )
    close(source.call(source.options, info))
    if server_count(launch.config) and launch.config.eval.every:
        for hook in launch.bound.all("slime_eval_sets"):
            hook.call(hook.options, info)


def close(source: Any) -> None:
    """Close a data source that can be closed."""
    if hasattr(source, "close"):
        source.close()
