"""What the README shows works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """The one code block of a language that contains some text."""
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.S) if containing in b]
    assert len(found) == 1, f"{len(found)} {language} blocks contain {containing!r}"
    return found[0]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The README's plugin, as an installed distribution on a folder for PYTHONPATH."""
    project = tomllib.loads(block("toml", "entry-points"))["project"]
    entries = project["entry-points"]["slime.plugins"]
    info = tmp_path / "site" / f"slime_plugin_reverse-{project['version']}.dist-info"
    info.mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {d}\n" for d in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n{requires}"
    )
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{lines}")
    (info.parent / "slime_plugin_reverse.py").write_text(block("python", "class Numbers"))
    return info.parent


def test_the_first_plugin_is_found_bound_and_planned(
    plugin: Path, tiny_model: Callable[[str], Path], tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "slime_core.cli", "--plugin", "reverse", "--dry-run"),
            *("--model", str(tiny_model("qwen3"))),
        ],
        env={**os.environ, "PYTHONPATH": str(plugin)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "slime-plugin-reverse" in done.stdout


def test_every_page_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [x for x in links if "://" not in x and not (ROOT / x).exists()]
    assert not missing
