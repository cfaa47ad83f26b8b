"""The demo's two runs and the server after them, as command lines that anyone could type."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

SFT_UPDATES: Final = 900
SFT_BATCH: Final = 64
UPDATES_PER_SFT_STEP: Final = 10

#: What ``slime`` is while the package need not be on the PATH.
SLIME: Final = (
    sys.executable,
    "-c",
    "import sys; from slime_core.cli.main import main; sys.exit(main())",
)


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What ``slime demo`` was asked for.

    Attributes:
        out: Folder of the demo: model, data and both runs.
        seed: Seed of the model, the data and both runs.
        steps: Steps of reinforcement learning.
        random_reward: Train on a reward that knows nothing, as a control.
        sft_updates: Optimizer updates of the cold start, a multiple of 10.
    """

    out: Path
    seed: int = 0
    steps: int = 60
    random_reward: bool = False
    sft_updates: int = SFT_UPDATES

    @property
    def model(self) -> Path:
        """The model with random weights."""
        return self.out / "model"

    @property
    def data(self) -> Path:
        """The cold start's conversations."""
        return self.out / "sloppy.jsonl"

    @property
    def sft_run(self) -> Path:
        """Run directory of the cold start."""
        return self.out / "sft"

    @property
    def rl_run(self) -> Path:
        """Run directory of the reinforcement learning."""
        return self.out / "rl"


def sft_options(settings: Settings) -> list[str]:
    """Options of the cold start: 900 updates of 64 conversations, each seen once."""
    options = {
        "--plugin": "sft",
        "--sft.data": settings.data,
        "--model": settings.model,
        "--run-dir": settings.sft_run,
        "--seed": settings.seed,
        "--steps": settings.sft_updates // UPDATES_PER_SFT_STEP,
        "--rollout-prompts-per-step": SFT_BATCH * UPDATES_PER_SFT_STEP,
        "--rollout-samples-per-prompt": 1,
        "--train-updates-per-step": UPDATES_PER_SFT_STEP,
        "--train-lr-schedule": "cosine",
        "--train-lr-warmup": 50,
        "--train-lr-min-ratio": 0.1,
        "--megatron-lr": 2e-3,
        "--megatron-weight-decay": 0.01,
        "--megatron-adam-beta2": 0.98,
        "--engine-servers": 0,
        "--checkpoint-every": 0,
    }
    return _words(options)


def rl_options(settings: Settings, model: Path, gpus: int = 0) -> list[str]:
    """Options of the reinforcement learning: 32 prompts of 8 samples a step, in 4 updates.

    Args:
        settings: What the demo was asked for.
        model: The model after the cold start.
        gpus: GPUs that the run will find; trainer and server have to share a single one.
    """
    options = {
        "--plugin": "math_dapo",
        "--math-dapo.task": "addition",
        "--math-dapo.eval-samples-per-prompt": 4,
        "--model": model,
        "--run-dir": settings.rl_run,
        "--seed": settings.seed,
        "--steps": settings.steps,
        "--rollout-prompts-per-step": 32,
        "--rollout-samples-per-prompt": 8,
        "--rollout-max-response-tokens": 8,
        "--rollout-temperature": 1.0,
        "--policy-loss.clip-low": 0.2,
        "--policy-loss.clip-high": 0.28,
        "--train-updates-per-step": 4,
        "--train-lr-warmup": 20,
        "--megatron-lr": 1e-4,
        "--megatron-weight-decay": 0.0,
        "--megatron-adam-beta2": 0.98,
        "--eval-every": 20,
        "--checkpoint-every": 0,
    }
    control = ["--plugin", "random_reward", "--reward-weight", "math_dapo=0"]
    shared = ["--colocate"] if gpus == 1 else []
    return _words(options) + shared + (control if settings.random_reward else [])


def serve_command(model: Path, gpu: bool) -> list[str]:
    """Serves a trained model with SGLang."""
    module = "sglang.launch_server" if gpu else "slime_core.engine.cpu.launch_server"
    return ["python", "-m", module, "--model-path", str(model)]


def _words(options: dict[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (name, str(value))]
