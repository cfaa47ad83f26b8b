"""Warns when sending the weights takes long."""

import logging

from slime_hookspecs import WeightsEvent, hookimpl

LIMIT_S = 30.0


@hookimpl
def slime_on_weights(event: WeightsEvent) -> None:
    seconds = event.metrics.get("sync/seconds", 0.0)
    if seconds > LIMIT_S:
        text = "weights %d took %.0f s to arrive"
        logging.getLogger(__name__).warning(text, event.weight_version, seconds)
