"""Megatron-core as the trainer's backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from slime_core.config.schema import Config
from slime_core.trainer.backend import Start
from slime_core.trainer.layout import check_layout

if TYPE_CHECKING:
    from slime_core.trainer.engine import MegatronEngine


@final
class MegatronBackend:
    """Trains with Megatron's model, optimizer, schedules and checkpoints."""

    def check(self, config: Config, hf_config: Mapping[str, Any]) -> None:
        """Refuse a layout that does not fit the model, and unknown ``--megatron-*`` options."""
        check_layout(hf_config, config.train)
        if config.megatron:
            from slime_core.trainer.options import check_megatron

            check_megatron(config.megatron)

    def build(self, start: Start) -> MegatronEngine:
        """Meet the other ranks, build the model and load its weights."""
        from slime_core.trainer import cpu
        from slime_core.trainer.engine import make_engine
        from slime_core.trainer.layout import experts
        from slime_core.trainer.options import check_megatron
        from slime_core.trainer.process import join, pick_device, pick_dtype, seed_all
        from slime_core.weights.hf import read_config

        train = start.config.train
        cpu.install()
        hf_config, options = read_config(start.model), check_megatron(start.config.megatron)
        check_layout(hf_config, train)
        device = pick_device(start.rank)
        place = join(start.rank, start.world, start.master, train, experts(hf_config) > 0)
        seed_all(start.seed)
        engine = make_engine(
            hf_config,
            start.model,
            train,
            options,
            device=device,
            dtype=pick_dtype(train, device),
            temperature=start.temperature,
            place=place,
        )
        cpu.install()  # once more, for modules that building the model has loaded
        return engine
