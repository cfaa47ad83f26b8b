"""The command line of a run: flags read off the settings, and what they were given."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from slime_core.config.convert import convert
from slime_core.config.fail import config_error, did_you_mean, nearest
from slime_core.config.files import read_layer
from slime_core.config.layers import Layer, Raw
from slime_core.config.passthrough import split
from slime_core.config.settings import (
    COMMAND_LINE,
    PASS_THROUGH,
    Key,
    Section,
    Setting,
    sections,
    settings,
)

USAGE: Final = """\
slime --plugin NAME --model DIR [options]
       slime --config RUN.toml [options]
       slime --resume RUN [options]
       slime doctor [--json]
       slime plugins COMMAND [options]
       slime rollouts RUN [options]
       slime demo [options]
       slime --help | --version"""

EPILOG: Final = """\
options of the engines, passed on as they are:
  --sglang-OPTION VALUE     any option of SGLang's server, e.g. --sglang-mem-fraction-static 0.5
  --router-OPTION VALUE     any option of the SGLang router
  --megatron-FIELD VALUE    any field of Megatron's TransformerConfig, DistributedDataParallelConfig
                            or OptimizerConfig, e.g. --megatron-lr 1e-4

options of plugins:
  --PLUGIN.FIELD VALUE      e.g. --math-dapo.task addition; slime --plugin NAME --help lists them

A weaker source yields to a stronger one: core defaults, defaults of plugins, the TOML file (on
--resume: the saved configuration instead of these three), environment variables
SLIME_<PLUGIN>_<FIELD> for options of plugins, the command line. Secret options are taken from the
environment only. --use and --reward-weight are merged by name; any other list is replaced."""

_RUN_FLAGS: Final = ("--config", "--resume", "--dry-run", "--help", "--version")


#: Words that say no; the flags have it in front, as in ``--no-colocate``.
_DENIALS: Final = frozenset({"no", "not", "without", "disable", "skip"})

_METAVARS: Final[dict[Any, str]] = {
    int: "N",
    int | None: "N",
    float: "X",
    Path | None: "DIR",
    str | None: "NAME",
    list[str]: "TEXT",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        said = message.removeprefix("argument ")
        plain = said.replace("ignored explicit argument", "takes no value, found")
        raise config_error(f"command line: {plain}")


def _formatter(prog: str) -> argparse.RawDescriptionHelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=100)


def _help(setting: Setting) -> str:
    choices = f"; {' | '.join(setting.choices)}" if setting.choices else ""
    return f"{setting.help}{choices}{_default(setting.default)}".replace("%", "%%")


def _default(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return f" (default: {'on' if value else 'off'})"
    return f" (default: {value:g})" if isinstance(value, float) else f" (default: {value})"


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "CHOICE"
    return setting.metavar or _METAVARS[setting.type]


def _add(group: Any, setting: Setting) -> None:
    dest = ".".join(setting.key)
    common = {"dest": dest, "help": _help(setting), "default": argparse.SUPPRESS}
    if setting.type is bool:
        group.add_argument(setting.flag, action=argparse.BooleanOptionalAction, **common)
    elif setting.const:
        optional = {"nargs": "?", "const": setting.const, "metavar": _metavar(setting)}
        group.add_argument(setting.flag, **optional, **common)
    else:
        action = "append" if setting.is_list else "store"
        group.add_argument(setting.flag, action=action, metavar=_metavar(setting), **common)


def _add_section(parser: argparse.ArgumentParser, section: Section) -> None:
    title = f"{section.name} - {section.title.rstrip('.')}" if section.name else "run"
    group = parser.add_argument_group(title)
    if not section.name:
        group.add_argument("--config", metavar="FILE", help="TOML file of settings")
        group.add_argument("--resume", metavar="RUN", help="run directory to continue")
        group.add_argument(
            "--dry-run", action="store_true", help="show the run and check it; start nothing"
        )
    for setting in section.settings:
        _add(group, setting)


def parser() -> argparse.ArgumentParser:
    """The parser of every flag that the core owns."""
    made = _Parser(
        prog="slime", usage=USAGE, epilog=EPILOG, add_help=False, allow_abbrev=False,
        description="RL post-training of language models.", formatter_class=_formatter,
    )  # fmt: skip
    for section in sections():
        _add_section(made, section)
    other = made.add_argument_group("other")
    other.add_argument("-h", "--help", action="store_true", help="show this help")
    other.add_argument("--version", action="store_true", help="show the version")
    return made


def flags() -> list[str]:
    """Every flag that the core owns, with the ``--no-`` forms."""
    return [*_RUN_FLAGS, *(s.flag for s in settings().values()), *negated()]


def negated() -> list[str]:
    """The ``--no-`` forms of the core's switches."""
    return [f"--no-{s.flag[2:]}" for s in settings().values() if s.type is bool]


