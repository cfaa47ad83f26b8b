"""Which backend trains."""

from __future__ import annotations

from slime_core.plugins.bound import Bound
from slime_core.trainer.backend import TrainerBackend


def trainer_backend(bound: Bound) -> TrainerBackend:
    """The run's backend."""
    from slime_core.trainer.megatron import MegatronBackend

    return MegatronBackend()
