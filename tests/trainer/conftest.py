"""Runs trainer ranks as plain processes, without Ray, for the tests of this folder."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Test modules are imported by path, so their neighbours must be found by name.
sys.path.insert(0, str(Path(__file__).parent))

WORKER = Path(__file__).with_name("trainer_worker.py")


@pytest.fixture
def run_ranks(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """``run_ranks(world, job)`` runs ``trainer_worker.py`` on ``world`` ranks: their answers."""
    count = 0

    def run(world: int, job: dict[str, Any], timeout_s: float = 240.0) -> list[dict[str, Any]]:
        nonlocal count
        count += 1
        folder = tmp_path / f"job{count}"
        folder.mkdir()
        (folder / "job.pickle").write_bytes(pickle.dumps(job))
        port = free_port()
        processes = [_start(folder, rank, world, port) for rank in range(world)]
        try:
            for process in processes:
                process.wait(timeout_s)
        finally:
            for process in processes:
                process.kill()
        logs = [(folder / f"{rank}.log").read_text() for rank in range(world)]
        assert all(p.returncode == 0 for p in processes), "\n".join(log[-3000:] for log in logs)
        return [pickle.loads((folder / f"{r}.pickle").read_bytes()) for r in range(world)]

    return run


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(folder: Path, rank: int, world: int, port: int) -> subprocess.Popen[bytes]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    with (folder / f"{rank}.log").open("wb") as log:
        command = [sys.executable, str(WORKER), str(folder), str(rank), str(world), str(port)]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
