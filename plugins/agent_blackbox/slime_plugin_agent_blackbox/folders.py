"""The folder of one agent: its task, its place to work, its reward; gone afterwards, or kept."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from slime_hookspecs import AnyContext, Prompt, Sample

from slime_plugin_agent_blackbox.errors import AgentFailed
from slime_plugin_agent_blackbox.options import Options

#: Where ``prompt.metadata`` has the files that an agent finds.
FILES: Final = "agent_blackbox_files"


@final
@dataclass(frozen=True, slots=True)
class Folder:
    """One agent's folder.

    Attributes:
        root: The folder itself.
    """

    root: Path

    @property
    def work(self) -> Path:
        """Where the agent begins, with its files."""
        return self.root / "work"

    @property
    def temporary(self) -> Path:
        """What it has for ``/tmp``."""
        return self.root / "tmp"

    @property
    def task(self) -> Path:
        """Its task as JSON."""
        return self.root / "task.json"

    @property
    def prompt(self) -> Path:
        """Its task as plain text."""
        return self.root / "prompt.txt"

    @property
    def reward(self) -> Path:
        """Where it may write its reward."""
        return self.root / "reward.json"


async def make(sample: Sample, ctx: AnyContext) -> Folder:
    """A new folder for a sample, with everything that its agent finds there.

    Raises:
        AgentFailed: the folder or its files cannot be written.
    """
    options: Options = ctx.options
    above = Path(options.folder or ctx.run.directory / "plugins" / "agent_blackbox" / "agents")
    try:
        above.mkdir(parents=True, exist_ok=True)
        name = f"step-{ctx.step}-sample-{sample.index}-"
        folder = Folder(Path(tempfile.mkdtemp(prefix=name, dir=above.resolve())))
    except OSError as error:
        raise AgentFailed(f"no folder for the agent can be made in {above}: {error}") from error
    try:
        _fill(folder, sample, ctx)
    except OSError as error:
        await remove(folder)
        raise AgentFailed(f"the files of prompt {sample.prompt.id}: {error}") from error
    return folder


def text_of(prompt: Prompt) -> str:
    """The task in plain text: what the user said last."""
    said = [one.get("content") for one in prompt.messages if one.get("role") == "user"]
    last = said[-1] if said else prompt.messages[-1].get("content")
    return last if isinstance(last, str) else json.dumps(last)


def task_of(sample: Sample, ctx: AnyContext) -> dict[str, Any]:
    """The task as an agent reads it; the label only where the user wants it to be seen."""
    prompt, options = sample.prompt, ctx.options
    task = {
        "id": prompt.id,
        "prompt": text_of(prompt),
        "messages": prompt.messages,
        "tools": prompt.tools,
        "metadata": {k: v for k, v in prompt.metadata.items() if k != FILES},
        "seed": ctx.seed,
        "evaluating": ctx.evaluating,
    }
    return {**task, "label": prompt.label} if options.show_label else task


async def remove(folder: Folder) -> None:
    """Delete a folder, whatever its agent did to it: made it deep, or forbade to enter it.

    A process does it: a large one would keep a thread, and the interpreter's lock, for long.
    """
    await _run("rm", "-rf", "--", str(folder.root))
    if folder.root.exists():
        await _run("chmod", "-R", "u+rwX", "--", str(folder.root))
        await _run("rm", "-rf", "--", str(folder.root))


async def _run(*words: str) -> None:
    null = asyncio.subprocess.DEVNULL
    done = await asyncio.create_subprocess_exec(*words, stdin=null, stdout=null, stderr=null)
    await done.wait()


def _fill(folder: Folder, sample: Sample, ctx: AnyContext) -> None:
    for one in (folder.work, folder.temporary):
        one.mkdir()
    task = json.dumps(task_of(sample, ctx), ensure_ascii=False, default=str)
    folder.task.write_bytes(task.encode("utf-8", "surrogatepass"))
    folder.prompt.write_bytes(text_of(sample.prompt).encode("utf-8", "surrogatepass"))
    for name, given in sample.prompt.metadata.get(FILES, {}).items():
        path = folder.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(given, str):
            path.write_bytes(given.encode("utf-8", "surrogatepass"))
        elif Path(given["from"]).is_dir():
            shutil.copytree(given["from"], path, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(given["from"], path)
