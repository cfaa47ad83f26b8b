"""Where the options of a plugin cannot be made, one check fails, and the others say that it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slime_hookspecs.testing import Status, run

SOURCE: Final = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Options:
    path: str

@hookimpl
def slime_options():
    return Options

@hookimpl
def slime_reward(sample, ctx):
    return 0.0

@hookimpl
async def slime_generate(sample, engine, ctx):
    begin(sample, engine)
    sample.stop = await engine.generate(sample.trace)
    return sample
"""


def test_options_that_cannot_be_made_are_one_failure(install: Callable[[str], str]) -> None:
    checks = ["declarations.options", "execution", "resume"]
    certificate = run(install(SOURCE), checks)
    assert [one.name for one in certificate.bad()] == ["declarations.options"]
    execution = [one for one in certificate.outcomes if one.name.startswith("execution.")]
    assert {one.status for one in execution} == {Status.SKIPPED}
