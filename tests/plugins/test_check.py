"""Whether a plugin can run here is told before it is imported, with the pip command that helps."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from slime_hookspecs import PluginError

from slime_core.plugins import load
from slime_core.plugins.catalog import requires_api
from slime_core.plugins.requirements import serves

API = "slime-hookspecs>=0.1,<0.2"


def refusal(name: str) -> str:
    with pytest.raises(PluginError) as caught:
        load([name])
    assert f"slime_plugin_{name}" not in sys.modules
    return str(caught.value)


def test_a_plugin_for_a_newer_contract_is_refused(site: Any) -> None:
    site.plugin("future", requires=["slime-hookspecs>=0.9,<0.10"])
    assert refusal("future") == (
        "plugin future (slime-plugin-future 1.0) needs slime-hookspecs<0.10,>=0.9, "
        "this host serves 0.1 (slime-hookspecs 0.1.0)\n"
        "  to mend it: pip install --upgrade slime-rl slime-hookspecs"
    )


def test_a_plugin_for_an_older_contract_is_refused(site: Any) -> None:
    site.plugin("past", requires=["slime-hookspecs<0.1"])
    assert refusal("past").endswith("pip install --upgrade slime-plugin-past")


def test_a_plugin_that_names_no_contract_is_refused(site: Any) -> None:
    site.plugin("vague", requires=[])
    message = refusal("vague")
    assert "does not say which version of the contract" in message
    assert message.endswith("pip install --upgrade slime-plugin-vague")


def test_the_name_of_the_contract_may_be_spelled_in_any_way(site: Any) -> None:
    site.plugin("spelled", requires=["Slime_Hookspecs ~= 0.1.0"])
    assert [one.name for one in load(["spelled"])] == ["spelled"]


@pytest.mark.parametrize(
    ("wanted", "api", "release", "served"),
    [
        (">=0.1,<0.2", "0.1", "0.1.4", True),
        (">=0.1,<0.2", "0.2", "0.2.0", True),
        (">=0.1.3,<0.2", "0.2", "0.2.0", True),
        (">=0.1,<0.2", "0.3", "0.3.0", False),
        (">=0.3,<0.4", "0.2", "0.2.9", False),
        (">=0.1,<0.2", "0.1", "0.1.0rc1", False),
        (">=0.2rc1,<0.3", "0.2", "0.2rc1", True),
        (">=1.0,<1.1", "1.1", "1.1.2", True),
    ],
)
def test_a_host_serves_its_minor_version_and_the_one_before(
    wanted: str, api: str, release: str, served: bool
) -> None:
    assert serves(SpecifierSet(wanted), api, release) is served


def test_unmet_requirements_are_listed_with_what_is_there(site: Any) -> None:
    site.plugin("needy", requires=[API, "pluggy>=99", "no-such-package>=2", "packaging>=1"])
    assert refusal("needy").split("\n") == [
        "plugin needy (slime-plugin-needy 1.0) has requirements that are not met",
        "  pluggy>=99 (1.7.0 is installed)",
        "  no-such-package>=2 (not installed)",
        "  to mend it: pip install 'pluggy>=99' 'no-such-package>=2'",
    ]


def test_requirements_for_other_platforms_and_extras_do_not_count(site: Any) -> None:
    site.plugin(
        "quiet",
        requires=[API, "no-such-package; sys_platform == 'none'", "no-such; extra == 'gpu'"],
    )
    assert [one.name for one in load(["quiet"])] == ["quiet"]


def test_an_unreadable_requirement_is_an_error_that_quotes_it(site: Any) -> None:
    site.plugin("garbled", requires=[API, "what >>> is this"])
    assert "cannot read its requirement 'what >>> is this'" in refusal("garbled")


def test_a_distribution_without_metadata_is_named_as_broken(site: Any) -> None:
    site.plugin("ghost", metadata=False)
    assert f"its folder in {site.folder} has no METADATA" in refusal("ghost")


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        (["slime-hookspecs>=0.1,<0.2"], ">=0.1,<0.2"),
        (["Slime_Hookspecs (>=0.1, <0.2)"], ">=0.1,<0.2"),
        (["slime-hookspecs[testing]>=0.1,<0.2"], ">=0.1,<0.2"),
        (["slime-hookspecs[testing]>=0.1,<0.2; extra == 'dev'"], ""),
        (["slime-hookspecs[testing]<0.3; extra == 'dev'", "slime-hookspecs<0.2"], "<0.2"),
        (["slime-hookspecs"], ""),
        (["slime-hookspecs-extras>=3", "slime_hookspecs~=0.1.0"], "~=0.1.0"),
    ],
)
def test_what_a_plugin_was_written_for_is_what_everybody_needs(
    requires: list[str], found: str
) -> None:
    assert requires_api(requires) == found
