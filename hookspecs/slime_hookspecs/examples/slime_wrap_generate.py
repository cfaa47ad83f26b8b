"""Notes with each sample how long it took, however it ended."""

import time

from slime_hookspecs import Engine, NextGenerate, Sample, hookimpl


@hookimpl
async def slime_wrap_generate(
    call_next: NextGenerate, sample: Sample, engine: Engine
) -> Sample | list[Sample]:
    start = time.monotonic()
    try:
        return await call_next(sample, engine)
    finally:
        sample.metadata["generate_s"] = time.monotonic() - start
