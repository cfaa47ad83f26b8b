"""What the command prints, and the status that it exits with."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from slime_hookspecs import EngineError, PluginError

from slime_core.cli import main as command
from slime_core.cli.main import main


def outcome(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(list(argv))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(command, "_dispatch", fail)


def test_the_command_alone_says_how_to_use_it_and_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = outcome(capsys)
    assert (status, out) == (2, "")
    assert "slime --plugin NAME --model DIR" in err
    assert len(err.splitlines()) < 10


def test_help_shows_every_section_with_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = outcome(capsys, "--help")
    assert status == 0
    for title in ("run:", "rollout - What a step generates:", "weights - How new weights reach"):
        assert title in out
    assert "samples that each prompt is asked for (default: 8)" in " ".join(out.split())
    assert "--sglang-OPTION" in out


def test_help_with_a_plugin_shows_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = outcome(capsys, "--plugin", "math_dapo", "--help")
    assert status == 0
    assert "options of plugin math_dapo (slime-plugin-math-dapo" in out
    assert "--math-dapo.task" in out


def test_help_with_an_unknown_plugin_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = outcome(capsys, "--plugin", "math_dpo", "--help")
    assert status == 2
    assert "math_dapo" in err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    import slime_core

    assert outcome(capsys, "--version") == (0, f"slime {slime_core.__version__}\n", "")


def test_a_mistake_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "--stepz", "3") == (
        2,
        "",
        "slime: error: command line: --stepz is not an option; did you mean --steps?\n",
    )


def test_a_run_without_a_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = outcome(capsys, "--plugin", "math_dapo")
    assert status == 2
    assert err.startswith("slime: error: no model: give --model DIR")


def test_a_folder_that_is_no_run_cannot_be_resumed(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    status, _, err = outcome(capsys, "--resume", str(tmp_path))
    assert status == 2
    assert "not a run directory" in err


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (["--math-dapo.tsk", "addition"], "set by --math-dapo.tsk (command line)"),
        (["--math-dpo.task", "addition"], "set by --math-dpo.task (command line)"),
    ],
)
def test_a_wrong_plugin_option_is_refused_with_the_nearest_and_its_place(
    capsys: pytest.CaptureFixture[str], argv: list[str], place: str
) -> None:
    status, _, err = outcome(capsys, "--plugin", "math_dapo", "--model", "m", *argv)
    assert status == 2
    assert "did you mean" in err
    assert place in err


def test_errors_of_the_run_have_their_status_and_their_notes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = EngineError("server 0 is gone\n  its log: x")
    error.add_note("plugin math_dapo, hook slime_generate")
    fails_with(monkeypatch, error)
    assert outcome(capsys) == (
        1,
        "",
        "slime: error: server 0 is gone\n  its log: x\n  plugin math_dapo, hook slime_generate\n",
    )


def test_an_error_without_a_message_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, PluginError())
    assert outcome(capsys) == (2, "", "slime: error: PluginError\n")


def test_an_unexpected_error_shows_where_it_happened_and_that_it_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, ZeroDivisionError("oh"))
    status, _, err = outcome(capsys)
    assert status == 1
    assert "Traceback" in err
    assert "ZeroDivisionError: oh" in err
    assert err.splitlines()[-1].startswith("slime: this is a bug")


def test_interrupting_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, KeyboardInterrupt())
    assert outcome(capsys) == (130, "", "slime: interrupted\n")


def test_the_demo_gets_the_rest_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    module = types.ModuleType("slime_core.demo.main")
    module.main = lambda argv: seen.append(list(argv)) or 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slime_core.demo.main", module)
    assert main(["demo", "--steps", "3"]) == 7
    assert seen == [["--steps", "3"]]


def test_a_run_gets_configuration_plan_and_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    launches: list[Any] = []
    module = types.ModuleType("slime_core.run")
    module.run = lambda launch: launches.append(launch) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slime_core.run", module)
    assert (
        main(
            [
                "--plugin",
                "math_dapo",
                "--model",
                "m",
                "--math-dapo.task",
                "addition",
                "--steps",
                "3",
            ]
        )
        == 0
    )
    (launch,) = launches
    assert launch.config.steps == 3
    assert launch.plan.roles["data_source"] == "math_dapo"
    assert launch.bound.one("slime_data_source").options.task == "addition"
    assert launch.resume is None


def test_a_plugin_that_only_fills_a_role_still_has_its_defaults(
    install_plugin: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(
        "lossy",
        "from slime_hookspecs import hookimpl\n"
        "@hookimpl\n"
        "def slime_defaults():\n"
        "    return {'steps': 7}\n"
        "@hookimpl\n"
        "def slime_loss(batch):\n"
        "    return None\n",
    )
    launches: list[Any] = []
    module = types.ModuleType("slime_core.run")
    module.run = lambda launch: launches.append(launch) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slime_core.run", module)
    assert main(["--plugin", "math_dapo", "--model", "m", "--loss", "lossy"]) == 0
    assert launches[0].plan.roles["loss"] == "lossy"
    assert launches[0].config.steps == 7
