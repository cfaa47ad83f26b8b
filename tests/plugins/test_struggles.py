"""What authors and users of other plugin hosts struggle with, and what ours see instead.

Fifteen struggles, in the order of how often they were met elsewhere. Each message says who, where,
what, and the cure.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import ConfigError, Prompt, RunInfo, Sample
from slime_hookspecs.testing import run as conformance

from slime_core.cli.main import main
from slime_core.config.schema import Config
from slime_core.plugins import Plan, Policy, bind, bind_plan, find, load
from slime_core.rollout.contexts import Contexts, Scene
from slime_core.rollout.episodes import Episodes
from slime_core.rollout.hooks import look_up

REWARD = "@hookimpl\nasync def slime_reward(sample): return 1.0\n"
SOURCE = "@hookimpl\ndef slime_data_source(options): ...\n"
API = "slime-hookspecs>=0.1,<0.2"

Slime = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def slime(capsys: pytest.CaptureFixture[str]) -> Slime:
    """``slime(*line)`` is the command's exit status, its output, and the lines of its error."""

    def run(*line: str) -> tuple[int, str, list[str]]:
        status = main(line)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, [one.strip() for one in err.splitlines()]

    return run


def asked_for(name: str) -> tuple[str, ...]:
    """A command line that asks for a plugin."""
    return ("--plugin", name, "--model", "/nowhere", "--dry-run")


def test_1_a_broken_plugin_breaks_nothing_but_the_run_that_wants_it(
    site: Any, slime: Slime
) -> None:
    site.plugin("broken", "raise RuntimeError('no luck')")
    site.plugin("sound", REWARD)
    assert slime("plugins", "list")[0] == slime("--help")[0] == 0
    assert [one.name for one in load(["sound"])] == ["sound"]
    assert slime(*asked_for("broken")) == (
        2,
        "",
        [
            "slime: error: plugin broken (slime-plugin-broken 1.0) cannot be loaded from entry "
            "point broken = slime_plugin_broken (module slime_plugin_broken)",
            "RuntimeError: no luck",
            "to see all of it: python -c 'import slime_plugin_broken'; "
            "to mend it: pip install --force-reinstall slime-plugin-broken",
        ],
    )


def test_2_a_broken_plugin_is_kept_out_by_the_hosts_own_means(site: Any, slime: Slime) -> None:
    site.plugin("broken", "raise RuntimeError")
    status, out, _ = slime("plugins", "doctor", "broken", "--block", "broken", "--json")
    (found,) = json.loads(out)["plugins"]
    assert (status, found["blocked_by"], found["probe"]) == (0, "--block broken", None)
    assert slime(*asked_for("broken"), "--block", "broken") == (
        2,
        "",
        [
            "slime: error: plugin broken (slime-plugin-broken 1.0) was asked for and is blocked by "
            "--block broken",
            "take back the one or the other",
        ],
    )


def test_3_a_slow_plugin_slows_only_who_uses_it_and_the_doctor_tells_how_much(
    site: Any, slime: Slime
) -> None:
    site.plugin("slow", "import time\ntime.sleep(0.5)\n" + REWARD)
    slime("plugins", "list")
    slime("--help")
    assert "slime_plugin_slow" not in sys.modules
    status, out, _ = slime("plugins", "doctor", "slow")
    (seconds,) = re.findall(r"import +(\d+\.\d\d) s", out)
    assert (status, float(seconds) >= 0.5) == (0, True)


def test_4_a_plugin_that_a_worker_lacks_names_machine_and_command(site: Any) -> None:
    site.plugin("task", REWARD)
    plan, _ = bind(Config(plugins=["task"]), load(["task"]))
    missing = Plan.from_json(plan.to_json().replace("slime-plugin-task", "slime-plugin-elsewhere"))
    assert refusal(lambda: bind_plan(missing)) == [
        "the plan needs plugin 'task' of slime-plugin-elsewhere, which is not installed on "
        f"{socket.gethostname()}",
        "to install it there: pip install slime-plugin-elsewhere",
    ]


WRAPPER = """
@hookimpl
async def slime_wrap_generate(call_next, sample, engine):
    sample.metadata["path"] = sample.metadata.get("path", "") + "NAME>"
    return await call_next(sample, engine)
"""
GENERATE = """
@hookimpl
async def slime_generate(sample):
    sample.metadata["path"] += "generate"
    sample.stop = StopReason.STOP
    return sample
"""


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
async def test_5_the_order_is_that_of_the_command_line_and_nothing_else(
    site: Any, order: list[str]
) -> None:
    site.plugin("task", SOURCE + GENERATE)
    for name in ("a", "b"):
        site.plugin(name, WRAPPER.replace("NAME", name))
    names = ["task", *order]
    _, bound = bind(Config(plugins=names), load(names))
    client: Any = type("Client", (), {"session": lambda *_: None})()
    scorer: Any = None
    episodes = Episodes(
        look_up(bound),
        Contexts(RunInfo("r", Path(), Path(), 0, 1, 1, 1, 1)),
        Scene(0, 0),
        client,
        scorer,
        timeout_s=9.0,
        next_index=lambda: 0,
    )
    (sample,) = await episodes.generate(Sample(0, 0, Prompt("p", [])), client.session())
    assert sample.metadata["path"] == f"{order[0]}>{order[1]}>generate"


