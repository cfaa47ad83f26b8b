"""Hugging Face model folders: check one before a run, read its configuration, write a new one.

Nothing here imports torch until weights are written.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slime_hookspecs.errors import ConfigError

from slime_core.weights import maps

if TYPE_CHECKING:
    from torch import Tensor

#: Most bytes that a safetensors file holds, and so about the memory that writing takes.
SHARD_BYTES: Final = 4 << 30
_INDEX: Final = "model.safetensors.index.json"
_TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.json")
_COPIED: Final = (".json", ".jinja", ".model", ".txt", ".tiktoken")


def read_config(model_dir: Path) -> dict[str, Any]:
    """The folder's ``config.json``, in which experts are counted by ``num_experts``.

    transformers 5 writes that number as ``num_local_experts``.

    Raises:
        ConfigError: The folder or the file is missing, or the file is not a JSON object.
    """
    found = _raw_config(model_dir)
    if "num_local_experts" in found:
        found.setdefault("num_experts", found["num_local_experts"])
    return found


def _raw_config(model_dir: Path) -> dict[str, Any]:
    if not model_dir.is_dir():
        raise ConfigError(f"--model {model_dir}: no such folder")
    path = model_dir / "config.json"
    if not path.is_file():
        raise ConfigError(f"--model {model_dir}: no config.json in it; give an HF model's folder")
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: found a JSON {type(found).__name__}, expected an object")
    return found


def check_model_dir(model_dir: Path) -> None:
    """Refuse a folder that a run could not use, with one clear message.

    Raises:
        ConfigError: The folder, its config.json, weights, tokenizer or chat template is missing, or
            its architecture is not supported.
    """
    config = read_config(model_dir)
    try:
        maps.weight_map(config)
    except ConfigError as error:
        raise ConfigError(f"--model {model_dir}: {error}") from None
    except KeyError as error:
        raise ConfigError(f"--model {model_dir}: config.json has no {error}") from None
    _check_weights(model_dir)
    _check_tokenizer(model_dir)


def _check_weights(model_dir: Path) -> None:
    index = model_dir / _INDEX
    if not index.is_file():
        if not any(model_dir.glob("*.safetensors")):
            raise ConfigError(f"--model {model_dir}: no *.safetensors weights in it")
        return
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{index}: not an index of safetensors files: {error!r}") from error
    missing = sorted(name for name in names if not (model_dir / name).is_file())
    if missing:
        raise ConfigError(f"--model {model_dir}: {_INDEX} names {missing[0]}, which is missing")


def _check_tokenizer(model_dir: Path) -> None:
    if not any((model_dir / name).is_file() for name in _TOKENIZERS):
        raise ConfigError(
            f"--model {model_dir}: no tokenizer in it; expected one of {', '.join(_TOKENIZERS)}"
        )
    if not _has_chat_template(model_dir):
        raise ConfigError(
            f"--model {model_dir}: its tokenizer has no chat template; put one into "
            "chat_template.jinja, or use a chat model"
        )


def _has_chat_template(model_dir: Path) -> bool:
    names = ("chat_template.jinja", "chat_template.json")
    if any((model_dir / name).is_file() for name in names):
        return True
    path = model_dir / "tokenizer_config.json"
    try:
        return bool(path.is_file() and json.loads(path.read_text()).get("chat_template"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error


def save_hf(path: Path, tensors: Iterable[tuple[str, Tensor]], template_dir: Path) -> None:
    """Write a whole HF folder: new weights, and all else from another folder of the same model.

    It appears at once under its name: it is written beside it and renamed. An older folder of that
    name is replaced.

    Args:
        path: Folder to make.
        tensors: HF names and whole tensors.
        template_dir: Folder whose config.json, generation_config.json and tokenizer are copied.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        dtype = write_tensors(made, tensors)
        _copy_rest(template_dir, made, dtype)
        made.chmod(0o755)
        _replace(path, made)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _replace(path: Path, made: Path) -> None:
    """Rename a folder to ``path``; what is there moves out of the way first, then goes."""
    old = made.with_name(f"{made.name}-old")
    if path.exists():
        path.rename(old)
    made.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _copy_rest(template_dir: Path, folder: Path, dtype: str) -> None:
    for source in sorted(template_dir.iterdir()):
        copied = source.name.endswith(_COPIED) and not source.name.endswith("index.json")
        if source.is_file() and copied and source.name != "config.json":
            shutil.copyfile(source, folder / source.name)
    config = _raw_config(template_dir)
    # Read by whoever loads with dtype="auto"; releases before transformers 5 call it torch_dtype.
    config["torch_dtype" if "torch_dtype" in config else "dtype"] = dtype
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_tensors(
    folder: Path, tensors: Iterable[tuple[str, Tensor]], shard_bytes: int = SHARD_BYTES
) -> str:
    """Write tensors as safetensors files with an index, in the order given.

    Returns:
        The name of the tensors' dtype (the first one's), as ``bfloat16``.
    """
    from safetensors.torch import save_file

    files: list[list[str]] = []
    dtype, total = "", 0
    for part in _parts(tensors, shard_bytes):
        save_file(part, folder / f"part-{len(files)}", metadata={"format": "pt"})
        files.append(list(part))
        total += sum(t.nbytes for t in part.values())
        dtype = dtype or str(next(iter(part.values())).dtype).removeprefix("torch.")
    _name_files(folder, files, total)
    return dtype


def _parts(tensors: Iterable[tuple[str, Tensor]], most: int) -> Iterable[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if part and size + tensor.nbytes > most:
            yield part
            part, size = {}, 0
        part[name] = tensor.detach().cpu().contiguous()
        size += tensor.nbytes
    if part:
        yield part


def _name_files(folder: Path, files: list[list[str]], total: int) -> None:
    if len(files) == 1:
        (folder / "part-0").rename(folder / "model.safetensors")
        return
    where: dict[str, str] = {}
    for i, names in enumerate(files):
        file = f"model-{i + 1:05d}-of-{len(files):05d}.safetensors"
        (folder / f"part-{i}").rename(folder / file)
        where.update(dict.fromkeys(names, file))
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
