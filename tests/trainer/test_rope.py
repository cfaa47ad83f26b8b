"""Rotary frequencies are those of transformers, from new and old configurations alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from slime_hookspecs import ConfigError

from slime_core.trainer.packing import pack
from slime_core.trainer.rope import PackedRotary, check_rope, inverse_frequencies

LLAMA3: dict[str, Any] = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}


@pytest.mark.parametrize(
    "parameters",
    [
        {"rope_type": "linear", "factor": 4.0, "rope_theta": 7000.0},
        LLAMA3 | {"rope_theta": 500000.0},
    ],
    ids=["linear", "llama3"],
)
def test_scaled_frequencies_are_those_of_transformers(parameters: dict[str, Any]) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = LlamaConfig(hidden_size=256, num_attention_heads=4, rope_parameters=parameters)
    expected, _ = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, torch.device("cpu"))
    found = inverse_frequencies({"rope_parameters": parameters}, 64)
    torch.testing.assert_close(found, expected)


def test_old_and_new_configurations_mean_the_same() -> None:
    old = {"rope_theta": 500000.0, "rope_scaling": LLAMA3}
    new = {"rope_parameters": LLAMA3 | {"rope_theta": 500000.0}}
    assert torch.equal(inverse_frequencies(old, 64), inverse_frequencies(new, 64))
    plain = inverse_frequencies({"rope_theta": 10000.0, "rope_scaling": None}, 8)
    torch.testing.assert_close(plain, torch.tensor([1.0, 0.1, 0.01, 0.001]))


def test_positions_begin_anew_with_each_sample() -> None:
    rotary = PackedRotary(torch.tensor([1.0, 0.5]))
    angles = rotary(pack([3, 2], torch.device("cpu")))
    assert angles.shape == (5, 1, 1, 4)
    assert angles[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert angles[4, 0, 0].tolist() == [1, 0.5, 1, 0.5]


def test_a_model_in_bfloat16_keeps_its_frequencies() -> None:
    rotary = PackedRotary(torch.tensor([1.0, 1 / 3])).bfloat16()
    assert rotary.frequencies.dtype == torch.float32


@pytest.mark.parametrize(
    "config",
    [
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}},
        {"partial_rotary_factor": 0.5},
    ],
)
def test_what_is_not_built_here_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"config\.json of the model"):
        check_rope(config)
