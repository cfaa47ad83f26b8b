"""Takes a metric out of the event that others see too."""

from __future__ import annotations

from slime_hookspecs import TrainStepEvent, hookimpl


@hookimpl
def slime_on_train_step(event: TrainStepEvent) -> None:
    """Prints the loss, then the rest."""
    rest: dict[str, float] = event.metrics  # type: ignore[assignment]
    print(rest.pop("train/loss", None), rest)
