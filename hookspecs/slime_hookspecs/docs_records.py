"""Writes the page of all that hooks are given and give back, from the types themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, final

import slime_hookspecs
from slime_hookspecs import errors
from slime_hookspecs.contract import API_VERSION
from slime_hookspecs.docs_examples import EXAMPLES
from slime_hookspecs.docs_text import (
    code,
    comments,
    doc_of,
    first_sentence,
    flat,
    table,
    texts_of_names,
)
from slime_hookspecs.export import HELPERS, contract


@final
@dataclass(frozen=True, slots=True)
class Chapter:
    """What a kind of hook needs.

    Attributes:
        title: Its title.
        lead: What holds for all of it.
        names: What is told of, in this order.
    """

    title: str
    lead: str
    names: tuple[str, ...] = ()


CHAPTERS: Final = (
    Chapter(
        "Rewards",
        "A reward reads a finished `Sample`: most need no more than its `response` and the label "
        "of its prompt.",
        ("Sample", "Prompt", "Message", "Reward", "SampleError", "Context", "RunInfo"),
    ),
    Chapter(
        "Data",
        "A data source gives prompts, and goes on where a checkpoint was. `slime_hookspecs."
        "datasets` has what most tasks need for that.",
        ("DataSource", "EvalSet", "slime_hookspecs.datasets", "PromptSource", "Row"),
    ),
    Chapter(
        "Episodes",
        "A plugin that generates fills the sample's `Trace` through its `Engine`, turn by turn.",
        ("Engine", "Sampling", "StopReason", "Trace", "Segment", "NextGenerate", "NextReward"),
    ),
    Chapter(
        "Groups",
        "All samples of a prompt are a group: what filters, group rewards and advantages see.",
        ("Group", "Verdict", "KEEP"),
    ),
    Chapter(
        "Training",
        "Trainer hooks see a packed micro-batch. Tensors are torch's.",
        ("Batch", "BatchField", "Policy", "Loss"),
    ),
    Chapter(
        "Observers",
        "What observers and trackers are told. None of it changes a run.",
        ("Rollout", "TrainStepEvent", "WeightsEvent", "CheckpointEvent", "RunEndEvent", "Tracker"),
    ),
    Chapter(
        "Plugin options",
        "A dataclass, each field with a default and with help. Its `__post_init__` raises "
        "`ConfigError` for a value that cannot be right.",
    ),
    Chapter(
        "Errors",
        "Raise the nearest, with a text that says who, where, what was found and what would be "
        "right: where it stops a run, that is all that a user sees. Any other exception is shown "
        "with its traceback, as a mistake of the plugin. [Hooks](hooks.md) says what a failure "
        "of each costs.",
    ),
    Chapter(
        "Conformance suite",
        "What a plugin says of itself. [Testing a plugin](testing-a-plugin.md) shows the suite.",
        ("Conformance", "Example", "Capabilities"),
    ),
    Chapter(
        "Test kit",
        "`slime_hookspecs.testing.kit`, for tests of your own; examples are in "
        "[Testing a plugin](testing-a-plugin.md#the-test-kit).",
    ),
)

#: Who makes what plugins do not make themselves, and what they do.
MADE_BY: Final = {
    "Sample": "Made by the core; a plugin that returns siblings makes those.",
    "Prompt": "Made by data sources and held-out sets.",
    "Reward": "Made by rewards; a plain number will do where there are no metrics.",
    "SampleError": "Made by the core, from what a hook raised.",
    "Context": "Made by the core for each call.",
    "RunInfo": "Made by the core, once.",
    "DataSource": "Written by plugins, or a `PromptSource`.",
    "EvalSet": "Made by plugins; `held_out` and `greedy` make the usual ones.",
    "Engine": "Given by the core, one for each sample; `ScriptedEngine` in tests.",
    "Sampling": "Made by plugins, where the run's own sampling is not what they want.",
    "Trace": "Made by the core, empty; filled by the engine and the plugin.",
    "Segment": "Made by the trace.",
    "Group": "Made by the core.",
    "Verdict": "Made by filters.",
    "BatchField": "Made by plugins.",
    "Policy": "Given by the core.",
    "Loss": "Made by losses.",
    "Rollout": "Made by the core.",
    "Tracker": "Written by plugins.",
    "Conformance": "Made by plugins.",
}

#: Who sets each field of a sample, which passes through the most hands.
SET_BY: Final = {
    "index": "the core",
    "group_index": "the core",
    "prompt": "the data source",
    "trace": "`slime_generate`, through the engine",
    "stop": "`slime_generate`",
    "response": "the core",
    "rewards": "the core, from `slime_reward` and `slime_group_reward`",
    "reward": "the core",
    "advantage": "the core, from `slime_advantage`",
    "fields": "rollout hooks",
    "metadata": "rollout hooks, but for a `def slime_reward`: it runs in another process",
    "error": "the core",
    "provenance": "the core",
    "rejected": "the core, from `slime_filter`",
}

#: Types of options, each with a value in TOML and on the command line; ``None`` is none there.
OPTION_TYPES: Final[tuple[tuple[str, str, str | None], ...]] = (
    ("bool", "true", "true"),
    ("int", "3", "3"),
    ("float", "1e-3", "1e-3"),
    ("str", '"a text"', "'a text'"),
    ("Literal['easy', 'hard']", '"easy"', "easy"),
    ("Path", '"data/train.jsonl"', "data/train.jsonl"),
    ("int | None", "3", "3"),
    ("list[str]", '["a", "b"]', "a"),
    ("dict[str, float]", "{a = 1.0}", None),
    ("dataclass", "{depth = 1}", None),
)

#: Functions in the order in which a plugin needs them.
FIRST: Final = ("read_rows", "messages", "label", "held_out", "greedy", "accuracy", "excerpt")

CONTRACT: Final = contract()
TEXTS: Final = texts_of_names()


def records() -> str:
    """The whole page."""
    parts = [
        "# Records",
        f"What hooks are given and give back, in contract version {API_VERSION}. Written by "
        "`python -m slime_hookspecs.docs --records` from the types and their docstrings. "
        "[Hooks](hooks.md) says when each hook is called.",
        "All of it is imported from `slime_hookspecs`, unless another module is named. The "
        "examples are run by tests, one after the other. A field without a default must be given.",
        _which_hook(),
        *(part for chapter in CHAPTERS for part in _chapter(chapter)),
    ]
    return "\n\n".join(parts) + "\n"


def _which_hook() -> str:
    """What each hook is given and gives back."""
    rows = []
    for name, told in CONTRACT["hooks"].items():
        given = [f"{argument}: {_linked(kind)}" for argument, kind in told["arguments"].items()]
        rows.append([f"[`{name}`](hooks.md#{name})", ", ".join(given), _linked(told["returns"])])
    return table(("hook", "is given", "gives back"), rows)


def _linked(written: str) -> str:
    """A type with each record in it linked to its section."""
    written = written.replace("AnyContext", "Context").replace("'", "").replace("[", "\\[")
    shown = {name for chapter in CHAPTERS for name in chapter.names}
    return re.sub(
        r"\w+", lambda w: f"[{w[0]}](#{w[0].lower()})" if w[0] in shown else w[0], written
    )


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"## {chapter.title}"
    yield chapter.lead
    yield from _OWN.get(chapter.title, list)()
    yield from _example(chapter.title)
    for name in chapter.names:
        yield f"### {name}"
        yield from _section(name)
        yield from _example(name)


def _example(name: str) -> Iterator[str]:
    if name in EXAMPLES:
        yield f"```python\n{EXAMPLES[name].strip()}\n```"


def _section(name: str) -> Iterator[str]:
    if name in CONTRACT["records"]:
        yield from _record(getattr(slime_hookspecs, name), CONTRACT["records"][name])
    elif name in CONTRACT["interfaces"]:
        yield from _interface(getattr(slime_hookspecs, name), CONTRACT["interfaces"][name])
    elif name in HELPERS:
        yield _functions(name)
    elif name in CONTRACT["helpers"]["slime_hookspecs.datasets"]:
        told = CONTRACT["helpers"]["slime_hookspecs.datasets"][name]
        kind = getattr(import_module("slime_hookspecs.datasets"), name)
        yield from _record(kind, told) if "fields" in told else _interface(kind, told)
    else:
        yield from _OTHER[name]()


def _record(kind: Any, told: Mapping[str, Any]) -> Iterator[str]:
    doc = doc_of(kind)
    frozen = "Frozen." if told["frozen"] else ""
    yield " ".join(filter(None, (doc.text, MADE_BY.get(kind.__name__), frozen)))
    head, rows = ["field", "type", "default", "meaning"], []
    for name, field in told["fields"].items():
        row = [code(name), code(field["type"]), _default(field)]
        rows.append([*row, doc.attributes[name]])
        if kind is slime_hookspecs.Sample:
            rows[-1].append(SET_BY[name])
    yield table([*head, "set by"] if kind is slime_hookspecs.Sample else head, rows)
    if told["members"]:
        yield _members(kind, told["members"])


def _default(field: Mapping[str, str]) -> str:
    default = field.get("default", "")
    if default in set(slime_hookspecs.StopReason):
        return code(f"StopReason.{default.upper()}")
    return default if default == "made anew" else code(default.replace("dict()", "{}"))


def _interface(kind: Any, told: Mapping[str, str]) -> Iterator[str]:
    doc = doc_of(kind)
    made = {name: written for name, written in told.items() if name == "__init__"}
    yield " ".join(filter(None, (doc.text, MADE_BY.get(kind.__name__))))
    if made:
        yield table(("argument", "meaning"), [[code(k), v] for k, v in doc.attributes.items()])
    yield _members(kind, {k: v for k, v in told.items() if k not in made})


def _members(kind: Any, told: Mapping[str, str]) -> str:
    """Properties and methods, each with the type that it gives."""
    rows = []
    for name, written in told.items():
        about = inspect.getattr_static(kind, name)
        about = getattr(about, "__func__", getattr(about, "func", about))
        shown = f"{kind.__name__}.{name}" if written.startswith("classmethod") else name
        rows.append([*map(code, _called(shown, written)), doc_of(about).whole])
    return table(("member", "gives", "meaning"), rows)


def _called(name: str, written: str) -> tuple[str, str]:
    """How a member is used, and the type that it gives."""
    before, _, gives = written.rpartition(" -> ")
    if before == "property":
        return name, gives
    start, _, arguments = before.partition("def ")
    inner = re.sub(r"^(self|cls)(, )?", "", arguments[1:-1])
    return f"{start.replace('classmethod ', '')}{name}({inner})", gives


def _functions(module: str) -> str:
    rows = []
    told = CONTRACT["helpers"][module]
    for name in [*(name for name in FIRST if name in told), *sorted(told.keys() - set(FIRST))]:
        value = getattr(import_module(module), name)
        if inspect.isfunction(value):
            rows.append([*map(code, _called(name, told[name])), doc_of(value).whole])
    return table(("function", "gives", "meaning"), rows)


def _stop_reason() -> Iterator[str]:
    yield first_sentence(slime_hookspecs.StopReason)
    meanings = comments(slime_hookspecs.StopReason)
    values = CONTRACT["enums"]["StopReason"]
    yield table(
        ("member", "value", "meaning"),
        [[code(name), code(value), meanings[name]] for name, value in values.items()],
    )


def _alias(name: str, more: str = "") -> Iterator[str]:
    yield f"`{CONTRACT['aliases'][name]}`".replace("'", "")
    yield flat(TEXTS.get(name, more))


def _batch() -> Iterator[str]:
    text, *keys = re.split(r"^\* ", TEXTS["Batch"], flags=re.M)
    yield from (flat(part) for part in text.strip().split("\n\n"))
    last, _, after = keys[-1].partition("\n\n")
    rows = [_key(key) for key in (*keys[:-1], last)]
    yield table(("key", "type", "meaning"), rows)
    yield flat(after[:1].upper() + after[1:])


def _key(text: str) -> list[str]:
    name, kind, shape, meaning = re.fullmatch(
        r"``(\w+)``\s+(\w+) ``(\[\w+\])``,?\s*(.*)", text.strip(), re.S
    ).groups()  # type: ignore[union-attr]
    return [code(name), code(f"{kind} {shape}"), flat(meaning)]


def _keep() -> Iterator[str]:
    yield f"`{slime_hookspecs.KEEP}`"
    yield flat(TEXTS["KEEP"])


def _options() -> Iterator[str]:
    rows = [[code(kind), code(toml), code(line or "")] for kind, toml, line in OPTION_TYPES]
    yield table(("type", "in TOML, `[plugin.my_task]`", "VALUE of `--my-task.option VALUE`"), rows)
    yield (
        "The flag of a list is repeated for each of its values; tables have none. Types combine, "
        "as in `list[Path]` or `dict[str, list[int]]`. Lists and tables are JSON in the "
        "environment variable, `SLIME_MY_TASK_OPTION`. An option with "
        '`metadata={"secret": True}` is taken from there only, and is never written.'
    )
    yield (
        "`slime --plugin NAME --help` lists the options of a plugin with their defaults, "
        "`--dry-run` what a run has for them."
    )
    yield _functions("slime_hookspecs.options")


def _errors() -> Iterator[str]:
    tree = re.search(r"::\n\n(.*)", inspect.getdoc(errors) or "", re.S)
    yield f"```text\n{inspect.cleandoc(tree[1]) if tree else ''}\n```"
    yield _functions("slime_hookspecs.spelling")


def _capabilities() -> Iterator[str]:
    rows = [[code(name), meaning] for name, meaning in CONTRACT["capabilities"].items()]
    yield table(("capability", "what a plugin says with it"), rows)


def _kit() -> Iterator[str]:
    kit = import_module("slime_hookspecs.testing.kit")
    rows = [[code(name), first_sentence(getattr(kit, name))] for name in kit.__all__]
    yield table(("name", "what it is"), rows)


#: What a chapter has before its records.
_OWN: Final[Mapping[str, Any]] = {"Plugin options": _options, "Errors": _errors, "Test kit": _kit}

#: Sections that are neither records nor interfaces.
_OTHER: Final[Mapping[str, Any]] = {
    "StopReason": _stop_reason,
    "Message": lambda: _alias("Message"),
    "Example": lambda: _alias("Example"),
    "NextGenerate": lambda: _alias("NextGenerate", "What a wrapper of generation awaits."),
    "NextReward": lambda: _alias("NextReward", "What a wrapper of a reward awaits."),
    "Batch": _batch,
    "KEEP": _keep,
    "Capabilities": _capabilities,
}
