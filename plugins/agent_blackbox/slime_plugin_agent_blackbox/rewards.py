"""What an agent's work is worth, by its exit status, a file that it wrote, or a function."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from slime_hookspecs import AnyContext, ConfigError, DataError, Reward, Sample

from slime_plugin_agent_blackbox import launch, process
from slime_plugin_agent_blackbox.errors import AgentFailed, RewardFailed
from slime_plugin_agent_blackbox.folders import Folder
from slime_plugin_agent_blackbox.options import EXIT_STATUS, FILE, Options
from slime_plugin_agent_blackbox.process import Report

#: Where ``sample.metadata`` keeps the account of an agent.
ACCOUNT: Final = "agent_blackbox"
MAX_FILE_BYTES: Final = 1 << 20
EXCERPT: Final = 200


def score(sample: Sample, ctx: AnyContext) -> Reward:
    """The reward that an agent's account has.

    A sample that another plugin generated is given to the reward function with an empty folder.

    Raises:
        DataError: nobody can tell what it is worth.
    """
    options: Options = ctx.options.whole
    account = sample.metadata.get(ACCOUNT)
    if isinstance(account, dict) and "reward" in account:
        return Reward(account["reward"], dict(account["metrics"]))
    if options.reward in (EXIT_STATUS, FILE):
        raise DataError(
            f"sample of prompt {sample.prompt.id}: no agent answered it, and the reward is the "
            f"agent's {options.reward}; agent_blackbox scores what its own agents did"
        )
    with tempfile.TemporaryDirectory(prefix="slime-agent-") as folder:
        value = _imported(options.reward)(sample, Path(folder))
    return parsed(value, options, f"the function {options.reward}")


async def judge(
    report: Report, sample: Sample, ctx: AnyContext, options: Options, folder: Folder
) -> Reward:
    """The reward of an agent that ended by itself.

    Raises:
        AgentFailed: it ended badly, or has no reward.
    """
    if options.reward == EXIT_STATUS:
        return Reward(float(report.status == 0))
    if report.status:
        raise AgentFailed(f"the agent ended with status {report.status}{last_words(report)}")
    if options.reward == FILE:
        return parsed(_read(folder.reward, report), options, "the agent's reward file")
    return await _by_function(sample, ctx, options, folder)


def parsed(value: Any, options: Options, where: str) -> Reward:
    """A number, or a table with ``reward`` and ``metrics``, as a reward.

    Raises:
        RewardFailed: it is neither, not finite, or out of range.
    """
    if isinstance(value, Reward):
        value = {"reward": value.value, "metrics": value.metrics}
    if not isinstance(value, Mapping):
        value = {"reward": value}
    if unknown := sorted(set(map(str, value)) - {"reward", "metrics"}):
        raise RewardFailed(f"{where} has {unknown[0]!r}; it may have reward and metrics")
    if "reward" not in value:
        raise RewardFailed(f"{where} has no 'reward'")
    metrics = value.get("metrics") or {}
    if not isinstance(metrics, Mapping):
        raise RewardFailed(f"{where} has metrics {metrics!r:.80}; they must be numbers by name")
    reward = _number(value["reward"], where, "the reward")
    low, high = options.reward_range or (-math.inf, math.inf)
    if not low <= reward <= high:
        raise RewardFailed(f"{where} gives the reward {reward}, outside {low} to {high}")
    return Reward(reward, {str(k): _number(v, where, f"{k!r}") for k, v in metrics.items()})


def last_words(report: Report) -> str:
    """The last line of what an agent said, for a message."""
    lines = (report.stderr.strip() or report.stdout.strip()).splitlines()
    return f"; it said: {lines[-1][-EXCERPT:]}" if lines else ", and said nothing"


def _number(value: Any, where: str, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RewardFailed(f"{where}: {what} is {value!r:.80}; it must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RewardFailed(f"{where}: {what} is {number}; it must be finite")
    return number


def _read(path: Path, report: Report) -> Any:
    """What is in a reward file."""
    try:
        # An agent may have made anything of it: a pipe, a folder, a gigabyte.
        if not path.is_file():
            raise RewardFailed(
                f"the agent ended without its reward in $SLIME_REWARD_FILE{last_words(report)}"
            )
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RewardFailed(f"the agent's reward file has {path.stat().st_size} bytes")
        raw = path.read_bytes()
        return json.loads(raw)
    except OSError as error:
        raise RewardFailed(f"the agent's reward file cannot be read: {error}") from error
    except (ValueError, RecursionError):
        found = raw[:EXCERPT].decode(errors="replace")
        raise RewardFailed(f"the agent's reward file is no JSON: {found!r:.100}") from None


async def _by_function(sample: Sample, ctx: AnyContext, options: Options, folder: Folder) -> Reward:
    """What a function says, in a process of its own."""
    given, result = folder.root / "sample.pickle", folder.root / "result.json"
    given.write_bytes(pickle.dumps(sample))
    words = ["reward", options.reward, str(given), str(folder.work), str(result)]
    mark = {process.MARK: folder.root.name, "TMPDIR": str(folder.temporary)}
    passed = launch.inherited(options)
    argv, variables = launch.function(words, {**passed, **mark})
    where = f"the function {options.reward}"
    report = await process.run(
        process.Command(argv, variables, folder.work, options.reward_timeout_s)
    )
    if report.ended == "timeout":
        raise RewardFailed(f"{where} took more than {options.reward_timeout_s:g} s")
    if report.ended != "exit" or report.status:
        last = report.stderr.strip().splitlines()[-1:] or [f"it {report.ended}"]
        raise RewardFailed(f"{where} raised {last[0]:.500}")
    return parsed(json.loads(result.read_bytes()), options, where)


def _imported(name: str) -> Any:
    """The function of a name, in this process, which is a worker for rewards."""
    module, _, path = name.partition(":")
    try:
        function: Any = importlib.import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"agent_blackbox.reward is {name!r}: {error}") from error
    if inspect.iscoroutinefunction(function):
        raise ConfigError(
            f"agent_blackbox.reward is {name!r}, which is async; samples of other plugins can "
            f"only be scored by a plain function"
        )
    return function
