"""Makes its class of options inside a function, where pickle does not find it."""

from __future__ import annotations

from dataclasses import dataclass, field

from slime_hookspecs import AnyContext, Sample, hookimpl


def made() -> type:
    """The class of options."""

    @dataclass(frozen=True)
    class Options:
        """How to score."""

        unit: float = field(default=1.0, metadata={"help": "reward of a right answer"})

    return Options


OPTIONS = made()


@hookimpl
def slime_options() -> type:
    """The class of options."""
    return OPTIONS


@hookimpl
def slime_reward(sample: Sample, ctx: AnyContext) -> float:
    """The unit where the response is right."""
    unit: float = ctx.options.unit
    return unit * (str(sample.prompt.label) in sample.response)
