"""One trainer rank without Ray, as a script: ``trainer_worker.py FOLDER RANK WORLD PORT``.

``FOLDER/job.pickle`` is a dict: ``model`` (HF folder), ``train``, ``megatron``, ``plugin``,
``loss`` and ``steps`` of the configuration, ``shards`` (steps of shards by data-parallel rank) and
``actions``: names of what to do, in order. The answers go to ``FOLDER/RANK.pickle``.
"""

from __future__ import annotations

import pickle
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

warnings.filterwarnings("ignore")


def main(folder: Path, rank: int, world: int, port: int) -> None:
    """Run the job of one rank."""
    job: dict[str, Any] = pickle.loads((folder / "job.pickle").read_bytes())
    trainer, info = start(job, rank, world, port)
    answers: dict[str, Any] = {"info": info, "metrics": []}
    for action in job["actions"]:
        act(trainer, job, action, info.dp_rank, answers)
    trainer.close()
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(answers))


def start(job: dict[str, Any], rank: int, world: int, port: int) -> Any:
    """The rank after its setup, and what setup said."""
    from slime_hookspecs import RunInfo

    from slime_core.trainer.rank import TrainerRank

    config, plan = make_config(job)
    run = RunInfo("test", Path(), job["model"], 0, 3, 1, 1, 64)
    trainer = TrainerRank(config, plan, run, rank, world)
    return trainer, trainer.setup("127.0.0.1", port)


def make_config(job: dict[str, Any]) -> tuple[Any, str]:
    """Configuration and plan, with the built-in plugins."""
    from slime_core.config.schema import Config, TrainConfig
    from slime_core.plugins import bind

    config = Config(
        model=job["model"],
        steps=job.get("steps", 3),
        loss=job.get("loss", "policy_loss"),
        train=TrainConfig(**job.get("train", {})),
        megatron={"lr": 1e-3, **job.get("megatron", {})},
        plugin=job.get("plugin", {}),
    )
    plan, _ = bind(config, [])
    return config, plan.to_json()


def act(trainer: Any, job: dict[str, Any], action: str, dp_rank: int, answers: Any) -> None:
    """A step's number, or a verb and its path: the functions below, or a method of the rank."""
    verb, _, argument = action.partition(" ")
    if verb.isdigit():
        shard = job["shards"][int(verb)][dp_rank]
        answers["metrics"].append(trainer.train(int(verb), shard))
    elif verb == "logprobs":
        answers["logprobs"] = logprobs(trainer.engine, job["shards"][0][dp_rank])
    elif verb == "weights":
        answers["weights"] = weights(trainer.engine)
    elif verb == "save":
        trainer.save_checkpoint(Path(argument))
    elif verb == "load":
        trainer.load_checkpoint(Path(argument))
    elif verb == "hf":
        trainer.save_hf(Path(argument))
    else:
        answers["error"] = failure(trainer, verb, Path(argument))


def failure(trainer: Any, verb: str, path: Path) -> str:
    """What a save or load that must fail says."""
    if verb == "try-load":
        return said(lambda: trainer.load_checkpoint(path))
    if verb == "full-disk-save":
        # No file may grow beyond this many bytes: a write fails half-way, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        answer = said(lambda: trainer.save_checkpoint(path))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        return answer
    if verb == "small-disk-save":
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
            return said(lambda: trainer.save_checkpoint(path))
    raise ValueError(verb)


def said(action: Callable[[], Any]) -> str:
    """Type and text of the error that an action raises."""
    from slime_hookspecs import SlimeError

    try:
        action()
    except SlimeError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def logprobs(engine: Any, shard: Any) -> dict[int, Any]:
    """Log-probs of each sample, by its index; nothing but on the last pipeline stage."""
    from slime_core.trainer.step import _load, _with_old_logprobs

    result: dict[int, Any] = {}
    for update in shard.updates:
        for micro in _with_old_logprobs(engine, _load(engine, update)):
            if micro.old_logprobs is None:
                continue  # an earlier stage; it must still take part in the other passes
            lengths = micro.columns["lengths"].tolist()
            parts = micro.old_logprobs.split(lengths)
            result |= dict(zip(micro.columns["sample_indices"].tolist(), parts, strict=True))
    return result


def weights(engine: Any) -> dict[str, Any]:
    """The whole model under HF names, on rank 0."""
    from slime_core.weights.gather import iter_hf_tensors

    engine.settle()
    return dict(iter_hf_tensors([engine.module], engine.config, engine.hf_config))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
