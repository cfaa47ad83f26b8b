"""A plugin that cannot be imported is one clear error that names it, and nothing else breaks."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.plugins import load
from slime_core.plugins.loading import load_exactly


def failure(name: str) -> PluginError:
    with pytest.raises(PluginError) as caught:
        load([name])
    return caught.value


def test_a_module_is_loaded_as_the_plugin_object(site: Any) -> None:
    site.plugin("plain", "answer = 42")
    (loaded,) = load(["plain"])
    assert (loaded.name, loaded.display) == ("plain", "plain (slime-plugin-plain 1.0)")
    assert loaded.object.answer == 42


def test_an_entry_point_may_name_an_instance(site: Any) -> None:
    site.install(
        "deep",
        plugins={"deep": "deep_module:Outer.inner"},
        files={"deep_module.py": "class Outer: inner = 7"},
    )
    assert load(["deep"])[0].object == 7


def test_a_missing_module_is_named_with_the_plugin_that_wants_it(site: Any) -> None:
    site.plugin("broken", "import definitely_missing")
    error = failure("broken")
    assert str(error).split("\n") == [
        "plugin broken (slime-plugin-broken 1.0) cannot be loaded from entry point "
        "broken = slime_plugin_broken (module slime_plugin_broken)",
        "  ModuleNotFoundError: No module named 'definitely_missing'",
        "  to mend it: install what provides the module 'definitely_missing' (pip install ...)",
    ]
    assert isinstance(error.__cause__, ModuleNotFoundError)


def test_a_plugin_whose_own_module_is_missing_should_be_reinstalled(site: Any) -> None:
    site.install("hollow", plugins={"hollow": "hollow_module"})
    assert str(failure("hollow")).endswith("pip install --force-reinstall hollow")


def test_an_entry_point_to_a_missing_attribute_is_an_error(site: Any) -> None:
    site.install(
        "hollow", plugins={"hollow": "hollow_module:thing"}, files={"hollow_module.py": ""}
    )
    assert "AttributeError: module 'hollow_module' has no attribute 'thing'" in str(
        failure("hollow")
    )


def test_a_plugin_that_exits_at_import_does_not_end_the_host(site: Any) -> None:
    site.plugin("quitter", "import sys\nsys.exit(3)")
    error = failure("quitter")
    assert "it called sys.exit(3) while it was imported" in str(error)
    assert isinstance(error.__cause__, SystemExit)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("raise RuntimeError('no GPU')", "RuntimeError: no GPU"),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_whatever_an_import_raises_is_shown_with_its_type(
    site: Any, source: str, shown: str
) -> None:
    site.plugin("wild", source)
    error = failure("wild")
    assert shown in str(error)
    assert type(error.__cause__).__name__ == shown.partition(":")[0]


def test_an_interrupt_during_an_import_passes(site: Any) -> None:
    site.plugin("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load(["slow"])


def test_loading_exactly_looks_at_one_distribution_only(site: Any) -> None:
    site.plugin("maths")
    site.install("other-maths", "2.0", plugins={"maths": "slime_plugin_maths"})
    assert load_exactly("other-maths", "maths").display == "maths (other-maths 2.0)"


@pytest.mark.parametrize(("distribution", "name"), [("not-there", "a"), ("slime-rl", "no_such")])
def test_a_planned_plugin_that_is_not_installed_names_machine_and_command(
    distribution: str, name: str
) -> None:
    with pytest.raises(PluginError, match=f"is not installed on .*\n.*pip install {distribution}$"):
        load_exactly(distribution, name)
