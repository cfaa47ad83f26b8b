"""Real servers that cannot start, and owners that die."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slime_hookspecs import EngineError

from slime_core.engine import control
from slime_core.engine.keeper import descendants, shared_memory
from slime_core.engine.process import ServerActor

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]

OWNER = """
import sys, time
from pathlib import Path
from slime_core.engine.process import ServerActor
actor = ServerActor(Path(sys.argv[1]), timeout_s=150, log_path=Path(sys.argv[2]), tp=2)
print(actor.start(), actor.pid(), flush=True)
time.sleep(300)
"""


def test_a_server_that_cannot_start_tells_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no_such_model"}))
    actor = ServerActor(tmp_path, timeout_s=120, log_path=tmp_path / "server.log")
    with pytest.raises(EngineError) as caught:
        actor.start()
    message = str(caught.value)
    assert "SGLang server on port" in message
    assert "before it was ready" in message
    assert "no_such_model" in message
    assert not actor.alive()


def test_an_owner_killed_outright_leaves_nothing_of_a_two_rank_server(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", OWNER, str(tiny_model("llama")), str(tmp_path / "server.log")]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    url, root = owner.stdout.readline().split()
    body = {"text": "2+3=", "sampling_params": {"max_new_tokens": 4, "ignore_eos": True}}
    answer = control.send(url, control.Call("/generate", body))
    assert answer["meta_info"]["completion_tokens"] == 4
    pids = [int(root), *descendants(int(root))]
    memory = shared_memory(pids)
    assert len(pids) >= 5
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [file for file in memory if Path(file).exists()]
    assert not control.is_healthy(url)
