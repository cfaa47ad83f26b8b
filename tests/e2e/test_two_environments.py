"""Two Ray nodes with an environment each: the one whose plugins differ is named before step 0."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Two nodes on one machine; Ray takes 127.0.0.1 for an address that others cannot reach.
OURS, THEIRS = "127.0.0.2", "127.0.0.3"

TOKEN = secrets.token_hex(32)

MODULE = """
from slime_hookspecs import hookimpl
@hookimpl
async def slime_reward(sample): return 1.0
"""

DRIVER = """
import json, socket, sys
from pathlib import Path
import ray
from slime_hookspecs import RunInfo
from slime_core.config.schema import Config
from slime_core.placement.results import result
from slime_core.placement.spawn import spawn
from slime_core.plugins import bind, load, observe_plan

address, folder, *names = sys.argv[1:]
ray.init(
    address=address,
    _node_ip_address=address.partition(":")[0],
    log_to_driver=False,
    logging_level="error",
)
nodes = {name: one["NodeID"] for one in ray.nodes() for name in one["Resources"]}
run = RunInfo("two", Path(folder), Path(folder), 0, 1, 1, 1, 1)

def on(node):
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(nodes[node], soft=False)

def where():
    import sys
    return sys.prefix

def fingerprint(plan):
    return observe_plan(plan).fingerprint

found = {}
for node in ("ours", "theirs"):
    task = ray.remote(num_cpus=0)(where).options(scheduling_strategy=on(node))
    found[f"prefix of {node}"] = ray.get(task.remote())
for name in names:
    config = Config(plugins=[name])
    plan, _ = bind(config, load([name]))
    same = ray.remote(num_cpus=0)(fingerprint).options(scheduling_strategy=on("ours"))
    found[f"{name} on ours"] = ray.get(same.remote(plan)) == plan.fingerprint
    worker = spawn(
        "slime_core.rollout.worker:RolloutWorker",
        *(config, plan.to_json(), run, None),
        name="rollout worker",
        log_file=Path(folder, f"{name}.log"),
        coroutines=True,
        strategy=on("theirs"),
    )
    try:
        result(worker.call("start"), "rollout worker (start)", worker.log_file)
    except Exception as error:
        found[name] = [type(error).__name__, *str(error).splitlines()]
print("FOUND", json.dumps(found))
"""


def install(folder: Path, name: str, version: str, source: str = MODULE) -> None:
    """Write a distribution as an installer leaves it."""
    info = folder / f"slime_plugin_{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"slime_plugin_{name}.py").write_text(source)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: slime-plugin-{name}\nVersion: {version}\n"
        "Requires-Dist: slime-hookspecs>=0.1,<0.2\n"
    )
    (info / "entry_points.txt").write_text(f"[slime.plugins]\n{name} = slime_plugin_{name}\n")
    (info / "RECORD").write_text(f"slime_plugin_{name}.py,,\n")


def environment(folder: Path) -> Path:
    """A virtual environment that sees all that ours has. Returns its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.startswith("/"))]
    (site / "ours.pth").write_text("\n".join(dict.fromkeys(ours)) + "\n")
    return site


@contextmanager
def ray_node(python: Path, name: str, *arguments: str, path: str = "") -> Iterator[None]:
    """A Ray node whose workers run with this interpreter, for the length of the block."""
    command = [str(python), "-m", "ray.scripts.scripts", "start", "--block", *arguments]
    resources = json.dumps({name: 1})
    process = subprocess.Popen(
        [*command, "--num-cpus=1", "--num-gpus=0", f"--resources={resources}"],
        env=_environ(path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()  # ray start --block ends the node's processes
        process.wait(60)


@pytest.mark.engines
def test_the_node_whose_plugins_differ_is_named_before_step_0(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", environment(tmp_path / "env")
    for name in ("version", "missing", "edited"):
        install(ours, name, "1.0")
    install(theirs, "version", "1.1")
    install(theirs, "edited", "1.0", MODULE.replace("1.0", "2.0"))
    port = _free_port()
    short = tempfile.mkdtemp(prefix="slime-two-")  # paths of sockets have at most 107 characters
    address = f"{OURS}:{port}"
    head = (
        *("--head", f"--node-ip-address={OURS}", f"--port={port}"),
        *("--include-dashboard=false", f"--temp-dir={short}"),
    )
    worker = (f"--address={address}", f"--node-ip-address={THEIRS}")
    with (
        ray_node(Path(sys.executable), "ours", *head, path=str(ours)),
        _when_open(port),
        ray_node(tmp_path / "env" / "bin" / "python", "theirs", *worker),
    ):
        found = _drive(address, tmp_path, str(ours))
    shutil.rmtree(short, ignore_errors=True)
    assert found.pop("prefix of ours") == sys.prefix
    assert found.pop("prefix of theirs") == str(tmp_path / "env")
    who = (
        f"node {socket.gethostname()} ({tmp_path / 'env'}) does not have the plugins of the run; "
        "the run's stand on the left, its own on the right"
    )
    cure = "  to install the same there: pip install --force-reinstall slime-plugin-{}==1.0"
    assert found.pop("edited")[2].startswith("  plugin edited: source files differ (")
    assert found == {
        "version on ours": True,
        "missing on ours": True,
        "edited on ours": True,
        "version": [
            "PluginError",
            who,
            "  plugin version: version: 1.0 != 1.1",
            cure.format("version"),
        ],
        "missing": [
            "PluginError",
            "the plan needs plugin 'missing' of slime-plugin-missing, which is not installed on "
            f"{socket.gethostname()}",
            "  to install it there: pip install slime-plugin-missing",
        ],
    }


def _drive(address: str, folder: Path, path: str) -> dict[str, Any]:
    """What the driver found, once both nodes are there."""
    program = folder / "driver.py"
    program.write_text(DRIVER)
    wait = (
        "import ray, sys, time\n"
        f"ray.init(address={address!r}, _node_ip_address={OURS!r}, log_to_driver=False)\n"
        "end = time.monotonic() + 90\n"
        "while 'theirs' not in ray.cluster_resources() and time.monotonic() < end:\n"
        "    time.sleep(0.5)\n"
    )
    environ = _environ(path)
    subprocess.run([sys.executable, "-c", wait], env=environ, check=True, timeout=120)
    done = subprocess.run(
        [sys.executable, str(program), address, str(folder), "version", "missing", "edited"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    (line,) = (one for one in done.stdout.splitlines() if one.startswith("FOUND "))
    found: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    return found


def _environ(path: str) -> dict[str, str]:
    """The environment of every process of the cluster, with a token that only they have."""
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    return {**os.environ, **ray, "PYTHONPATH": path}


@contextmanager
def _when_open(port: int) -> Iterator[None]:
    """Goes on once something listens on a port."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((OURS, port)) == 0:
                break
        time.sleep(0.3)
    yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((OURS, 0))
        return int(probe.getsockname()[1])
