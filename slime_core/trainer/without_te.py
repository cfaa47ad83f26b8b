"""Mends faults of megatron-core 0.16.1 where TransformerEngine and apex are missing, on a GPU too.

* The MoE router names ``te_general_gemm``, which nobody defined: NameError.
* When the distributed optimizer loads a checkpoint, torch AdamW's ``step`` is missing for one
  format, and for the others one tensor is shared by all parameters, so it is counted up by all.
"""

from __future__ import annotations

import functools
from typing import Any

import torch


@functools.cache
def fix_without_te() -> None:
    """Put the mends in place, once."""
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
    from megatron.core.transformer.moe import moe_utils

    if not hasattr(moe_utils, "te_general_gemm"):
        moe_utils.te_general_gemm = None
    _keep_step(DistributedOptimizer)
    _unshare_step(DistributedOptimizer)


def _keep_step(cls: Any) -> None:
    set_states = cls._set_main_param_and_optimizer_states

    def set_states_with_step(self: Any, model_param: Any, tensors: dict[str, Any]) -> Any:
        group, order = self.model_param_group_index_map[model_param]
        state = self.optimizer.state[self.optimizer.param_groups[group]["params"][order]]
        step = {"step": state["step"]} if "step" in state else {}
        return set_states(self, model_param, {**step, **tensors})

    cls._set_main_param_and_optimizer_states = set_states_with_step


def _unshare_step(cls: Any) -> None:
    load = cls.load_state_dict

    def load_state_dict(self: Any, state_dict: Any) -> None:
        with torch.no_grad():  # in float32 the main parameters are views of the model's
            load(self, state_dict)
        for state in self.optimizer.state.values():
            if "step" in state:
                state["step"] = state["step"].clone()

    cls.load_state_dict = load_state_dict
