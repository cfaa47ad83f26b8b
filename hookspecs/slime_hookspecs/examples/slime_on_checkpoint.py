"""Names the newest checkpoint in a file beside it, for whatever copies checkpoints away."""

from slime_hookspecs import CheckpointEvent, hookimpl


@hookimpl
def slime_on_checkpoint(event: CheckpointEvent) -> None:
    file = event.path.parent / "newest.txt"
    file.write_text(f"{event.path.name}\n", encoding="utf-8")
