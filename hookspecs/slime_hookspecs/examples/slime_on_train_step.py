"""Warns when a step's gradient is far from usual."""

import logging

from slime_hookspecs import TrainStepEvent, hookimpl

LIMIT = 100.0


@hookimpl
def slime_on_train_step(event: TrainStepEvent) -> None:
    norm = event.metrics.get("train/grad_norm", 0.0)
    if norm > LIMIT:
        logging.getLogger(__name__).warning("step %d: gradient norm %.0f", event.step, norm)
