"""The files of a new plugin, as text: a pure function of its name, kind and author."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Final

from slime_hookspecs import ConfigError

from slime_core.scaffold.kinds import TEMPLATES, Kind, read_kind

CONTRACT: Final = "slime-hookspecs>=0.1,<0.2"

#: A template that is a file of its own ends so; all else in the folder is a part of others.
SUFFIX: Final = ".tmpl"

#: The plugin's name, as templates have it, and parts to be put in.
_PLACES: Final = re.compile(r"my_task|my-task|\{\{(\w+)\}\}")


def files(name: str, kind: str, author: str = "") -> dict[Path, str]:
    """Content by path, relative to the plugin's own folder, in the order of the paths.

    Args:
        name: Name of the entry point, as ``check_name`` allows it.
        kind: One of ``KINDS``.
        author: ``Name``, or ``Name <address>``; nobody in particular if empty.

    Raises:
        ConfigError: there is no such kind, or the author has no name.
    """
    parts = _parts(read_kind(kind), name, author)
    written = {
        _path(template, folder, name): _ended(_fill(template.read_text("utf-8"), name, parts))
        for folder in (TEMPLATES / "common", TEMPLATES / kind)
        for template in folder.rglob(f"*{SUFFIX}")
    }
    return dict(sorted(written.items()))


def _path(template: Path, folder: Path, name: str) -> Path:
    path = template.relative_to(folder).as_posix().removesuffix(SUFFIX)
    # A file of this name would rule over the templates themselves.
    return Path(_fill(".gitignore" if path == "gitignore" else path, name, {}))


def _ended(text: str) -> str:
    """The text with one end of line at its end, whatever part came last."""
    return f"{text.rstrip()}\n" if text else ""


def _parts(kind: Kind, name: str, author: str) -> Mapping[str, str]:
    texts = {
        "summary": kind.summary,
        "about": kind.about.strip(),
        "edit": kind.edit.strip(),
        "train": kind.train.strip(),
        "after_train": f"{kind.after_train.strip()}\n\n" if kind.after_train else "",
        "ci": "".join(f"      - run: {line}\n" for line in kind.ci.splitlines()),
        "mypy": kind.mypy.strip(),
    }
    holder, address = _author(author)
    return {
        **{part: _fill(text, name, {}) for part, text in texts.items()},
        "dependencies": ", ".join(map(json.dumps, (CONTRACT, *kind.requires))),
        "authors": _authors(holder, address),
        "holder": holder or f"the authors of slime-plugin-{name.replace('_', '-')}",
    }


def _fill(text: str, name: str, parts: Mapping[str, str]) -> str:
    names = {"my_task": name, "my-task": name.replace("_", "-")}
    return _PLACES.sub(lambda found: names.get(found[0]) or parts[found[1]], text)


def _author(author: str) -> tuple[str, str]:
    name, address = parseaddr(author) if "<" in author else (author.strip(), "")
    if author and not (name and author.isprintable()):
        raise ConfigError(f"--author {author!r}: write 'Name' or 'Name <name@example.org>'")
    return name, address


def _authors(name: str, address: str) -> str:
    if not name:
        return ""
    fields = {"name": name, **({"email": address} if address else {})}
    inner = ", ".join(f"{key} = {_toml(value)}" for key, value in fields.items())
    return f"authors = [{{ {inner} }}]\n"


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
