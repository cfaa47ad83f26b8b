"""The zoo, made importable: each culprit's module with the dist-info that an installer leaves."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest

ZOO = Path(__file__).parents[3] / "tests" / "zoo"


@final
@dataclass(frozen=True, slots=True)
class Culprit:
    """A deliberately broken plugin.

    Attributes:
        folder: Where its pyproject.toml is.
        project: The table ``[project]``.
        caught_by: Name of the check that catches it.
        claims_from: A distribution that has the same entry points, if any.
    """

    folder: Path
    project: dict[str, Any]
    caught_by: str
    claims_from: str | None = None

    @property
    def spelling(self) -> str:
        """How to name it exactly."""
        return f"{self.project['name']}:{next(iter(self.entries))}"

    @property
    def entries(self) -> dict[str, str]:
        """Its entry points."""
        found: dict[str, str] = self.project["entry-points"]["slime.plugins"]
        return found


def culprits() -> list[Culprit]:
    """All culprits of the zoo."""
    tables = {p.parent: tomllib.loads(p.read_text()) for p in sorted(ZOO.glob("*/pyproject.toml"))}
    return [
        Culprit(folder, table["project"], **table["tool"]["slime-zoo"])
        for folder, table in tables.items()
    ]


def install(culprit: Culprit, site: Path) -> None:
    """Copy its modules into a folder, with metadata."""
    for source in culprit.folder.glob("*.py"):
        (site / source.name).write_bytes(source.read_bytes())
    for name in filter(None, (culprit.project["name"], culprit.claims_from)):
        _write_metadata(site, {**culprit.project, "name": name}, culprit.entries)


def _write_metadata(site: Path, project: dict[str, Any], entries: dict[str, str]) -> None:
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = [f"Name: {project['name']}", f"Version: {project['version']}"]
    head += [f"Requires-Dist: {one}" for one in project["dependencies"]]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *head, ""]))
    points = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[slime.plugins]", *points, ""]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a culprit, for tests that take one."""
    if "culprit" in metafunc.fixturenames:
        found = culprits()
        metafunc.parametrize("culprit", found, ids=[one.folder.name for one in found])


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Culprit]]:
    """All culprits by folder name, installed in a folder on ``sys.path``."""
    site = tmp_path_factory.mktemp("zoo")
    found = {culprit.folder.name: culprit for culprit in culprits()}
    for culprit in found.values():
        install(culprit, site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield found
