"""Plugins are found from metadata, in one order, and a name means one plugin or is an error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError

from slime_core.plugins import Plugin, find, installed, load
from slime_core.plugins.finding import pick

API = "slime-hookspecs>=0.1,<0.2"


def here(site: Any) -> list[Plugin]:
    return [plugin for plugin in find() if plugin.location == str(site.folder)]


def plugin(site: Any, name: str, distribution: str, version: str = "1.0") -> Plugin:
    module = f"slime_plugin_{name}"
    return Plugin(name, distribution, version, module, (API,), str(site.folder))


def test_plugins_come_sorted_by_entry_name_and_distribution(site: Any) -> None:
    for entry in ("zebra", "apple", "mango"):
        site.plugin(entry)
    site.install("other-fruit", plugins={"apple": "slime_plugin_apple"})
    site.install("a-fruit", plugins={"plum": "slime_plugin_plum"})
    assert here(site) == [
        plugin(site, "apple", "other-fruit"),
        plugin(site, "apple", "slime-plugin-apple"),
        plugin(site, "mango", "slime-plugin-mango"),
        plugin(site, "plum", "a-fruit"),
        plugin(site, "zebra", "slime-plugin-zebra"),
    ]


def test_the_order_of_the_file_system_plays_no_part(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in ("b", "a", "c"):
        site.plugin(entry)
    forward = here(site)
    seen = list(installed.entries())
    monkeypatch.setattr(installed, "entries", lambda: reversed(seen))
    assert here(site) == forward
    assert [one.name for one in forward] == ["a", "b", "c"]


def test_finding_imports_no_plugin(site: Any) -> None:
    site.plugin("loud", "raise RuntimeError('imported')")
    assert [one.name for one in here(site)] == ["loud"]
    assert "slime_plugin_loud" not in sys.modules


def test_loading_one_plugin_does_not_import_another_that_is_merely_installed(site: Any) -> None:
    site.plugin("wanted")
    site.plugin("bystander", "raise RuntimeError('imported')")
    load(["wanted"])
    assert "slime_plugin_wanted" in sys.modules
    assert "slime_plugin_bystander" not in sys.modules


def test_metadata_is_parsed_only_where_an_entry_point_names_a_plugin(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("one")
    site.install("plain-library", files={"plain_library.py": ""})
    (site.folder / "plain_library-1.0.dist-info" / "entry_points.txt").write_text(
        "[other]\na = b\n"
    )
    parsed = []
    parse = installed.HeaderParser.parsestr
    monkeypatch.setattr(
        installed.HeaderParser,
        "parsestr",
        lambda self, text: parsed.append(text) or parse(self, text),
    )
    find()
    assert any("Name: slime-plugin-one" in text for text in parsed)
    assert not any("plain-library" in text for text in parsed)


def test_an_earlier_folder_on_the_path_shadows_a_later_one(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("one", version="1.0")
    newer = type(site)(tmp_path / "newer")
    newer.plugin("one", version="2.0")
    monkeypatch.syspath_prepend(str(newer.folder))
    assert [p.version for p in find() if p.name == "one"] == ["2.0"]


def test_a_folder_that_stands_on_the_path_twice_counts_once(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.plugin("one")
    monkeypatch.syspath_prepend(str(site.folder))
    assert sys.path.count(str(site.folder)) == 2
    assert here(site) == [plugin(site, "one", "slime-plugin-one")]
    assert [one.name for one in load(["one"])] == ["one"]


def test_a_name_that_two_distributions_claim_is_an_error_only_when_asked_for(site: Any) -> None:
    site.plugin("maths")
    site.install("other-maths", "2.0", plugins={"maths": "slime_plugin_maths"})
    site.plugin("innocent")
    assert [one.name for one in load(["innocent"])] == ["innocent"]
    with pytest.raises(PluginError) as caught:
        load(["maths"])
    assert str(caught.value) == (
        "several distributions claim the plugin name 'maths'; pick one\n"
        "  other-maths 2.0: --plugin other-maths:maths\n"
        "  slime-plugin-maths 1.0: --plugin slime-plugin-maths:maths"
    )


@pytest.mark.parametrize("spelling", ["other-maths:maths", "Other_Maths:maths"])
def test_the_exact_spelling_picks_one_of_two(site: Any, spelling: str) -> None:
    site.plugin("maths")
    site.install("other-maths", "2.0", plugins={"maths": "slime_plugin_maths"})
    (loaded,) = load([spelling])
    assert loaded.plugin == plugin(site, "maths", "other-maths", "2.0")


def test_one_distribution_installed_twice_in_a_folder_is_an_error(site: Any) -> None:
    site.plugin("one", version="1.0")
    site.plugin("one", version="2.0")
    with pytest.raises(PluginError, match=r"installed twice in .*, as 1\.0 and 2\.0") as caught:
        pick("one", find())
    assert "pip uninstall slime-plugin-one" in str(caught.value)


def test_two_plugins_of_one_name_cannot_be_in_one_run(site: Any) -> None:
    site.plugin("maths")
    site.install("other-maths", plugins={"maths": "slime_plugin_maths"})
    with pytest.raises(PluginError, match="are both called 'maths'"):
        load(["other-maths:maths", "slime-plugin-maths:maths"])


def test_a_repeated_name_counts_once_and_the_order_is_that_of_the_request(site: Any) -> None:
    site.plugin("a")
    site.plugin("b")
    assert [one.name for one in load(["b", "a", "slime-plugin-b:b"])] == ["b", "a"]


def test_an_unknown_plugin_gets_the_nearest_names_and_the_pip_command(site: Any) -> None:
    site.plugin("math_dapo2")
    with pytest.raises(PluginError) as caught:
        load(["math-dapoo2"])
    first, second, third = str(caught.value).split("\n")
    assert first.startswith("unknown plugin 'math-dapoo2': nothing installed has this name; did")
    assert "did you mean 'math_dapo2'" in first
    assert second.startswith(f"  installed in {sys.prefix}: ")
    assert "math_dapo2" in second
    assert third == "  to install it: pip install slime-plugin-math-dapoo2"


def test_underscores_become_dashes_in_the_pip_command() -> None:
    with pytest.raises(PluginError, match=r"pip install slime-plugin-no-such-task$"):
        load(["no_such_task"])


def test_an_unknown_exact_spelling_names_its_distribution(site: Any) -> None:
    site.plugin("a")
    with pytest.raises(PluginError, match=r"pip install some-dist$") as caught:
        load(["Some_Dist:a"])
    assert "slime-plugin-a:a" in str(caught.value)


def test_only_one_module_reads_distribution_metadata() -> None:
    package = Path(installed.__file__).parent
    readers = {
        path.name
        for path in package.glob("*.py")
        if "importlib_metadata" in path.read_text() or "importlib.metadata" in path.read_text()
    }
    assert readers == {"installed.py"}
