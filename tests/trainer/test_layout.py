"""A model that cannot be divided as asked is refused before anything starts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core.config.schema import TrainConfig
from slime_core.trainer.layout import check_layout, padded_vocabulary

DENSE: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_hidden_layers": 6,
    "hidden_size": 64,
    "intermediate_size": 96,
    "vocab_size": 131,
}
SPARSE = DENSE | {"architectures": ["Qwen3MoeForCausalLM"], "num_local_experts": 4}


@pytest.mark.parametrize(
    "train",
    [TrainConfig(), TrainConfig(tp=2, pp=3, dp=5), TrainConfig(pp=6)],
    ids=["one rank", "tp2 pp3 dp5", "pp6"],
)
def test_a_layout_that_divides_the_model_passes(train: TrainConfig) -> None:
    check_layout(DENSE, train)


@pytest.mark.parametrize(
    ("config", "train", "words"),
    [
        (DENSE, {"tp": 3}, ["--train-tp is 3", "8 attention heads", "1, 2, 4, 8"]),
        (DENSE, {"tp": 4}, ["--train-tp is 4", "2 key-value heads", "possible are 1, 2"]),
        (DENSE, {"pp": 4}, ["--train-pp is 4", "6 layers"]),
        (DENSE, {"ep": 2}, ["--train-ep is 2", "Qwen3ForCausalLM has no experts"]),
        (DENSE, {"dp": 0}, ["--train-dp is 0", "1 or more"]),
        (SPARSE, {"ep": 3, "dp": 3}, ["--train-ep is 3", "4 experts"]),
        (SPARSE, {"ep": 4, "dp": 2}, ["--train-ep is 4", "dp x tp = 2 x 1 = 2"]),
        (DENSE | {"intermediate_size": 97}, {"tp": 2}, ["97 intermediate channels"]),
        (DENSE | {"hidden_act": "gelu"}, {}, ["hidden_act is 'gelu'", "'silu'"]),
        (DENSE | {"architectures": ["Qwen3ForCausalLm"]}, {}, ["Qwen3ForCausalLM"]),
    ],
)
def test_a_layout_that_does_not_is_refused_with_the_numbers(
    config: dict[str, Any], train: dict[str, int], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_layout(config, TrainConfig(**train))
    for word in words:
        assert word in str(caught.value)


def test_experts_may_be_spread_over_tensor_parallel_ranks() -> None:
    check_layout(SPARSE, TrainConfig(tp=2, dp=2, ep=4))


@pytest.mark.parametrize(("tp", "rows"), [(1, 131), (2, 132), (4, 132), (8, 136)])
def test_the_vocabulary_is_rounded_up_to_the_tensor_parallel_size(tp: int, rows: int) -> None:
    assert padded_vocabulary(DENSE, tp) == rows


def test_the_check_imports_no_torch() -> None:
    code = "import sys, slime_core.trainer.layout; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
