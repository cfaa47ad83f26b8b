"""Puts itself behind a wall of Linux namespaces, then supervises a program there.

No network, processes of its own, and a file system in which what is named can be read and only
``/tmp`` can be written.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .lower import CLONE_NEWUSER, LIBC, MIB, NOBODY
from .supervise import main as supervise

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
AT_EMPTY_PATH, AT_RECURSIVE = 0x1000, 0x8000
#: The same on all machines since numbers were shared between them.
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

ROOT = "/tmp"
DEVICES = ("null", "zero", "full", "random", "urandom")


def main(argument: str) -> None:
    """Enter, supervise in a first process, and wait for it.

    Args:
        argument: ``readable`` paths and ``disk_mb``, as JSON.
    """
    view = json.loads(argument)
    enter()
    outside = os.getpid()
    pid = os.fork()
    if pid == 0:
        check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        if os.path.exists("/proc/self") and os.getppid() not in (0, outside):  # noqa: PTH110
            os._exit(1)  # The outer process died before this one asked to die with it.
        build(view)
        supervise()
        return
    for fd in (0, 1):
        os.close(fd)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)


def enter() -> None:
    """Leave the host's namespaces; with a user namespace where that takes no root."""
    if os.geteuid() == 0 and LIBC.unshare(NAMESPACES) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    check(LIBC.unshare(NAMESPACES | CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def build(view: Mapping[str, Any]) -> None:
    """Replace the file system by one that has what the view names, and nothing else."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    # Opened first: the new root hides what lies beneath it.
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in view["readable"]}
    devices = {
        f"/dev/{name}": os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC) for name in DEVICES
    }
    mount("tmpfs", ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path, link in view["links"].items():
        under = Path(ROOT + path)
        under.parent.mkdir(parents=True, exist_ok=True)
        under.symlink_to(link)
    for path, source in sources.items():
        bind(source, path, read_only=True)
    for path, device in devices.items():
        bind(device, path, read_only=False)
    for folder in ("tmp", "proc"):
        Path(ROOT, folder).mkdir()
    Path(ROOT, "dev/shm").symlink_to("/tmp")
    mount("proc", f"{ROOT}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    size = view["disk_mb"] * MIB
    mount("tmpfs", f"{ROOT}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},mode=1777")
    mount("none", ROOT, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    pivot()


def bind(source: int, path: str, *, read_only: bool) -> None:
    """Show an open path of the host under the new root."""
    under = Path(ROOT + path)
    under.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(source).st_mode):
        under.mkdir(exist_ok=True)
    else:
        under.touch()
    mount(f"/proc/self/fd/{source}", str(under), "", MS_BIND | MS_REC)
    if read_only:
        # struct mount_attr: attr_set, attr_clr, propagation, userns_fd. All that is below, too.
        attributes = (ctypes.c_uint64 * 4)(MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
        size, where = ctypes.c_size_t(ctypes.sizeof(attributes)), str(under).encode()
        number = ctypes.c_long(SYS_MOUNT_SETATTR)
        done = LIBC.syscall(number, -100, where, AT_RECURSIVE, ctypes.byref(attributes), size)
        check(done, f"mount_setattr {path}")


def pivot() -> None:
    """Make the new root the root, and let go of the old one."""
    number = SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(f"pivot_root has no known number on {platform.machine()}")
    os.chdir(ROOT)
    check(LIBC.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    words = (source.encode(), target.encode(), kind.encode() or None)
    check(LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def check(result: int, what: str) -> None:
    """Raise where a call of the C library failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
