"""Writes a run's rollouts while it goes on: the next one waits for the last, the trainer for none.

A step of 16,384 samples of 8,192 tokens takes ten to twenty seconds to write, in a thread. The
event loop goes on meanwhile, and so does the trainer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

from slime_hookspecs import Rollout, SlimeError

from slime_core.rollout import files, saved
from slime_core.rollout.contexts import Scene
from slime_core.rollout.files import Format
from slime_core.rollout.recorder import Record, Recorder

LOG = logging.getLogger("slime.rollout")


@final
class Saver:
    """Saves what steps train on, with what the recorder knows of it.

    Args:
        folder: Where to; ``None`` saves nothing.
        form: How.
        recorder: What else is known of the samples.

    Raises:
        ConfigError: the form needs a package that is not installed.
    """

    def __init__(self, folder: Path | None, form: Format, recorder: Recorder) -> None:
        if folder is not None:
            files.get_ready(form)
        self._folder = folder
        self._form = form
        self._recorder = recorder
        self._writing: asyncio.Task[Any] | None = None

    async def save(self, rollout: Rollout) -> None:
        """Begin to write a rollout, when the one before is written.

        Raises:
            OSError: that one could not be written.
        """
        samples = [sample for group in rollout.groups for sample in group.samples]
        await self._begin(rollout, self._recorder.take(samples))

    @asynccontextmanager
    async def losses(self, scene: Scene) -> AsyncIterator[None]:
        """Where too much fails for the run to go on, what failed is there to be looked at."""
        try:
            yield
        except SlimeError:
            record = self._recorder.take([])
            if record.lost:
                await self._begin(Rollout(scene.step, [], scene.weight_version), record)
            raise

    async def close(self) -> None:
        """Wait for what is being written. May be called again."""
        try:
            await self._finish()
        except OSError as error:
            LOG.warning("the last rollout was not saved: %s", error)

    async def _begin(self, rollout: Rollout, record: Record) -> None:
        await self._finish()
        if self._folder is None:
            return
        write = partial(saved.save, times=record.times, lost=record.lost)
        written = asyncio.to_thread(write, self._folder, rollout, self._form)
        self._writing = asyncio.create_task(written)

    async def _finish(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
