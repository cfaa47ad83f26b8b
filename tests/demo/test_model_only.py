"""``slime demo --model-only`` gives a beginner a model, and starts nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from slime_hookspecs.errors import ConfigError

from slime_core.demo import main as demo
from slime_core.demo.model import CONTEXT


def test_it_writes_a_model_and_tells_its_place_and_context(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--model-only", "--out", str(tmp_path / "new")]) == 0
    (model,) = (tmp_path / "new").iterdir()
    config = json.loads((model / "config.json").read_text())
    assert config["max_position_embeddings"] == CONTEXT
    assert (model / "tokenizer.json").is_file()
    found = capsys.readouterr().out
    assert found == f"--model {model}   random weights, a context of {CONTEXT} tokens\n"


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="is not empty"):
        demo.main(["--model-only", "--out", str(tmp_path)])
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]
