"""Verified updates of servers of every architecture, on two ranks, and of two servers at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slime_core.config.schema import WeightsConfig
from slime_core.weights.sync import WeightSync

pytestmark = pytest.mark.engines


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3_moe"])
def test_every_architecture_is_updated_verified_and_answers_as_transformers_does(
    kind: str,
    tiny_model: Callable[..., Path],
    start_server: Callable[..., str],
    serving: Any,
    perturbed: Any,
    distance: Any,
    tmp_path: Path,
) -> None:
    model = tiny_model(kind)
    url = start_server(model)
    tensors = perturbed(model, 1)
    sync = WeightSync(WeightsConfig(transport="tensor"), serving(url), tmp_path)
    metrics = sync.run(iter(tensors), 1, verify=True)
    assert metrics["sync/verified_tensors"] > 10
    assert distance(url, tensors, model, tmp_path / "out") < 1e-4


@pytest.mark.parametrize("transport", ["tensor", "distributed"])
def test_two_servers_one_of_them_on_two_ranks_get_the_same_weights(
    transport: Any,
    tiny_model: Callable[..., Path],
    pair: tuple[str, str],
    serving: Any,
    perturbed: Any,
    distance: Any,
    tmp_path: Path,
) -> None:
    model = tiny_model("qwen3")
    tensors = perturbed(model, 2 if transport == "tensor" else 3)
    sync = WeightSync(WeightsConfig(transport=transport), serving(*pair), tmp_path)
    metrics = sync.run(iter(tensors), 1, verify=True)
    sync.close()
    assert metrics["sync/verified_tensors"] == 3 * (2 + 8 * 2)
    for url in pair:
        assert distance(url, tensors, model, tmp_path / "out") < 1e-4


@pytest.fixture(scope="module")
def pair(tiny_model: Callable[..., Path], start_server: Callable[..., str]) -> tuple[str, str]:
    model = tiny_model("qwen3")
    return start_server(model), start_server(model, 2)
