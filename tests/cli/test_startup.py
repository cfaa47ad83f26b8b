"""``slime --help`` comes at once: it imports nothing that it does not show."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    *("torch", "ray", "sglang", "sglang_router", "transformers", "numpy", "rich", "megatron"),
    *("msgspec", "pluggy", "importlib_metadata", "slime_hookspecs"),
)


def imported(*arguments: str) -> set[str]:
    """Top-level modules that are there after ``slime`` ran with these arguments."""
    program = (
        "import sys\n"
        "from slime_core.cli.main import main\n"
        f"main({list(arguments)!r})\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "MODULES"
    return set(last[1:])


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ()])
def test_asking_for_help_imports_no_engine_no_plugin_and_not_even_the_contract(
    arguments: tuple[str, ...],
) -> None:
    modules = imported(*arguments)
    assert "slime_core" in modules
    assert not modules & set(HEAVY)
    assert not [name for name in modules if name.startswith("slime_plugin")]


def test_the_help_of_a_plugin_imports_that_plugin_and_no_engine() -> None:
    modules = imported("--plugin", "math_dapo", "--help")
    assert "slime_plugin_math_dapo" in modules
    assert not modules & {"torch", "ray", "sglang", "transformers", "megatron"}


def test_a_misspelled_option_is_refused_without_importing_an_engine() -> None:
    modules = imported("--stepz", "3")
    assert not modules & {"torch", "ray", "sglang", "transformers", "numpy", "rich"}
