"""A number of each sample that rollout hooks set, ``sample.fields["hints"] = 2``, and a loss reads
as ``batch["hints"]``."""

from slime_hookspecs import BatchField, hookimpl


@hookimpl
def slime_batch_fields() -> list[BatchField]:
    return [BatchField("hints", per="sample", dtype="int64", default=0)]
