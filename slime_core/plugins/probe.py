"""What importing a plugin does, found out in a process of its own that may die of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

from slime_core.plugins.installed import Plugin

TIMEOUT_S: Final = 30.0
AT_ONCE: Final = 4
#: How the child is told what to look at: where modules come from, whom, and where to write.
_PROGRAM: Final = (
    "import json, sys; path, *rest = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from slime_core.plugins.probed import main; main(*rest)"
)
_SHOWN: Final = 2000

Outcome = Literal["ok", "raised", "refused", "exited", "killed", "timeout"]


@final
@dataclass(frozen=True, slots=True)
class Probe:
    """What one import did.

    Attributes:
        outcome: ``ok``; ``raised`` or ``refused`` (imported, but breaks the contract) with an
            error; ``exited``, ``killed`` or ``timeout`` where the process itself did not survive.
        error: What went wrong; empty when all is well.
        import_s: Seconds that the import took; ``None`` where it did not end.
        heavy: Heavy modules that it imported.
        cuda: Whether it initialised CUDA.
        hooks: The hooks that it implements.
        options: JSON schema of its options; ``None`` if it has none.
    """

    outcome: Outcome
    error: str = ""
    import_s: float | None = None
    heavy: tuple[str, ...] = ()
    cuda: bool = False
    hooks: tuple[str, ...] = ()
    options: dict[str, Any] | None = None

    @property
    def well(self) -> bool:
        """Whether a run could use the plugin."""
        return self.outcome == "ok"


def probe_all(plugins: Sequence[Plugin], timeout_s: float = TIMEOUT_S) -> list[Probe]:
    """A probe of each plugin, a few at a time, in their order."""
    with ThreadPoolExecutor(max(1, min(AT_ONCE, os.cpu_count() or 1))) as pool:
        return list(pool.map(lambda plugin: probe(plugin, timeout_s), plugins))


def probe(plugin: Plugin, timeout_s: float = TIMEOUT_S) -> Probe:
    """Import one plugin in a process of its own; whatever it does there, this returns."""
    with tempfile.TemporaryDirectory(prefix="slime-probe-") as folder:
        report, errors = Path(folder, "report.json"), Path(folder, "stderr")
        # A file and no pipe: a child of the plugin's that lives on would hold a pipe open.
        with errors.open("wb") as stderr:
            status = _run(_command(plugin, report), stderr.fileno(), timeout_s)
        said = errors.read_text("utf-8", "replace")[-_SHOWN:].strip()
        if status is None:
            return Probe("timeout", f"still importing after {timeout_s:g} s; {_last(said)}")
        if not report.exists():
            return _died(status, said)
        tree = json.loads(report.read_text("utf-8"))
        return Probe(**{**tree, "heavy": tuple(tree["heavy"]), "hooks": tuple(tree["hooks"])})


def _command(plugin: Plugin, report: Path) -> list[str]:
    what = [sys.path, plugin.distribution, plugin.name, str(report)]
    return [sys.executable, "-c", _PROGRAM, json.dumps(what)]


def _run(command: Sequence[str], stderr: int, timeout_s: float) -> int | None:
    """Exit status; ``None`` where time ran out. Ends what the process started, too."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
        # The parent keeps the time: the child's own watchdog would only blur what is reported.
        env={**os.environ, "SLIME_IMPORT_TIMEOUT_S": "0"},
    )
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _died(status: int, said: str) -> Probe:
    if status < 0:
        with suppress(ValueError):
            return Probe("killed", f"{signal.Signals(-status).name} at import; {_last(said)}")
        return Probe("killed", f"signal {-status} at import; {_last(said)}")
    return Probe("exited", f"it ended the process with status {status} at import; {_last(said)}")


def _last(said: str) -> str:
    """The last line that the process wrote, for messages of one line."""
    line = said.splitlines()[-1].strip() if said else ""
    return f"it said last: {line}" if line else "it said nothing"
