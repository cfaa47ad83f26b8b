"""What the built-in and first-party plugins have in common."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILTIN = sorted(file.stem for file in (ROOT / "slime_core" / "builtin").glob("[!_]*.py"))

FOLDERS = ["plugins/math_dapo", "plugins/rejection_sampling", "plugins/sft", "slime_core/builtin"]


def test_built_in_plugins_import_no_engine_until_they_are_called() -> None:
    modules = ", ".join(f"slime_core.builtin.{name}" for name in BUILTIN)
    code = (
        f"import {modules}, slime_plugin_math_dapo, slime_plugin_sft, sys;"
        "print({'torch', 'ray', 'sglang', 'numpy', 'sympy'} & set(sys.modules) or 'none')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "none"


@pytest.mark.parametrize("folder", FOLDERS)
def test_plugins_import_the_contract_and_never_the_core(folder: str) -> None:
    sources = [p for p in (ROOT / folder).rglob("*.py") if "tests" not in p.parts]
    assert sources
    assert [p for p in sources if "import slime_core" in p.read_text()] == []
    assert [p for p in sources if "from slime_core" in p.read_text()] == []
