"""HF folders: what is wrong with one is said at once; a written one is whole or not there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from slime_hookspecs.errors import ConfigError

from slime_core.weights import hf
from slime_core.weights.reader import TensorReader


@pytest.fixture
def folder(tiny_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    copy = tmp_path / "model"
    shutil.copytree(tiny_model("qwen3"), copy)
    return copy


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "qwen3_moe"])
def test_a_good_folder_passes(tiny_model: Callable[..., Path], kind: str) -> None:
    hf.check_model_dir(tiny_model(kind))


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        hf.check_model_dir(tmp_path / "nowhere")


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config\.json"):
        hf.check_model_dir(folder)


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "found a JSON list")])
def test_a_config_that_is_no_object(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        hf.check_model_dir(folder)


def test_an_unsupported_architecture(folder: Path) -> None:
    edit(folder / "config.json", architectures=["GPT2LMHeadModel"])
    with pytest.raises(ConfigError, match=r"model: .*GPT2LMHeadModel; supported are LlamaFor"):
        hf.check_model_dir(folder)


def test_a_config_without_a_size(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="has no 'vocab_size'"):
        hf.check_model_dir(folder)


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"no \*\.safetensors weights"):
        hf.check_model_dir(folder)


def test_an_index_that_names_a_missing_file(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(ConfigError, match=r"names model-00001-of-00002\.safetensors, which is"):
        hf.check_model_dir(folder)


def test_a_broken_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ConfigError, match="not an index"):
        hf.check_model_dir(folder)


def test_no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"no tokenizer in it; expected one of tokenizer\.json"):
        hf.check_model_dir(folder)


def test_no_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    edit(folder / "tokenizer_config.json", chat_template=None)
    with pytest.raises(ConfigError, match="no chat template"):
        hf.check_model_dir(folder)


def test_a_check_imports_neither_torch_nor_transformers(folder: Path) -> None:
    code = (
        "import sys, pathlib; from slime_core.weights import hf; "
        f"hf.check_model_dir(pathlib.Path({str(folder)!r})); "
        "print(sorted({'torch', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_experts_are_counted_by_one_name(tiny_model: Callable[..., Path]) -> None:
    raw = json.loads((tiny_model("qwen3_moe") / "config.json").read_text())
    assert hf.read_config(tiny_model("qwen3_moe"))["num_experts"] == 4
    assert "num_experts" not in raw  # transformers 5 writes num_local_experts


def everything(folder: Path) -> dict[str, torch.Tensor]:
    with TensorReader(folder) as reader:
        return {name: reader.read(name) for name in reader.names()}


def test_a_written_folder_has_all_but_the_weights_of_its_template(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "out"
    tensors = {name: t + 1 for name, t in everything(folder).items()}
    hf.save_hf(out, iter(tensors.items()), folder)
    hf.check_model_dir(out)
    assert {p.name for p in out.iterdir()} == {p.name for p in folder.iterdir()}
    assert (out / "config.json").stat().st_mode & 0o444 == 0o444
    after = everything(out)
    assert after.keys() == tensors.keys()
    assert all(torch.equal(after[n], tensors[n]) for n in after)
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_the_config_says_the_dtype_that_was_written(folder: Path, tmp_path: Path) -> None:
    tensors = ((name, t.bfloat16()) for name, t in everything(folder).items())
    hf.save_hf(tmp_path / "out", tensors, folder)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_an_older_folder_is_replaced(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale").touch()
    hf.save_hf(out, iter(everything(folder).items()), folder)
    assert not (out / "stale").exists()
    hf.check_model_dir(out)


def test_a_writer_that_fails_leaves_nothing_and_keeps_the_older_folder(
    folder: Path, tmp_path: Path
) -> None:
    def broken() -> Iterator[tuple[str, torch.Tensor]]:
        yield "model.norm.weight", torch.zeros(2)
        raise OSError("disk full")

    out = tmp_path / "out"
    out.mkdir()
    (out / "kept").touch()
    with pytest.raises(OSError, match="disk full"):
        hf.save_hf(out, broken(), folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "out"]
    assert (out / "kept").exists()


def test_large_models_are_written_as_several_files_with_an_index(
    folder: Path, tmp_path: Path
) -> None:
    tensors = everything(folder)
    assert hf.write_tensors(tmp_path, iter(tensors.items()), shard_bytes=40_000) == "float32"
    files = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert set(index["weight_map"]) == set(tensors)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    after = everything(tmp_path)
    assert all(torch.equal(after[n], tensors[n]) for n in tensors)


def test_a_part_of_a_tensor_is_read_alone(folder: Path) -> None:
    name = "model.layers.0.self_attn.o_proj.weight"
    with TensorReader(folder) as reader:
        whole = reader.read(name)
        assert reader.shape(name) == tuple(whole.shape)
        assert torch.equal(reader.read(name, 0, 3, 9), whole[3:9])
        assert torch.equal(reader.read(name, 1, 3, 9), whole[:, 3:9])
        with pytest.raises(ConfigError, match="hold no tensor 'nothing'"):
            reader.read("nothing")
