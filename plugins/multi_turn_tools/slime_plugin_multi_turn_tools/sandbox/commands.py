"""The command lines that start a supervisor, one for each level of isolation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slime_plugin_multi_turn_tools.sandbox.isolation import Isolation
from slime_plugin_multi_turn_tools.sandbox.limits import Limits
from slime_plugin_multi_turn_tools.sandbox.view import view_of

HERE: Final = Path(__file__).parent
#: Where bubblewrap shows the supervisor's code.
SHOWN: Final = "/run/supervisor"
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
MIB: Final = 1 << 20


def command(isolation: Isolation, python: str, limits: Limits) -> list[str]:
    """What to run to have a supervisor behind a wall."""
    if isolation is Isolation.BUBBLEWRAP:
        return [*_bubblewrap(python, limits), *_supervisor(python, SHOWN)]
    if isolation is Isolation.NAMESPACES:
        view = view_of(python)
        told = {"readable": view.readable, "links": dict(view.links), "disk_mb": limits.disk_mb}
        return [*_script(python, str(HERE), "namespaces", "sys.argv[1]"), json.dumps(told)]
    return _supervisor(python, str(HERE))


def _supervisor(python: str, folder: str) -> list[str]:
    return _script(python, folder, "supervise", "")


def _script(python: str, folder: str, module: str, argument: str) -> list[str]:
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); "
        f"from inside.{module} import main; main({argument})"
    )
    return [python, "-I", "-S", "-B", "-c", code]


def _bubblewrap(python: str, limits: Limits) -> list[str]:
    view = view_of(python)
    bwrap = shutil.which("bwrap") or "bwrap"
    # Root needs no user namespace, and outside of one it can become nobody.
    user = [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    return [
        *(bwrap, *user, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--as-pid-1", "--clearenv"),
        *_folders([*view.readable, f"{SHOWN}/inside", "/dev/null"]),
        *_each("--symlink", [(target, path) for path, target in view.links]),
        *_each("--ro-bind", [(path, path) for path in view.readable]),
        *_each("--dev-bind", [(f"/dev/{name}", f"/dev/{name}") for name in DEVICES]),
        *("--ro-bind", str(HERE / "inside"), f"{SHOWN}/inside"),
        *("--proc", "/proc", "--perms", "1777", "--size", str(limits.disk_mb * MIB)),
        *("--tmpfs", "/tmp", "--symlink", "/tmp", "/dev/shm", "--remount-ro", "/"),
        *("--chdir", "/", "--"),
    ]


def _folders(paths: Sequence[str]) -> list[str]:
    """Make what lies above some paths: bubblewrap itself makes folders that only root can enter."""
    above = {str(parent) for path in paths for parent in Path(path).parents} - {"/"}
    return [word for path in sorted(above) for word in ("--perms", "0755", "--dir", path)]


def _each(option: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [word for pair in pairs for word in (option, *pair)]
