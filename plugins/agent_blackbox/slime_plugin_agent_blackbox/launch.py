"""The words and the environment that an agent is started with."""

from __future__ import annotations

import functools
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from slime_hookspecs import AnyContext, ConfigError, Sample
from slime_hookspecs.spelling import suggestion

from slime_plugin_agent_blackbox.folders import Folder, text_of
from slime_plugin_agent_blackbox.options import EXIT_STATUS, FILE, Options
from slime_plugin_agent_blackbox.process import MARK, Command

#: What this run's model goes by at the gateway, whatever its name.
MODEL: Final = "default"
FUNCTION: Final = str(Path(__file__).parent / "inside" / "function.py")
#: What a command may have in its words.
PLACEHOLDERS: Final = (
    *("prompt", "prompt_file", "task_file", "reward_file", "work_dir", "here", "python"),
    *("base_url", "api_key", "model"),
)
_PLACE: Final = re.compile(r"(?<!\$)\{([a-z_]+)\}")
#: Bytes of one word or variable that Linux takes.
LONGEST: Final = 131_000
#: Seconds that a module may take to be imported where it is checked.
IMPORT_S: Final = 120.0


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the agent finds the model.

    Attributes:
        root: Base URL for clients of Anthropic's API.
        key: What it sends as its key.
    """

    root: str
    key: str


def command(
    sample: Sample, ctx: AnyContext, options: Options, folder: Folder, endpoint: Endpoint
) -> Command:
    """What to run for a sample."""
    variables = environment(sample, ctx, options, folder, endpoint)
    if options.callable:
        words = ["agent", options.callable, str(folder.task), str(folder.reward)]
        argv, variables = function(words, variables)
    else:
        argv = words_of(options.command, values(sample, folder, endpoint))
        argv[0] = _absolute(argv[0])
    return Command(
        argv, variables, folder.work, options.timeout_s, options.grace_s, options.output_chars
    )


def function(words: list[str], variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Words and environment that call a Python function, imported as it is here."""
    paths = [str(Path(one or ".").absolute()) for one in sys.path]
    python = [sys.executable, "-P", FUNCTION, *words]
    return python, {**variables, "PYTHONPATH": os.pathsep.join(paths)}


def values(sample: Sample, folder: Folder, endpoint: Endpoint) -> dict[str, str]:
    """What stands for each placeholder."""
    return {
        "prompt": text_of(sample.prompt),
        "prompt_file": str(folder.prompt),
        "task_file": str(folder.task),
        "reward_file": str(folder.reward),
        "work_dir": str(folder.work),
        "here": str(Path.cwd()),
        "python": sys.executable,
        "base_url": f"{endpoint.root}/v1",
        "api_key": endpoint.key,
        "model": MODEL,
    }


def environment(
    sample: Sample, ctx: AnyContext, options: Options, folder: Folder, endpoint: Endpoint
) -> dict[str, str]:
    """The agent's whole environment."""
    prompt = text_of(sample.prompt)
    found = inherited(options) | {
        "OPENAI_BASE_URL": f"{endpoint.root}/v1",
        "OPENAI_API_BASE": f"{endpoint.root}/v1",
        "OPENAI_API_KEY": endpoint.key,
        "OPENAI_MODEL": MODEL,
        "ANTHROPIC_BASE_URL": endpoint.root,
        "ANTHROPIC_API_KEY": endpoint.key,
        "ANTHROPIC_MODEL": MODEL,
        # The model is on this machine, whatever way leads to others.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "TMPDIR": str(folder.temporary),
        "SLIME_TASK_FILE": str(folder.task),
        "SLIME_PROMPT_FILE": str(folder.prompt),
        "SLIME_REWARD_FILE": str(folder.reward),
        "SLIME_WORK_DIR": str(folder.work),
        "SLIME_SEED": str(ctx.seed),
        MARK: secrets.token_hex(16),
    }
    if len(prompt.encode(errors="surrogatepass")) < LONGEST and "\0" not in prompt:
        found["SLIME_PROMPT"] = prompt
    return found | {name: str(value) for name, value in options.env.items()}


def inherited(options: Options) -> dict[str, str]:
    """The variables that agents and reward functions inherit."""
    return {name: os.environ[name] for name in options.env_pass if name in os.environ}


def words_of(text: str, filled: Mapping[str, str]) -> list[str]:
    """The words of a command. They are parted first, so that a prompt is one word always."""
    return [_PLACE.sub(lambda m: filled.get(m[1], m[0]), word) for word in shlex.split(text)]


def check(options: Options) -> None:
    """Find out, before a run begins, whether its agent and its reward can be started.

    Raises:
        ConfigError: there is no such command, file or function.
    """
    if options.callable:
        check_function("callable", options.callable)
    elif options.command:
        _check_command(options.command)
    else:
        raise ConfigError(
            "agent_blackbox has no agent; name one with --agent-blackbox.command "
            "'{python} {here}/agent.py' or --agent-blackbox.callable module:function"
        )
    if options.reward not in (EXIT_STATUS, FILE):
        check_function("reward", options.reward)


@functools.cache
def check_function(option: str, name: str) -> None:
    """Import a function in a process of its own, which may take its time or crash.

    Raises:
        ConfigError: it cannot be imported, or called.
    """
    where = f"agent_blackbox.{option} is {name!r}"
    argv, variables = function(["check", name], dict(os.environ))
    try:
        done = subprocess.run(
            argv, env=variables, capture_output=True, text=True, timeout=IMPORT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{where}, and its import takes more than {IMPORT_S:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise ConfigError(f"{where}, and it cannot be imported: {lines[-1]}")


def _check_command(text: str) -> None:
    where = f"agent_blackbox.command is {text!r}"
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{where}, and cannot be parted into words: {error}") from None
    if not words:
        raise ConfigError(f"{where}, which has no words")
    for name in _PLACE.findall(text):
        if name not in PLACEHOLDERS and (near := suggestion(name, PLACEHOLDERS)):
            raise ConfigError(f"{where}, and there is no {{{name}}}{near}")
    program = words_of(words[0], {"python": sys.executable, "here": str(Path.cwd())})[0]
    _check_program(where, program)
    for word in words[1:]:
        path = Path(word)
        here = path.suffix in (".py", ".sh", ".js") and path.is_file()
        if here and not path.is_absolute():
            raise ConfigError(
                f"{where}, and agents begin in folders of their own: write {{here}}/{word}"
            )


def _check_program(where: str, program: str) -> None:
    if shutil.which(_absolute(program)) is not None:
        return
    path = Path(program)
    if "/" not in program:
        raise ConfigError(f"{where}, and there is no command {program!r} on PATH")
    if path.is_file():
        raise ConfigError(f"{where}, and {program} is not executable; chmod +x {program}")
    raise ConfigError(f"{where}, and there is no file {program}")


def _absolute(program: str) -> str:
    """A program that is named by its path, seen from where slime was started."""
    return str(Path(program).absolute()) if "/" in program else program
