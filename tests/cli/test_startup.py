"""``slime --help`` and ``slime plugins list`` come at once: they import only what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("torch", "ray", "sglang", "sglang_router", "transformers", "numpy", "rich", "megatron"),
    *("msgspec", "pluggy", "slime_hookspecs", "packaging", "hashlib", "asyncio"),
}


def imported(*arguments: str, path: str = "") -> set[str]:
    """Modules that are there after ``slime`` ran with these arguments."""
    program = (
        "import sys\n"
        "from slime_core.cli.main import main\n"
        f"main({list(arguments)!r})\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "MODULES"
    return set(last[1:])


def install(folder: Path, name: str, requires: str) -> None:
    info = folder / f"slime_plugin_{name}-1.0.dist-info"
    info.mkdir()
    (folder / f"slime_plugin_{name}.py").write_text("raise RuntimeError('imported')\n")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: slime-plugin-{name}\nVersion: 1.0\nRequires-Dist: {requires}"
    )
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = slime_plugin_{name}\n")


def plugins_in(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith(("slime_plugin", "slime_core.builtin"))}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), (), ("plugins", "--help")])
def test_asking_for_help_imports_no_engine_no_plugin_and_not_even_the_contract(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    install(tmp_path, "one", "slime-hookspecs>=0.1,<0.2")
    modules = imported(*arguments, path=str(tmp_path))
    assert "slime_core.cli.main" in modules
    assert not modules & (HEAVY | {"importlib_metadata"})
    assert plugins_in(modules) == set()


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("list", "--all")])
def test_the_list_of_plugins_imports_none_of_them_and_not_even_the_contract(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        install(tmp_path, name, "slime-hookspecs<0.2,>=0.1")
    modules = imported("plugins", *arguments, path=str(tmp_path))
    assert "slime_core.plugins.catalog" in modules
    assert not modules & HEAVY
    assert plugins_in(modules) == set()


def test_the_grammar_of_requirements_is_loaded_for_one_that_is_not_spelled_plainly(
    tmp_path: Path,
) -> None:
    install(tmp_path, "one", "slime-hookspecs~=0.1.0")
    modules = imported("plugins", "list", path=str(tmp_path))
    assert "packaging.requirements" in modules
    assert not modules & {"torch", "ray", "sglang", "transformers", "numpy", "rich", "megatron"}
    assert plugins_in(modules) == set()


def test_the_help_of_a_plugin_imports_that_plugin_and_no_engine() -> None:
    modules = imported("--plugin", "math_dapo", "--help")
    assert "slime_plugin_math_dapo" in modules
    assert not modules & {"torch", "ray", "sglang", "transformers", "megatron"}


def test_rollouts_are_read_without_engine_tokenizer_or_plugin(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    row = '{"index": 1, "group_index": 0, "prompt": {}, "trace": []}\n'
    (tmp_path / "rollouts" / "step_000000.jsonl").write_text(row)
    engines = {"torch", "ray", "sglang", "transformers", "megatron", "numpy", "tokenizers"}
    modules = imported("rollouts", str(tmp_path))
    assert "slime_core.cli.rollouts.summary" in modules
    assert not modules & (engines | {"rich", "pyarrow", "zstandard"})
    assert plugins_in(modules) == set()
    assert not imported("rollouts", str(tmp_path), "--sample", "1") & engines


def test_a_misspelled_option_is_refused_without_importing_an_engine() -> None:
    modules = imported("--stepz", "3")
    assert not modules & {"torch", "ray", "sglang", "transformers", "numpy", "rich"}
