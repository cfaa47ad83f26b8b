"""An author is told the line of the own code that failed, and what was probably meant there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.plugins import load
from slime_core.plugins.finding import find, pick
from slime_core.plugins.watchdog import crash_message

HOME = Path("/home/me/slime-plugin-task")
EDITABLE = {"url": HOME.as_uri(), "dir_info": {"editable": True}}
COPY = {"url": HOME.as_uri(), "dir_info": {}}
MEND = f"it is installed from {HOME}; mend it there"
ALL_OF_IT = "to see all of it: python -c 'import slime_plugin_task'"


def refusal(name: str) -> list[str]:
    """The lines of the error, but for the first."""
    with pytest.raises(PluginError) as caught:
        load([name])
    return [line.strip() for line in str(caught.value).split("\n")][1:]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = hookimp", "NameError: name 'hookimp' is not defined; did you mean 'hookimpl'?"),
        (
            "from slime_hookspecs import hookimp",
            "ImportError: cannot import name 'hookimp' from 'slime_hookspecs' (FILE); "
            "did you mean 'hookimpl'?",
        ),
        (
            "import slime_hookspecs; slime_hookspecs.Promt",
            "AttributeError: module 'slime_hookspecs' has no attribute 'Promt'; "
            "did you mean 'Prompt'?",
        ),
        ("lenght(3)", "NameError: name 'lenght' is not defined"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("x = qqqq", "NameError: name 'qqqq' is not defined"),
    ],
)
def test_an_error_of_an_editable_plugin_names_its_line_and_the_nearest_name(
    site: Any, source: str, said: str
) -> None:
    site.plugin("task", source, direct_url=EDITABLE)
    what, where, cure = refusal("task")
    assert what.startswith(said.partition("FILE")[0])
    assert what.endswith(said.partition("FILE")[2])
    assert where == f"at {site.folder}/slime_plugin_task.py:2: {source}"
    assert cure == f"{MEND}; {ALL_OF_IT}"
    assert "force-reinstall" not in cure


def test_the_line_is_the_innermost_of_the_plugins_own_code(site: Any) -> None:
    site.install(
        "slime-plugin-task",
        plugins={"task": "task_pack"},
        files={
            "task_pack/__init__.py": "import task_pack.inner\n",
            "task_pack/inner.py": "import json\ndef read():\n    json.loads('{')\nread()\n",
        },
        direct_url=EDITABLE,
    )
    what, where, _ = refusal("task")
    assert what.startswith("JSONDecodeError: ")
    assert where == f"at {site.folder}/task_pack/inner.py:3: json.loads('{{')"


def test_a_syntax_error_names_its_own_line(site: Any) -> None:
    site.plugin("task", "x = 1\ndef f(:", direct_url=EDITABLE)
    what, where, cure = refusal("task")
    assert what.startswith("SyntaxError: ")
    assert where == f"at {site.folder}/slime_plugin_task.py:3: def f(:"
    assert cure.startswith(MEND)


def test_a_submodule_that_is_misspelt_is_suggested(site: Any) -> None:
    site.install(
        "slime-plugin-task",
        plugins={"task": "task_pack"},
        files={"task_pack/__init__.py": "import task_pack.scorin\n", "task_pack/scoring.py": ""},
        direct_url=EDITABLE,
    )
    what, where, _ = refusal("task")
    assert what == (
        "ModuleNotFoundError: No module named 'task_pack.scorin'; did you mean 'task_pack.scoring'?"
    )
    assert where.startswith(f"at {site.folder}/task_pack/__init__.py:1: ")


@pytest.mark.parametrize(
    ("missing", "hint"),
    [("no_such_library", ""), ("slime_hookspec", "; did you mean 'slime_hookspecs'?")],
)
def test_a_library_that_is_missing_is_to_be_installed_and_declared(
    site: Any, missing: str, hint: str
) -> None:
    site.plugin("task", f"import {missing}", direct_url=EDITABLE)
    assert refusal("task") == [
        f"ModuleNotFoundError: No module named '{missing}'{hint}",
        f"at {site.folder}/slime_plugin_task.py:2: import {missing}",
        f"to mend it: install what provides the module '{missing}' (pip install ...), and name "
        f"that in the dependencies of {HOME}/pyproject.toml",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("task_modul", "ModuleNotFoundError: No module named 'task_modul'"),
        (
            "task_module:hoks",
            "AttributeError: module 'task_module' has no attribute 'hoks'; did you mean 'hooks'?",
        ),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_to_be_mended_in_its_file(
    site: Any, value: str, said: str
) -> None:
    site.install(
        "slime-plugin-task",
        plugins={"task": value},
        files={"task_module.py": "hooks = 1"},
        direct_url=EDITABLE,
    )
    assert refusal("task") == [
        said,
        f"mend its entry point in {HOME}/pyproject.toml, then: pip install -e {HOME}",
    ]


def test_a_copy_of_a_folder_is_mended_there_and_installed_again(site: Any) -> None:
    site.plugin("task", "1 / 0", direct_url=COPY)
    what, where, cure = refusal("task")
    assert (what, where) == (
        "ZeroDivisionError: division by zero",
        f"at {site.folder}/slime_plugin_task.py:2: 1 / 0",
    )
    assert cure == f"{MEND}, and install it again: pip install {HOME}; {ALL_OF_IT}"


@pytest.mark.parametrize("direct", [None, {"url": "https://x/y.whl", "archive_info": {}}])
def test_who_installed_somebody_elses_plugin_is_told_to_install_it_again(
    site: Any, direct: dict[str, Any] | None
) -> None:
    site.plugin("task", "x = hookimp", direct_url=direct)
    assert refusal("task") == [
        "NameError: name 'hookimp' is not defined",
        f"{ALL_OF_IT}; to mend it: pip install --force-reinstall slime-plugin-task",
    ]


def test_objects_that_will_not_be_looked_into_cost_the_hint_alone(site: Any) -> None:
    source = """
    class Shy:
        def __dir__(self): raise RuntimeError("private")
    Shy().thing
    """
    site.plugin("task", source, direct_url=EDITABLE)
    assert refusal("task")[0] == "AttributeError: 'Shy' object has no attribute 'thing'"


def test_an_author_whose_plugin_ends_the_process_is_not_told_to_reinstall_it(site: Any) -> None:
    site.plugin("task", direct_url=EDITABLE)
    last = crash_message(pick("task", find())).splitlines()[-1]
    assert last == f"  to look into it: slime plugins doctor slime-plugin-task:task; {MEND}"


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ((), "its dependencies must list slime-hookspecs>=0.1,<0.2; "),
        (("slime-hookspecs<0.1",), ""),
    ],
)
def test_an_author_mends_the_range_of_the_contract_in_the_folder(
    site: Any, requires: tuple[str, ...], said: str
) -> None:
    site.plugin("task", direct_url=EDITABLE, requires=requires)
    assert refusal("task") == [f"{said}edit {HOME}/pyproject.toml, then: pip install -e {HOME}"]


CUDA = """
import sys, types
sys.modules["torch"] = torch = types.ModuleType("torch")
torch.cuda = types.SimpleNamespace(is_initialized=lambda: True)
"""


def test_an_author_who_uses_a_gpu_at_import_is_not_sent_for_a_newer_release(site: Any) -> None:
    site.plugin("task", CUDA, direct_url=EDITABLE)
    program = (
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        "from slime_core.plugins import load\nload(['task'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].strip() == f"it may do so in its hooks only; {MEND}"
