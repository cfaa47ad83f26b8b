"""A new plugin's files are a function of its name, kind and author, and of nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core.scaffold import KINDS, files, read_kind
from slime_core.scaffold.kinds import TEMPLATES

COMMON = [".github/workflows/ci.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml"]

PACKAGE = ["__init__.py", "conformance.py", "options.py", "py.typed"]

#: Modules and data that a kind's package has besides.
MODULES = {
    "math": ["answers.py", "held_out.jsonl", "problems.py", "train.jsonl"],
    "multi-turn": ["episode.py", "game.py", "games.py", "held_out.jsonl", "train.jsonl"],
    "agent": ["agent.py", "answers.py", "held_out.jsonl", "shop.py", "tasks.py", "train.jsonl"],
    "search": [
        "answers.py",
        "episode.py",
        "held_out.jsonl",
        "index.py",
        "passages.jsonl",
        "questions.py",
        "tool.py",
        "train.jsonl",
    ],
    "loss": ["advantage.py", "loss.py"],
}

TESTS = {
    "math": ["test_answers.py", "test_hooks.py"],
    "multi-turn": ["test_episode.py", "test_game.py"],
    "agent": ["test_agent.py", "test_tasks.py"],
    "search": ["test_answers.py", "test_episode.py", "test_search.py"],
    "loss": ["test_advantage.py", "test_loss.py"],
}

HOOKS = {
    "math": {"data_source", "defaults", "eval_sets", "filter", "reward"},
    "multi-turn": {"data_source", "defaults", "eval_sets", "generate", "reward"},
    "agent": {"data_source", "defaults", "eval_sets", "generate", "reward"},
    "search": {"data_source", "defaults", "eval_sets", "generate", "reward"},
    "loss": {"advantage", "loss"},
}


def project(kind: str, **more: Any) -> dict[str, Any]:
    tree: dict[str, Any] = tomllib.loads(files("my_task", kind, **more)[Path("pyproject.toml")])
    return tree


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_these_files(kind: str) -> None:
    package = [f"slime_plugin_two_words/{name}" for name in (*MODULES[kind], *PACKAGE)]
    if kind == "loss":
        package.remove("slime_plugin_two_words/conformance.py")
    tests = [f"tests/{name}" for name in (*TESTS[kind], "test_options.py")]
    expected = sorted(map(Path, [*COMMON, *package, *tests]))
    assert list(files("two_words", kind)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_implements_these_hooks(kind: str) -> None:
    source = files("my_task", kind)[Path("slime_plugin_my_task/__init__.py")]
    found = re.findall(r"^@hookimpl\n(?:async )?def slime_(\w+)\(", source, re.MULTILINE)
    assert set(found) == {"options", "conformance", *HOOKS[kind]}
    assert len(found) == len(set(found))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_templates_is_left(kind: str) -> None:
    for path, text in files("two_words", kind).items():
        both = f"{path}\n{text}"
        assert not re.search(r"my.?task|MY_TASK|(?<!\$)\{\{|\.tmpl", both, re.IGNORECASE), path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path


@pytest.mark.parametrize("kind", KINDS)
def test_all_three_names_are_told_from_one(kind: str) -> None:
    tree = tomllib.loads(files("two_words", kind)[Path("pyproject.toml")])
    assert tree["project"]["name"] == "slime-plugin-two-words"
    assert tree["project"]["entry-points"] == {
        "slime.plugins": {"two_words": "slime_plugin_two_words"}
    }
    wheel = tree["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["slime_plugin_two_words"]}
    readme = files("two_words", kind)[Path("README.md")]
    for name in ("`slime-plugin-two-words`", "`slime_plugin_two_words`", "`two_words`"):
        assert re.search(rf"^\| {name} \|", readme, re.MULTILINE)


@pytest.mark.parametrize(
    ("kind", "requires"),
    [
        ("math", []),
        ("multi-turn", []),
        ("agent", ["aiohttp>=3.11"]),
        ("search", []),
        ("loss", []),
    ],
)
def test_each_kind_requires_the_contract_and_little_else(kind: str, requires: list[str]) -> None:
    tree = project(kind)["project"]
    assert tree["dependencies"] == ["slime-hookspecs>=0.1,<0.2", *requires]
    assert tree["optional-dependencies"] == {
        "dev": ["slime-hookspecs[testing]>=0.1,<0.2", "mypy>=1.15", "ruff>=0.9"]
    }


@pytest.mark.parametrize("kind", KINDS)
def test_continuous_integration_runs_all_that_the_readme_says(kind: str) -> None:
    contents = files("two_words", kind)
    workflow = contents[Path(".github/workflows/ci.yml")]
    steps = re.findall(r"^      - run: (.*)$", workflow, re.MULTILINE)
    assert steps == [
        'pip install -e ".[dev]"',
        *(["pip install torch"] if kind == "loss" else []),
        "ruff check .",
        "ruff format --check .",
        "mypy slime_plugin_two_words tests",
        "pytest",
        "slime-conformance two_words --json conformance.json",
    ]
    readme = contents[Path("README.md")]
    for command in (*steps[-6:-1], "slime-conformance two_words", "python -m build"):
        assert command in readme
    assert "${{ matrix.python }}" in workflow


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_speaks_of_files_that_are_there(kind: str) -> None:
    contents = files("two_words", kind)
    told = read_kind(kind)
    named = {
        Path("slime_plugin_two_words") / name for name in re.findall(r"`(\w+\.\w+)`", told.edit)
    }
    assert named
    assert named - {Path("slime_plugin_two_words/engine.openai_traces")} <= set(contents)
    assert Path(told.first.replace("my_task", "two_words")) in contents


@pytest.mark.parametrize(
    ("author", "authors", "holder"),
    [
        ("", None, "the authors of slime-plugin-my-task"),
        ("Ann Example", [{"name": "Ann Example"}], "Ann Example"),
        (
            "Ann Example <ann@example.org>",
            [{"name": "Ann Example", "email": "ann@example.org"}],
            "Ann Example",
        ),
        ('Ann "A" \\ Ö', [{"name": 'Ann "A" \\ Ö'}], 'Ann "A" \\ Ö'),
        ("my_task {{summary}}", [{"name": "my_task {{summary}}"}], "my_task {{summary}}"),
    ],
)
def test_the_author_is_named_where_there_is_one(
    author: str, authors: list[dict[str, str]] | None, holder: str
) -> None:
    assert project("math", author=author)["project"].get("authors") == authors
    licence = files("my_task", "math", author)[Path("LICENSE")]
    assert licence.startswith(f"Copyright {holder}\n")


@pytest.mark.parametrize("author", ["<ann@example.org>", "Ann\nExample", " "])
def test_an_author_without_a_name_is_refused(author: str) -> None:
    with pytest.raises(ConfigError, match=r"--author .*write 'Name' or 'Name <name@example\.org>'"):
        files("my_task", "math", author)


def test_an_unknown_kind_is_refused_with_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError) as refused:
        read_kind("multiturn")
    lines = str(refused.value).splitlines()
    assert lines[0] == "--kind multiturn: no such kind; did you mean 'multi-turn'?"
    assert [line.split()[0] for line in lines[1:]] == list(KINDS)


def test_each_folder_of_templates_is_a_kind_or_common() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {"common", *KINDS}


def test_the_documentation_lists_the_kinds() -> None:
    text = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| `new ")]
    assert all(kind in row for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_continuous_integration_is_a_workflow_on_each_change(kind: str) -> None:
    import yaml

    workflow = yaml.safe_load(files("two_words", kind)[Path(".github/workflows/ci.yml")])
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True] == ["push", "pull_request"]
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"] == {"python": ["3.11", "3.12"]}
    assert [next(iter(step.values())) for step in job["steps"] if "uses" in step] == [
        "actions/checkout@v4",
        "actions/setup-python@v5",
        "actions/upload-artifact@v4",
    ]


def test_the_same_question_gives_the_same_files() -> None:
    assert files("my_task", "search", "Ann") == files("my_task", "search", "Ann")