def test_5_a_mark_that_would_change_the_order_is_refused(site: Any, slime: Slime) -> None:
    site.plugin("task", "@hookimpl(tryfirst=True)\ndef slime_filter(group): return KEEP\n")
    status, _, lines = slime(*asked_for("task"))
    assert (status, lines) == (
        2,
        [
            "slime: error: plugin task (slime-plugin-task 1.0), hook slime_filter",
            f"def slime_filter(group)  at {site.folder}/slime_plugin_task.py:2",
            "tryfirst and trylast have no effect: plugins run in the order of --plugin",
        ],
    )


@pytest.mark.parametrize(
    ("definition", "cure"),
    [
        ("def slime_generate(sample)", "the hook is awaited: write `async def`"),
        ("async def slime_filter(group)", "the hook is called without await: write `def`"),
    ],
)
def test_6_a_function_of_the_wrong_colour_is_refused_with_the_right_one(
    site: Any, slime: Slime, definition: str, cure: str
) -> None:
    site.plugin("task", f"@hookimpl\n{definition}: return None\n")
    hook = definition.partition("slime_")[2].partition("(")[0]
    assert slime(*asked_for("task")) == (
        2,
        "",
        [
            f"slime: error: plugin task (slime-plugin-task 1.0), hook slime_{hook}",
            f"{definition}  at {site.folder}/slime_plugin_task.py:2",
            cure,
        ],
    )


def test_7_an_argument_that_would_keep_its_default_for_ever_is_refused(
    site: Any, slime: Slime
) -> None:
    site.plugin("task", "@hookimpl\ndef slime_reward(sample, flavour=2.0): return flavour\n")
    assert slime(*asked_for("task"))[2] == [
        "slime: error: plugin task (slime-plugin-task 1.0), hook slime_reward",
        f"def slime_reward(sample, flavour=2.0)  at {site.folder}/slime_plugin_task.py:2",
        "the hook has no argument 'flavour' (it offers sample, ctx); "
        "a setting of the plugin's own is a field of its options",
    ]


def test_7_an_argument_of_the_hook_is_filled_whatever_its_default(site: Any) -> None:
    site.plugin("task", "@hookimpl\ndef slime_reward(sample, ctx=None): return ctx\n")
    _, bound = bind(Config(plugins=["task"]), load(["task"]))
    assert bound.all("slime_reward")[0].call("the sample", "the context") == "the context"


@pytest.mark.parametrize(
    ("definition", "hook", "wrong"),
    [
        ("slime_rewrad(sample)", "slime_rewrad", "there is no hook 'slime_rewrad'; did you mean"),
        (
            "slime_reward(sampel)",
            "slime_reward",
            "the hook has no argument 'sampel'; did you mean 'sample'? (it offers sample, ctx)",
        ),
    ],
)
def test_8_what_does_not_fit_the_contract_is_refused_before_anything_runs(
    site: Any, slime: Slime, definition: str, hook: str, wrong: str
) -> None:
    site.plugin("task", f"@hookimpl\ndef {definition}: return 1.0\n")
    status, _, (who, where, what) = slime(*asked_for("task"))
    assert (status, who) == (
        2,
        f"slime: error: plugin task (slime-plugin-task 1.0), hook {hook}",
    )
    assert where == f"def {definition}  at {site.folder}/slime_plugin_task.py:2"
    assert what.startswith(wrong)


def test_9_an_error_at_import_is_told_as_such_and_never_as_not_found(
    site: Any, slime: Slime
) -> None:
    site.plugin("task", "import no_such_library\n")
    status, _, lines = slime(*asked_for("task"))
    assert (status, lines[1:]) == (
        2,
        [
            "ModuleNotFoundError: No module named 'no_such_library'",
            "to mend it: install what provides the module 'no_such_library' (pip install ...)",
        ],
    )
    assert "unknown plugin" not in lines[0]


@pytest.mark.parametrize(
    ("spelling", "what"),
    [("slime-plugin-sums", "distribution"), ("slime_plugin_sums", "module")],
)
def test_10_one_of_the_other_two_names_leads_to_the_right_one(
    site: Any, slime: Slime, spelling: str, what: str
) -> None:
    site.plugin("sums", REWARD)
    assert slime(*asked_for(spelling)) == (
        2,
        "",
        [
            f"slime: error: unknown plugin '{spelling}': this is the name of a {what}, "
            "and a plugin goes by that of its entry point",
            "sums (slime-plugin-sums 1.0): --plugin sums",
        ],
    )


