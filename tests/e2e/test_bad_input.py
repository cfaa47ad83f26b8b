"""Every mistake gets one clear error and exit status 2, before anything is started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TASK = ("--plugin", "math_dapo", "--math-dapo.task", "addition")


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("qwen3")


def refused(run: Any, *words: str) -> str:
    """The error of a run that was refused: one message that holds all the words."""
    assert run.process.returncode == 2, (run.process.returncode, run.output, run.errors)
    assert "Traceback" not in run.errors
    assert run.errors.count("error:") == 1
    for word in words:
        assert word in run.errors
    return str(run.errors)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--plugin", "math_dap"], ["math_dap", "math_dapo", "pip install"]),
        ([*TASK, "--step", "3"], ["--step", "--steps"]),
        ([*TASK, "--rollout-promts-per-step", "3"], ["--rollout-prompts-per-step"]),
        ([*TASK, "--math-dapo.tsak", "x"], ["tsak", "task"]),
        ([*TASK, "--sglang-mem-fraction-sttic", "0.5"], ["mem-fraction-static"]),
        ([*TASK, "--router-polici", "random"], ["policy"]),
        ([*TASK, "--megatron-learning-rate", "1"], ["learning"]),
        ([*TASK, "--megatron-lr", "fast"], ["lr", "fast"]),
        ([*TASK, "--sglang-port", "1"], ["port"]),
        ([*TASK, "--megatron-tensor-model-parallel-size", "2"], ["--train-tp"]),
        ([*TASK, "--steps", "many"], ["--steps", "many"]),
        ([*TASK, "--use", "advantag=rloo"], ["advantag", "advantage"]),
        ([*TASK, "--train-tp", "3"], ["3", "4"]),
        ([*TASK, "--debug-train-only"], ["replay"]),
        (["--plugin", "grpo"], ["data source"]),
        (
            ["--plugin", "math_dapo", "--math-dapo.task", "", "--math-dapo.data", "gone.jsonl"],
            ["gone.jsonl"],
        ),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_a_mistake_on_the_command_line_is_refused(
    slime: Any, model: Path, tmp_path: Path, args: list[str], words: list[str]
) -> None:
    run = slime("--model", model, "--run-dir", tmp_path / "run", *args)
    refused(run, *words)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_key_in_a_file_is_refused_with_its_file(
    slime: Any, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text(
        f'plugins = ["math_dapo"]\nmodel = "{model}"\n[rollout]\nprompt_per_step = 3\n'
    )
    refused(slime("--config", "run.toml"), "run.toml", "prompt_per_step", "prompts_per_step")


def test_a_malformed_line_is_named_with_its_number(slime: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"prompt": "1+1", "label": "2"}\n{"prompt": "1+\n')
    run = slime(
        *("--model", model, "--run-dir", "run", "--plugin", "math_dapo"),
        *("--math-dapo.task", "", "--math-dapo.data", "data.jsonl"),
    )
    refused(run, "data.jsonl", "2")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: shutil.rmtree(m), ["no such", "model"]),
        (lambda m: (m / "config.json").unlink(), ["config.json"]),
        (lambda m: (m / "model.safetensors").unlink(), ["weights"]),
        (lambda m: edit(m / "config.json", architectures=["MambaForCausalLM"]), ["Mamba", "Qwen3"]),
        (lambda m: (m / "chat_template.jinja").unlink(), ["chat template"]),
    ],
    ids=["no folder", "no config", "no weights", "unsupported", "no chat template"],
)
def test_a_model_folder_that_is_not_whole_is_refused(
    slime: Any, model: Path, tmp_path: Path, damage: Any, words: list[str]
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    damage(copy)
    refused(slime("--model", copy, "--run-dir", "run", *TASK), *words)


def edit(file: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.engines
def test_more_ranks_than_ray_has_are_refused(slime: Any, model: Path, tmp_path: Path) -> None:
    run = slime("--model", model, "--run-dir", "run", *TASK, "--train-dp", "64")
    refused(run, "64", "--train-dp")
    assert run.left_behind() == []
