"""Weight updates of a real SGLang server: every transport, verification, requests in flight."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from slime_hookspecs.errors import WeightSyncError

from slime_core.config.schema import WeightsConfig
from slime_core.engine import control
from slime_core.engine.control import MODEL_INFO
from slime_core.weights.hf import read_config
from slime_core.weights.sync import BROKEN, WeightSync

pytestmark = pytest.mark.engines
TRANSPORTS = ("tensor", "distributed", "disk")


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen3")


@pytest.fixture(scope="module")
def url(start_server: Callable[..., str], model: Path) -> str:
    return start_server(model)


def config(transport: str = "tensor", bucket_mb: int = 1) -> WeightsConfig:
    return WeightsConfig(transport=transport, bucket_mb=bucket_mb)  # type: ignore[arg-type]


def version(url: str) -> str:
    return str(control.send(url, MODEL_INFO)["weight_version"])


def shared_memory_files() -> set[str]:
    """Files in shared memory that carry this process's id, as PyTorch's do; others run here too."""
    return {p.name for p in Path("/dev/shm").iterdir() if str(os.getpid()) in p.name}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_an_update_the_server_answers_as_transformers_does_with_the_new_weights(
    transport: str,
    url: str,
    model: Path,
    serving: Any,
    perturbed: Any,
    distance: Any,
    tmp_path: Path,
) -> None:
    before = shared_memory_files()
    sync = WeightSync(
        config(transport), serving(url), tmp_path / "work", hf_config=read_config(model)
    )
    tensors = perturbed(model, TRANSPORTS.index(transport))
    assert distance(url, tensors, model, tmp_path / "out") > 0.01
    metrics = sync.run(iter(tensors), 7, verify=True)
    again = perturbed(model, 10 + TRANSPORTS.index(transport))
    sync.run(iter(again), 8, verify=False)
    assert distance(url, again, model, tmp_path / "out") < 1e-4
    sync.run(iter(tensors), 9, verify=True)
    sync.close()
    sync.close()
    assert distance(url, tensors, model, tmp_path / "out") < 1e-4
    assert version(url) == "9"
    assert metrics["sync/bytes"] == sum(t.nbytes for _, t in tensors)
    assert metrics["sync/verified_tensors"] == 2 + 8 * 2
    assert metrics["sync/buckets"] >= 1
    assert shared_memory_files() <= before
    assert not list((tmp_path / "work").glob("*"))


def test_a_tensor_that_was_not_sent_is_named(
    url: str, model: Path, serving: Any, perturbed: Any, tmp_path: Path
) -> None:
    sync = WeightSync(config(), serving(url), tmp_path, hf_config=read_config(model))
    missing = "model.layers.1.mlp.down_proj.weight"
    tensors = [(n, t) for n, t in perturbed(model, 1) if n != missing]
    with pytest.raises(WeightSyncError, match=rf"1 were not sent: {missing}"):
        sync.run(iter(tensors), 1, verify=True)
    assert version(url) == BROKEN
    part = "model.layers.0.self_attn.k_proj.weight"
    tensors = [(n, t) for n, t in perturbed(model, 1) if n != part]
    with pytest.raises(WeightSyncError, match=r"1 differ .*0\.self_attn\.qkv_proj\.weight$"):
        sync.run(iter(tensors), 1, verify=True)


def test_one_changed_element_is_found(
    url: str, model: Path, serving: Any, perturbed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """The element changes after it was noted and before it is sent."""
    from slime_core.weights.transports import tensor

    name = "model.layers.1.mlp.up_proj.weight"

    def damage(transport: Any, tensors: Any) -> Any:
        copies = ((n, damaged(t) if n == name else t) for n, t in tensors)
        return send(transport, copies)

    def damaged(t: torch.Tensor) -> torch.Tensor:
        t = t.clone()
        t[3, 5] = torch.nextafter(t[3, 5], torch.tensor(9.0))
        return t

    send = tensor.TensorTransport.send
    monkeypatch.setattr(tensor.TensorTransport, "send", damage)
    sync = WeightSync(config(), serving(url), tmp_path, hf_config=read_config(model))
    with pytest.raises(WeightSyncError, match=r"1 differ .*layers\.1\.mlp\.gate_up_proj\.weight$"):
        sync.run(iter(perturbed(model, 2)), 1, verify=True)


def test_a_tensor_that_is_lost_on_the_way_is_found_even_where_the_server_held_the_same_one(
    url: str, model: Path, serving: Any, perturbed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from slime_core.weights.transports import tensor

    lost = "model.layers.0.input_layernorm.weight"
    sync = WeightSync(config(), serving(url), tmp_path, hf_config=read_config(model))
    tensors = perturbed(model, 2)
    sync.run(iter(tensors), 1, verify=True)
    send = tensor.TensorTransport.send
    monkeypatch.setattr(
        tensor.TensorTransport, "send", lambda t, x: send(t, (p for p in x if p[0] != lost))
    )
    with pytest.raises(WeightSyncError, match=rf"1 differ from the trainer's: {lost}$"):
        sync.run(iter(tensors), 2, verify=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_request_in_flight_ends_with_its_tokens_and_the_server_lives(
    transport: str,
    url: str,
    model: Path,
    serving: Any,
    perturbed: Any,
    generate: Any,
    distance: Any,
    tmp_path: Path,
) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(generate(url, tokens=1500)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    sync = WeightSync(
        config(transport), serving(url), tmp_path / "work", hf_config=read_config(model)
    )
    tensors = perturbed(model, 3)
    new = 30 + TRANSPORTS.index(transport)
    sync.run(iter(tensors), new, verify=True)
    sync.close()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 3
    for answer in answers:
        info = answer["meta_info"]
        assert info["finish_reason"]["type"] == "abort"
        assert 0 < len(answer["output_ids"]) < 1500
        assert len(info["output_token_logprobs"]) == len(answer["output_ids"])
        assert info["weight_version"] != str(new)
    assert distance(url, tensors, model, tmp_path / "out") < 1e-4
    assert generate(url)["meta_info"]["weight_version"] == str(new)


def test_a_refusal_names_server_request_status_and_answer_and_the_server_goes_on(
    url: str, model: Path, serving: Any, perturbed: Any, generate: Any, tmp_path: Path
) -> None:
    sync = WeightSync(config("distributed"), serving(url), tmp_path, hf_config=read_config(model))
    tensors = perturbed(model, 4)
    read: list[str] = []

    def with_a_wrong_shape() -> Any:
        for name, tensor in tensors:
            read.append(name)
            yield name, tensor[:-1] if name == "model.layers.0.mlp.down_proj.weight" else tensor

    with pytest.raises(WeightSyncError) as caught:
        sync.run(with_a_wrong_shape(), 5, verify=False)
    request = f"{url}/update_weights_from_distributed: status 400"
    assert request in str(caught.value)
    assert "Failed to update parameter online" in str(caught.value)
    assert read == [name for name, _ in tensors]
    assert generate(url)["meta_info"]["weight_version"] == BROKEN
    sync.run(iter(tensors), 6, verify=True)
    sync.close()
    assert generate(url)["meta_info"]["weight_version"] == "6"


def test_an_update_without_tensors_is_an_error(
    url: str, serving: Any, generate: Any, tmp_path: Path
) -> None:
    with pytest.raises(WeightSyncError, match="without any tensor"):
        WeightSync(config(), serving(url), tmp_path).run(iter(()), 1, verify=False)
    assert generate(url)
