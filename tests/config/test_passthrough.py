"""Raw options are taken out of the command line without losing or inventing a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import ConfigError

from slime_core.config.passthrough import split

WORDS = st.from_regex(r"[a-z0-9/=.:]{1,6}", fullmatch=True)
NUMBERS = st.sampled_from(["-1", "-0.5", "-.5", "-1e-4"])
RAW = st.sampled_from(["--sglang-a-b", "--router-x", "--megatron-lr", "--math-dapo.task"])
CORE = st.sampled_from(["--steps", "--model", "--colocate", "--no-rollout-save", "-h"])


def words_in(value: object) -> list[str]:
    if isinstance(value, list):
        return [word for item in value for word in words_in(item)]
    return [value] if isinstance(value, str) else []


@given(st.lists(st.tuples(RAW, st.lists(WORDS | NUMBERS, max_size=3)), max_size=5))
def test_every_word_behind_a_raw_option_is_kept_in_order(
    options: list[tuple[str, list[str]]],
) -> None:
    argv = [word for flag, values in options for word in (flag, *values)]
    rest, found = split(argv)
    assert rest == []
    assert len(found) == len({flag for flag, _ in options})
    for key, value in found.items():
        flag = "--math-dapo.task" if key[0] == "plugin" else "--" + "-".join(key).replace("_", "-")
        assert words_in(value) == [word for name, said in options if name == flag for word in said]


@given(st.lists(CORE | WORDS, max_size=6))
def test_what_belongs_to_the_core_is_left_as_it_was(argv: list[str]) -> None:
    assert split(argv) == (argv, {})


@given(st.lists(CORE, min_size=1, max_size=3), RAW, WORDS)
def test_raw_and_core_options_may_be_mixed(core: list[str], flag: str, word: str) -> None:
    rest, found = split([*core, flag, word, *core])
    assert rest == [*core, *core]
    assert list(found.values()) == [word]


@pytest.mark.parametrize("flag", ["--sglang-", "--sglang", "--.x", "--a.", "--sglangx-y"])
def test_what_only_looks_like_a_raw_option_is_none(flag: str) -> None:
    assert split([flag]) == ([flag], {})


@pytest.mark.parametrize("section", ["rollout", "engine", "train", "weights", "eval", "router"])
def test_a_dot_where_a_dash_belongs_is_refused(section: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean --{section}-some-field"):
        split([f"--{section}.some_field", "1"])
