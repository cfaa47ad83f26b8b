"""Distributions made of a few files, as an installer would have left them."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

API = "slime-hookspecs>=0.1,<0.2"

Install = Callable[..., None]


class Site:
    """A folder on ``sys.path`` that distributions are installed into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def install(
        self,
        distribution: str,
        version: str = "1.0",
        *,
        plugins: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        requires: Sequence[str] = (API,),
        direct_url: Mapping[str, Any] | None = None,
        metadata: bool = True,
    ) -> Path:
        """Write files and dist-info, and answer with the latter's folder."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        texts = {name: dedent(text) for name, text in (files or {}).items()}
        head = [f"Name: {distribution}", f"Version: {version}"]
        head += [f"Requires-Dist: {requirement}" for requirement in requires]
        points = [f"{name} = {value}" for name, value in (plugins or {}).items()]
        texts[f"{info.name}/entry_points.txt"] = "\n".join(["[slime.plugins]", *points, ""])
        if metadata:
            texts[f"{info.name}/METADATA"] = "\n".join(["Metadata-Version: 2.1", *head, ""])
        if direct_url:
            texts[f"{info.name}/direct_url.json"] = json.dumps(direct_url)
        for name, text in texts.items():
            self.write(name, text)
        rows = [f"{name},sha256={_hash(text)},{len(text)}" for name, text in texts.items()]
        self.write(f"{info.name}/RECORD", "\n".join([*rows, f"{info.name}/RECORD,,", ""]))
        return info

    def plugin(self, entry: str, source: str = "", version: str = "1.0", **fields: Any) -> Path:
        """Install ``slime-plugin-<entry>`` with one module of the given source."""
        module = f"slime_plugin_{entry}"
        return self.install(
            f"slime-plugin-{entry.replace('_', '-')}",
            version,
            plugins={entry: module},
            files={f"{module}.py": "from slime_hookspecs import *\n" + dedent(source)},
            **fields,
        )

    def write(self, name: str, text: str) -> None:
        """Write one file beneath the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder at the head of ``sys.path``; modules imported from it are forgotten after."""
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(made.folder))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
