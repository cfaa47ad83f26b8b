"""Type checkers refuse what does not fit a hook, and accept every subset of its arguments."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from slime_hookspecs import HOOKS, facade, hookimpl
from slime_hookspecs.examples import EXAMPLES
from slime_hookspecs.facade_source import facade as source

FILE = Path(facade.__file__)

HEAD = """
from __future__ import annotations
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from torch import Tensor
from slime_hookspecs import *
from slime_hookspecs import facade as hook
class Options: ...
class Source:
    def take(self, count: int) -> Sequence[Prompt]: return []
    def state(self) -> dict[str, Any]: return {}
    def restore(self, state: Any) -> None: ...
"""

#: Implementations that fit, as the rest of a definition: hook, colour, arguments and result.
GOOD = """
slime_options def () -> type
slime_defaults def () -> dict[str, dict[str, int]]
slime_conformance def () -> Conformance
slime_data_source def () -> Source
slime_data_source def (options: Options) -> Source
slime_data_source def (run: RunInfo, options: Options) -> DataSource
slime_generate async def (sample: Sample, engine: Engine, ctx: AnyContext) -> Sample
slime_generate async def (engine: Engine, sample: Sample) -> list[Sample]
slime_generate async def (sample: Sample) -> Sample | list[Sample]
slime_reward def (sample: Sample) -> float
slime_reward def (sample: Sample, ctx: Context[Options]) -> Reward
slime_reward def (ctx: AnyContext, sample: Sample) -> int
slime_reward async def (sample: Sample) -> float | Reward
slime_reward async def () -> float
slime_group_reward def (group: Group) -> list[float]
slime_group_reward async def (group: Group, ctx: AnyContext) -> tuple[Reward, ...]
slime_filter def (group: Group) -> Verdict
slime_advantage def (group: Group, ctx: Context[Options]) -> Sequence[float]
slime_token_advantage def (batch: Batch) -> Tensor
slime_loss def (batch: Batch, policy: Policy) -> Loss
slime_loss def (ctx: Context[Options], policy: Policy, batch: Batch) -> Loss
slime_batch_fields def () -> list[BatchField]
slime_eval_sets def (options: Options) -> list[EvalSet]
slime_wrap_generate async def (call_next: NextGenerate, sample: Sample, engine: Engine) -> Sample
slime_wrap_reward async def (sample: Sample, call_next: NextReward) -> float
slime_on_group def (group: Group, verdict: Verdict) -> None
slime_on_group async def (verdict: Verdict, ctx: AnyContext) -> None
slime_on_rollout def (rollout: Rollout) -> None
slime_on_train_step def (event: TrainStepEvent) -> None
slime_on_weights async def (event: WeightsEvent) -> None
slime_on_checkpoint def (event: CheckpointEvent) -> None
slime_on_run_end async def () -> None
slime_tracker def (options: Options, run: RunInfo) -> Tracker
"""

#: Implementations that do not fit, each in one way.
BAD = """
slime_options def (options: Options) -> type
slime_defaults def () -> list[str]
slime_conformance async def () -> Conformance
slime_data_source def (config: Options) -> Source
slime_data_source def (options: Options) -> list[Prompt]
slime_data_source async def () -> Source
slime_generate def (sample: Sample, engine: Engine) -> Sample
slime_generate async def (sample: Sample, engine: Engine) -> str
slime_generate async def (sample: Sample, engine: Engine) -> AsyncIterator[Sample]
slime_generate async def (sample: Sample, engine: ServerEngine) -> Sample
slime_reward def (smaple: Sample) -> float
slime_reward def (sample: Sample, options: Options) -> float
slime_reward def (sample: Group) -> float
slime_reward def (sample: Sample) -> str
slime_reward def (sample: Sample) -> float | None
slime_reward async def (sample: Sample) -> str
slime_reward def (sample: Sample, context: AnyContext) -> float
slime_group_reward def (group: Group) -> float
slime_group_reward def (sample: Sample) -> list[float]
slime_filter def (group: Group) -> bool
slime_filter async def (group: Group) -> Verdict
slime_filter def (group: Group) -> Iterator[Verdict]
slime_advantage def (group: list[Group]) -> list[float]
slime_loss def (batch: Batch, policy: Policy) -> float
slime_loss def (batch: Batch, logits: Policy) -> Loss
slime_batch_fields def () -> BatchField
slime_eval_sets def (ctx: AnyContext) -> list[EvalSet]
slime_wrap_generate async def (call_next: NextReward, sample: Sample, engine: Engine) -> Sample
slime_wrap_reward def (call_next: NextReward, sample: Sample) -> float
slime_on_group def (group: Group, verdict: bool) -> None
slime_on_group def (group: Group) -> Verdict
slime_on_train_step def (event: WeightsEvent) -> None
slime_on_run_end async def (event: RunEndEvent) -> int
slime_tracker def (ctx: AnyContext) -> Tracker
"""


def rows(table: str) -> list[str]:
    return table.strip().splitlines()


def definition(row: str, number: int) -> str:
    """A row as two lines of Python: the decorator and the whole function."""
    hook, colour, rest = re.fullmatch(r"(\w+) (def|async def) (.*)", row).groups()  # type: ignore[union-attr]
    return f"@hook.{hook}\n{colour} {hook}_{number}{rest}: raise NotImplementedError\n"


def mypy(folder: Path, *files: str) -> str:
    """What mypy prints of files, read as strictly as it can; torch is as if not installed."""
    settings = folder / "mypy.ini"
    settings.write_text("[mypy]\nstrict = true\n[mypy-torch.*]\nfollow_imports = skip\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", str(settings)),
            *("--follow-imports=silent", "--cache-dir", str(folder.parent / "mypy"), *files),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def refused(code: str, folder: Path) -> dict[int, list[str]]:
    """What mypy refuses, by line of the code."""
    (folder / "plugin.py").write_text(code, encoding="utf-8")
    found: dict[int, list[str]] = {}
    printed = mypy(folder, "plugin.py")
    for number, message in re.findall(r"^plugin\.py:(\d+): error: (.*)$", printed, re.M):
        found.setdefault(int(number), []).append(message)
    return found


def test_the_file_is_what_the_hooks_say() -> None:
    assert FILE.read_text(encoding="utf-8") == source(), "facade.py is out of date: make docs"


def test_the_file_is_in_house_style() -> None:
    for command in (["check"], ["format", "--check"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(FILE)], check=True)


@pytest.mark.parametrize("hook", HOOKS)
def test_at_run_time_a_decorator_is_hookimpl(hook: str) -> None:
    assert getattr(facade, hook) is hookimpl


def test_every_hook_has_good_and_bad_implementations_here() -> None:
    assert {row.split()[0] for row in rows(GOOD)} == set(HOOKS)
    assert set(HOOKS) - {row.split()[0] for row in rows(BAD)} == {
        "slime_token_advantage",  # Without torch its result is unknown to a checker.
        "slime_on_rollout",
        "slime_on_weights",
        "slime_on_checkpoint",
    }


def test_mypy_refuses_exactly_what_does_not_fit(tmp_path: Path) -> None:
    table = rows(GOOD) + rows(BAD)
    head = HEAD + "class ServerEngine:\n    def shutdown(self) -> None: ...\n"
    code, lines = head, {}
    for number, row in enumerate(table):
        lines[code.count("\n") + 1] = row
        code += definition(row, number)
    found = refused(code, tmp_path)
    assert {row for line, row in lines.items() if line in found} == set(rows(BAD))
    assert set(found) <= set(lines), found
    for line, messages in found.items():
        (message,) = messages
        hook = lines[line].split()[0]
        assert re.match(rf'Value of type variable "\w+" of "{hook}" cannot be "Callable', message)


def test_a_decorated_function_keeps_its_own_type(tmp_path: Path) -> None:
    code = HEAD + textwrap.dedent(
        """
        @hook.slime_reward
        def slime_reward(sample: Sample) -> float: return 1.0
        slime_reward("no sample")
        """
    )
    (messages,) = refused(code, tmp_path).values()
    assert messages == [
        'Argument 1 to "slime_reward" has incompatible type "str"; expected "Sample"  [arg-type]'
    ]


def test_every_example_of_the_reference_fits(tmp_path: Path) -> None:
    for name, text in EXAMPLES.items():
        code = text.replace("@hookimpl", f"@hook.{name}").replace(", hookimpl", "")
        head, rest = code.split("from slime_hookspecs import", 1)
        code = (
            f"{head}from slime_hookspecs import facade as hook\nfrom slime_hookspecs import{rest}"
        )
        (tmp_path / f"{name}.py").write_text(code.replace("import hookimpl", "import HOOKS"))
    printed = mypy(tmp_path, ".")
    assert printed.startswith("Success: no issues found in 22 source files"), printed
