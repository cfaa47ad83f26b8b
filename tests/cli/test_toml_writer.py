"""What ``--dry-run`` writes is TOML that reads back as the same values."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slime_core.cli import toml

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
TABLES = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4)


@given(VALUES)
def test_any_value_reads_back_as_itself(value: Any) -> None:
    assert tomllib.loads(f"x = {toml.value(value)}") == {"x": value}


@given(TABLES, st.dictionaries(TEXTS, TABLES, max_size=3))
def test_a_document_reads_back_with_all_its_tables(
    sglang: dict[str, Any], plugins: dict[str, Any]
) -> None:
    tree = {"steps": 3, "rollout": {"top_p": 0.5}, "sglang": sglang, "plugin": plugins}
    written = toml.document(tree, {})
    expected = tree if plugins else {k: v for k, v in tree.items() if k != "plugin"}
    assert tomllib.loads(written) == expected


def test_a_source_is_a_comment_behind_its_value() -> None:
    tree = {"steps": 3, "seed": 0, "rollout": {"top_p": 0.5}}
    sources = {("steps",): "command line", ("rollout", "top_p"): "run.toml"}
    assert toml.document(tree, sources).splitlines() == [
        f"{'steps = 3':<48}  # command line",
        "seed = 0",
        "",
        "[rollout]",
        f"{'top_p = 0.5':<48}  # run.toml",
    ]


def test_an_empty_table_is_left_out() -> None:
    assert toml.document({"steps": 1, "sglang": {}}, {}) == "steps = 1\n"
