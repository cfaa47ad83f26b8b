"""``--megatron-*`` options are checked against the installed megatron-core."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from slime_hookspecs import ConfigError

from slime_core.trainer.options import OWNED, check_megatron


def test_defaults_suit_reinforcement_learning() -> None:
    optimizer = check_megatron({}).optimizer
    assert optimizer["lr"] == 1e-6
    assert optimizer["adam_beta2"] == 0.98
    assert optimizer["weight_decay"] == 0.0
    assert optimizer["clip_grad"] == 1.0


def test_a_name_goes_to_every_dataclass_that_has_it() -> None:
    options = check_megatron({"use_distributed_optimizer": True, "overlap-param-gather": "true"})
    assert options.ddp["use_distributed_optimizer"] is True
    assert options.optimizer["use_distributed_optimizer"] is True
    assert options.ddp["overlap_param_gather"] is options.optimizer["overlap_param_gather"] is True
    assert "use_distributed_optimizer" not in options.transformer


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("lr", "3e-4", 3e-4),
        ("lr", 1, 1.0),
        ("clip_grad", 0.5, 0.5),
        ("bucket_size", "1000", 1000),
        ("bucket_size", "none", None),
        ("overlap_grad_reduce", "false", False),
        ("overlap_grad_reduce", True, True),
        ("recompute_granularity", "full", "full"),
        ("recompute_modules", "core_attn,mlp", ["core_attn", "mlp"]),
        ("recompute_modules", ["core_attn"], ["core_attn"]),
        ("exp_avg_dtype", "bfloat16", torch.bfloat16),
    ],
)
def test_values_are_converted_to_the_type_of_the_field(name: str, raw: Any, value: Any) -> None:
    options = check_megatron({name: raw})
    found = [t[name] for t in (options.transformer, options.ddp, options.optimizer) if name in t]
    assert found == [value]
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"clip_grads": 1.0}, ["--megatron-clip-grads", "did you mean --megatron-clip-grad?"]),
        ({"zzzzqqqq": 1}, ["--megatron-zzzzqqqq is no option"]),
        ({"lr": "fast"}, ["--megatron-lr is 'fast'", "a number"]),
        ({"lr": True}, ["--megatron-lr is True"]),
        ({"bucket_size": 1.5}, ["--megatron-bucket-size is 1.5", "a whole number or none"]),
        ({"overlap_grad_reduce": "maybe"}, ["'maybe'", "true or false"]),
        ({"init_method": "normal"}, ["--megatron-init-method", "no value that can be typed"]),
        ({"exp_avg_dtype": "float99"}, ["'float99'", "a torch dtype"]),
        ({"tensor_model_parallel_size": 2}, ["cannot be set", "use --train-tp"]),
        ({"params-dtype": "float16"}, ["use --train-dtype"]),
        ({"num_layers": 2}, ["comes from the model's config.json"]),
        ({"calculate_per_token_loss": False}, ["the core weighs each token's loss"]),
    ],
)
def test_what_cannot_be_set_is_refused_with_the_reason(raw: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_megatron(raw)
    for word in words:
        assert word in str(caught.value)


def test_every_name_that_the_core_owns_exists_in_the_installed_release() -> None:
    from dataclasses import fields

    from megatron.core.distributed import DistributedDataParallelConfig
    from megatron.core.optimizer import OptimizerConfig
    from megatron.core.transformer import TransformerConfig

    classes = (TransformerConfig, DistributedDataParallelConfig, OptimizerConfig)
    assert OWNED.keys() <= {f.name for cls in classes for f in fields(cls)}
