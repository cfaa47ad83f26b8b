"""The short way to judge requirements never accepts what the long way would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from slime_hookspecs import PluginError

from slime_core.plugins.catalog import catalog
from slime_core.plugins.plain import surely_met
from slime_core.plugins.requirements import check

API = "slime-hookspecs>=0.1,<0.2"
INSTALLED = {"slime-hookspecs": "0.1.0", "sympy": "1.12", "torch": "2.9.0+cpu", "beta": "1.0rc1"}


@pytest.mark.parametrize(
    ("requires", "sure"),
    [
        ([API], True),
        (["slime-hookspecs<0.2,>=0.1"], True),
        (["Slime_Hookspecs (>=0.1, <0.2)"], True),
        (["slime-hookspecs"], True),
        ([API, "sympy"], True),
        ([API, "sympy>=1.12", "sympy<1.13"], True),
        ([API, "sympy>=1.12.0.0"], True),
        ([API, "nothing>=9; extra == 'gpu'", 'nothing ; extra=="dev"'], True),
        ([], False),
        (["sympy"], False),
        (["slime-hookspecs>=0.2"], False),
        (["slime-hookspecs<0.1"], False),
        ([API, "nothing"], False),
        ([API, "sympy<1.12"], False),
        ([API, "sympy>=1.12.1"], False),
        # Met or not: these are for the long way.
        (["slime-hookspecs~=0.1.0"], False),
        ([API, "sympy==1.12"], False),
        ([API, "sympy!=1.11"], False),
        ([API, "sympy>1"], False),
        ([API, "torch>=2.9"], False),
        ([API, "beta>=1.0"], False),
        ([API, "sympy>=1.0rc1"], False),
        ([API, "sympy[all]>=1"], False),
        ([API, "nothing; sys_platform == 'none'"], False),
        ([API, "nothing; extra == 'gpu' or sys_platform != 'none'"], False),
        ([API, "sympy @ file:///sympy"], False),
        ([API, "what >>> is this"], False),
        ([API, "sympy,"], False),
        ([API, "sympy (>=1"], False),
        ([API, "sympy>=1)"], False),
        ([API, "sympy-"], False),
        ([API, ""], False),
    ],
)
def test_only_what_is_plain_and_met_is_sure(requires: list[str], sure: bool) -> None:
    assert surely_met(requires, INSTALLED.get) is sure


numbers = st.lists(st.sampled_from([0, 1, 2, 10, 12]), min_size=1, max_size=4)
releases = numbers.map(lambda parts: ".".join(map(str, parts)))
bounds = st.builds("{}{}".format, st.sampled_from([">=", "<", ">", "==", "~=", "<= "]), releases)


@given(have=releases, wanted=st.lists(bounds, max_size=3))
def test_what_is_sure_is_what_packaging_says(have: str, wanted: list[str]) -> None:
    text = f"sympy{','.join(wanted)}"
    met = _met(text, have)
    sure = surely_met([API, text], (INSTALLED | {"sympy": have}).get)
    assert sure <= met
    if all(one.startswith((">=", "< ", "<1", "<2", "<0")) for one in wanted):
        assert sure is met


def _met(text: str, have: str) -> bool:
    try:
        return Requirement(text).specifier.contains(have, prereleases=True)
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("requires", "status"),
    [
        ([API], "ok"),
        (["slime-hookspecs~=0.1.0"], "ok"),
        (["slime-hookspecs>=0.9"], "broken"),
        ([API, "no-such-package"], "broken"),
        ([API, "pluggy>=99"], "broken"),
        ([API, "what >>> is this"], "broken"),
        ([], "broken"),
    ],
)
def test_the_list_says_what_a_run_would_say(site: Any, requires: list[str], status: str) -> None:
    site.plugin("one", requires=requires)
    entry = next(one for one in catalog() if one.plugin.name == "one")
    assert entry.status == status
    assert entry.detail == _refusal(entry.plugin)


def _refusal(plugin: Any) -> str:
    try:
        check(plugin)
    except PluginError as error:
        return str(error)
    return ""