def _unknown(token: str) -> Exception:
    name = token.partition("=")[0]
    if not name.startswith("-"):
        hint = _switch_hint(token) or did_you_mean(token, ("doctor", "demo", "plugins"))
        return config_error(f'command line: "{token}" belongs to no option{hint}')
    no = "no-" if name.startswith("--no-") else ""
    head, dash, tail = name[2:].removeprefix(no).partition("-")
    table = nearest(head, PASS_THROUGH, cutoff=0.8) if dash else None
    hint = f"; did you mean --{no}{table}-{tail}?" if table else _nearest_flag(name)
    return config_error(f"command line: {name} is not an option{hint}")


def _nearest_flag(name: str) -> str:
    """The flag that was probably meant; never the positive form to a name that says no."""
    words = name[2:].split("-")
    if not _DENIALS.intersection(words):
        return did_you_mean(name, flags())
    meant = "-".join(word for word in words if word not in _DENIALS)
    setting = next((s for s in settings().values() if s.flag == f"--{meant}"), None)
    if setting is not None and setting.type is not bool:
        return f"; --{meant} takes a value and has no negative form"
    return did_you_mean(f"--no-{meant}", negated())


def _switch_hint(token: str) -> str:
    """What to say to the value of a switch, which takes none."""
    if token.lower() not in ("true", "false", "on", "off", "yes", "no"):
        return ""
    return "; a switch is --NAME or --no-NAME, without a value"


def _typed(found: argparse.Namespace) -> dict[Key, Any]:
    named = {tuple(name.split(".")): value for name, value in vars(found).items()}
    return {k: convert(k, v, COMMAND_LINE) for k, v in named.items() if k in settings()}


def _path(flag: str, value: str | None) -> Path | None:
    if value == "":
        raise config_error(f"{flag} (command line): is empty")
    return None if value is None else Path(value).expanduser()


def _check_resume(found: argparse.Namespace, values: Mapping[Key, Any]) -> None:
    other = "--config" if found.config is not None else "--run-dir"
    if found.resume is not None and (found.config is not None or ("run_dir",) in values):
        raise config_error(
            f"--resume and {other} (command line): a resumed run goes on in its own folder, "
            f"with its saved configuration; leave out {other}"
        )


def parse(argv: Sequence[str]) -> Raw:
    """What a command line asks for; reads the TOML file that it names.

    Raises:
        ConfigError: An option is unknown, lacks its value, or has a wrong one.
    """
    core, raw_options = split(argv)
    found, unknown = parser().parse_known_args(core)
    if found.help:
        lists: dict[Key, Any] = {
            (name,): getattr(found, name, []) for name in ("plugins", "block", "trust")
        }
        return Raw((Layer(COMMAND_LINE, lists),), help=True)
    if unknown:
        raise _unknown(unknown[0])
    resume, file = _path("--resume", found.resume), _path("--config", found.config)
    own = Layer(COMMAND_LINE, {**_typed(found), **raw_options})
    _check_resume(found, own.values)
    layers = (read_layer(file), own) if file else (own,)
    return Raw(layers, resume, found.dry_run, version=found.version)