def test_11_a_distribution_that_two_folders_of_the_path_hold_counts_once(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slime: Slime
) -> None:
    site.plugin("task", REWARD)
    alias = tmp_path / "alias"
    alias.symlink_to(site.folder)
    monkeypatch.syspath_prepend(str(alias))
    assert [one.location for one in find() if one.name == "task"] == [str(alias)]
    assert [one.name for one in load(["task"])] == ["task"]
    _, out, _ = slime("plugins", "list", "--all", "--json")
    rows = [one for one in json.loads(out)["plugins"] if one["name"] == "task"]
    assert [(one["status"], one["location"]) for one in rows] == [
        ("ok", str(alias)),
        ("shadowed", str(site.folder)),
    ]


def test_11_remains_of_an_older_installation_are_named_with_what_to_do(
    site: Any, slime: Slime
) -> None:
    site.plugin("task", REWARD, version="1.0")
    site.plugin("task", REWARD, version="2.0")
    assert slime(*asked_for("task"))[2] == [
        f"slime: error: plugin 'task': slime-plugin-task is installed twice in {site.folder}, "
        "as 1.0 and 2.0",
        "to mend it: pip uninstall slime-plugin-task (until none is left), then install it",
    ]


@pytest.mark.parametrize(
    ("wanted", "upgrade"),
    [(">=0.9,<0.10", "slime-rl slime-hookspecs"), ("<0.1", "slime-plugin-task")],
)
def test_12_a_plugin_of_another_contract_is_refused_before_import_with_what_to_upgrade(
    site: Any, slime: Slime, wanted: str, upgrade: str
) -> None:
    site.plugin("task", "raise RuntimeError", requires=[f"slime-hookspecs{wanted}"])
    status, _, (first, cure) = slime(*asked_for("task"))
    assert status == 2
    assert first.startswith(
        "slime: error: plugin task (slime-plugin-task 1.0) needs slime-hookspecs"
    )
    assert "this host serves 0.1" in first
    assert cure == f"to mend it: pip install --upgrade {upgrade}"


def test_13_a_plugin_of_another_environment_is_missed_by_name_of_this_one(slime: Slime) -> None:
    status, _, (first, second, third) = slime(*asked_for("left_behind"))
    assert status == 2
    assert first == "slime: error: unknown plugin 'left_behind': nothing installed has this name"
    assert second.startswith(f"installed in {sys.prefix}: ")
    assert third == "to install it: pip install slime-plugin-left-behind"


def test_14_a_suite_that_ran_nothing_has_not_passed(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("task", REWARD)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    certificate = conformance("task", select=["data_source"])
    assert not certificate.ok
    assert "FAILED: no check ran, " in certificate.summary


def test_14_a_misspelled_check_is_refused_with_the_nearest(site: Any, slime: Slime) -> None:
    site.plugin("task", REWARD)
    status, _, lines = slime("plugins", "check", "task", "--select", "reward.finit")
    assert status == 2
    assert "reward.finit" in lines[0]
    assert "did you mean 'reward.finite'?" in lines[0]


def test_15_what_is_merely_installed_changes_no_run(site: Any) -> None:
    before, _ = bind(Config(), [])
    site.plugin("pushy", REWARD + "@hookimpl\ndef slime_filter(group): return KEEP\n")
    site.plugin("loss2", "@hookimpl\ndef slime_loss(batch, policy): ...\n")
    after, bound = bind(Config(), [])
    assert after == before
    assert bound.all("slime_filter") == bound.all("slime_reward") == ()
    assert not {"slime_plugin_pushy", "slime_plugin_loss2"} & set(sys.modules)


def test_15_trust_can_be_as_fine_as_one_hook(site: Any) -> None:
    site.plugin("pushy", REWARD + "@hookimpl\ndef slime_filter(group): return KEEP\n")
    policy = Policy.of(["pushy.filter"])
    plan, bound = bind(Config(plugins=["pushy"]), load(["pushy"], policy=policy))
    assert [one.plugin for one in bound.all("slime_reward")] == ["pushy"]
    assert bound.all("slime_filter") == ()
    assert next(one.hooks for one in plan.plugins if one.name == "pushy") == ("slime_reward",)


def refusal(action: Callable[[], Any]) -> list[str]:
    """The lines of the error that an action raises."""
    from slime_hookspecs import UserError

    with pytest.raises(UserError) as caught:
        action()
    assert not isinstance(caught.value, ConfigError)
    return [line.strip() for line in str(caught.value).splitlines()]
