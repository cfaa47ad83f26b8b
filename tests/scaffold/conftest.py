"""Generated plugins, one of each kind: as folders, as wheels, and installed beside nothing else."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from slime_core.scaffold import KINDS

sys.path.insert(0, str(Path(__file__).parent))

from scaffold_support import ROOT, Made, make_all, succeed


@pytest.fixture(scope="session")
def all_made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """One plugin of each kind, by kind. Read them, never write to them."""
    return make_all(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def wheels(all_made: dict[str, Made], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels of the contract and of all generated plugins."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = [ROOT / "hookspecs", *(made.folder for made in all_made.values())]
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    succeed([*pip, "--wheel-dir", folder, *sources], ROOT)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def clean(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment with the plugins, what they ask for, and nothing of slime-rl."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    contract, *plugins = sorted(wheels, key=lambda wheel: "hookspecs" not in wheel.name)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile"]
    kept = ["--no-index", "--find-links", Path(sys.prefix) / "wheelhouse"]  # by `make setup`
    succeed([*pip, *kept, f"{contract}[testing]", *plugins], folder)
    return folder / "bin"


@pytest.fixture(scope="session")
def beside_slime(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a process that has all plugins installed beside slime."""
    site = tmp_path_factory.mktemp("site")
    plugins = [wheel for wheel in wheels if "hookspecs" not in wheel.name]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    succeed([*pip, *plugins], site)
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, all_made: dict[str, Made]) -> Made:
    """A plugin of each kind in turn."""
    return all_made[request.param]
