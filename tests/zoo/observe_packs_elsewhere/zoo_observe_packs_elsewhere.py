"""Packs a checkpoint in the folder for temporary files, which may be small."""

from __future__ import annotations

import tempfile

from slime_hookspecs import CheckpointEvent, hookimpl


@hookimpl
def slime_on_checkpoint(event: CheckpointEvent) -> None:
    """Makes an archive to send away."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as archive:
        archive.write(str(event.path).encode())
