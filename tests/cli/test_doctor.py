"""Each check of ``slime doctor``, on machines that are well and on broken ones."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core.cli import checks, doctor, machine
from slime_core.cli.checks import GIB, Finding


def torch_like(*, cuda: str | None = None, gpus: int = 0) -> Callable[[], Any]:
    module = types.SimpleNamespace(
        __version__="2.13.0",
        version=types.SimpleNamespace(cuda=cuda),
        cuda=types.SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            get_device_name=lambda _: "H100",
        ),
    )
    return lambda: module


def raises(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def named(*names: str) -> Callable[[], list[Any]]:
    return lambda: [types.SimpleNamespace(name=name) for name in names]


@pytest.mark.parametrize(
    ("finding", "status", "detail"),
    [
        (checks.python((3, 11, 7)), "ok", "3.11.7"),
        (checks.python((3, 10, 1)), "error", "3.10.1"),
        (checks.installed("sglang", "0.5.18"), "ok", "0.5.18"),
        (checks.installed("sglang", "0.5.15.post1"), "ok", "0.5.15.post1"),
        (checks.installed("sglang", "0.5.18+cu130"), "ok", "0.5.18+cu130"),
        (checks.installed("sglang", "0.4.0"), "warning", "0.4.0"),
        (checks.installed("megatron-core", None), "error", "not installed"),
        (checks.torch(torch_like()), "ok", "2.13.0, built for CPU"),
        (checks.torch(torch_like(cuda="13.0")), "ok", "2.13.0, built for CUDA 13.0"),
        (checks.torch(raises(ModuleNotFoundError("torch"))), "error", "not installed: torch"),
        (checks.torch(raises(OSError("libcudart"))), "error", "does not import: libcudart"),
        (checks.gpu(0, torch_like()), "warning", "none visible"),
        (checks.gpu(2, torch_like(gpus=2)), "ok", "2 x H100"),
        (checks.gpu(2, torch_like(gpus=1)), "warning", "2 there, torch can use 1"),
        (checks.gpu(2, torch_like()), "error", "2 there, but torch can use none"),
        (checks.gpu(2, raises(OSError("x"))), "error", "2 there, but torch fails: x"),
        (checks.plugins(named("a", "b")), "ok", "a, b"),
        (checks.plugins(named("a", "b", "a")), "warning", "claimed twice: a"),
        (checks.plugins(named()), "error", "none, not even the built-in ones"),
        (checks.plugins(raises(ValueError("bad"))), "error", "cannot be listed: bad"),
        (checks.loopback(), "ok", "opened and reached"),
        (checks.memory(None), "warning", "this system does not say"),
        (checks.memory(GIB), "error", "1.0 GiB free, at least 4 are needed"),
        (checks.memory(8 * GIB), "warning", "8.0 GiB free, 16 are comfortable"),
        (checks.memory(32 * GIB), "ok", "32.0 GiB free"),
        (checks.shared_memory(Path("/nowhere")), "warning", "no /nowhere"),
        (checks.open_files(256), "error", "at most 256"),
        (checks.open_files(4096), "warning", "at most 4096"),
        (checks.open_files(65536), "ok", "at most 65536"),
        (checks.open_files(-1), "ok", "no limit"),
    ],
)
def test_a_check_says_how_it_stands(finding: Finding, status: str, detail: str) -> None:
    assert (finding.status, finding.detail) == (status, detail)
    assert bool(finding.cure) == (status != "ok")


def test_an_address_that_cannot_be_bound_is_an_error() -> None:
    finding = checks.loopback("203.0.113.1")
    assert finding.status == "error"
    assert "203.0.113.1" in finding.detail


@pytest.mark.parametrize(
    ("free", "status"), [(GIB // 2, "error"), (5 * GIB, "warning"), (50 * GIB, "ok")]
)
def test_a_full_disk_is_found(
    free: int, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = types.SimpleNamespace(free=free)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    assert checks.disk(tmp_path).status == status


def test_gpus_are_counted_from_device_files_less_those_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.visible_gpus(tmp_path) == 2
    for hidden, left in (("1", 1), ("", 0), ("-1", 0), ("0,1", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert machine.visible_gpus(tmp_path) == left


def test_available_memory_is_read_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 9 kB\nMemAvailable:   2 kB\n")
    assert machine.available_memory(file) == 2048
    assert machine.available_memory(tmp_path / "missing") is None


WELL, POOR, BROKEN = (
    Finding("a", "ok", "fine"),
    Finding("b", "warning", "meh", "do this"),
    Finding("c", "error", "bad", "do that"),
)


@pytest.mark.parametrize(("findings", "status"), [([WELL, POOR], 0), ([WELL, BROKEN], 1)])
def test_only_errors_fail_the_command(
    findings: list[Finding], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "all_findings", lambda: findings)
    assert doctor.main([]) == status


def test_each_line_that_is_not_well_has_its_cure() -> None:
    assert doctor.text([WELL, POOR, BROKEN]).splitlines() == [
        "ok       a               fine",
        "warning  b               meh",
        "                         -> do this",
        "error    c               bad",
        "                         -> do that",
        "errors: 1, warnings: 1",
    ]


def test_findings_can_be_read_by_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "all_findings", lambda: [BROKEN])
    assert doctor.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "c", "status": "error", "detail": "bad", "cure": "do that"}
    ]


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="slime doctor: --jsn is not an option; did you mean"):
        doctor.main(["--jsn"])


def test_all_checks_run_on_this_machine() -> None:
    names = [finding.name for finding in checks.all_findings()]
    assert {"Python", "torch", "GPU", "sglang", "plugins", "disk", "open files"} <= set(names)
    assert len(names) == len(set(names))
