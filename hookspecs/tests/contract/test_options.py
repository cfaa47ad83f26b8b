"""Numbers outside their range are refused in one form of words, whoever's option they are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import pytest
from slime_hookspecs import ConfigError
from slime_hookspecs.options import check_ranges


@dataclass(frozen=True)
class Options:
    turns: int = 1
    share: float = 0.5
    limit: int | None = None

    def __post_init__(self) -> None:
        check_ranges("my_task", self, turns=(1, None), share=(0.0, 1.0), limit=(1, 9))


@pytest.mark.parametrize("turns", [1, 2, 10**12])
@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("limit", [None, 1, 9])
def test_both_ends_belong_to_a_range(turns: int, share: float, limit: int | None) -> None:
    assert Options(turns, share, limit).turns == turns


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"turns": 0}, "my_task.turns is 0; it must be 1 or more"),
        ({"share": 1.5}, "my_task.share is 1.5; it must be 0.0 to 1.0"),
        ({"share": -0.1}, "my_task.share is -0.1; it must be 0.0 to 1.0"),
        ({"share": nan}, "my_task.share is nan; it must be 0.0 to 1.0"),
        ({"share": inf}, "my_task.share is inf; it must be 0.0 to 1.0"),
        ({"turns": nan}, "my_task.turns is nan; it must be 1 or more"),
        ({"limit": 10}, "my_task.limit is 10; it must be 1 to 9"),
        ({"turns": 0, "share": 2.0}, "my_task.turns is 0; it must be 1 or more"),
    ],
)
def test_a_number_outside_is_refused_with_the_option_and_its_range(
    wrong: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        Options(**wrong)  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_an_option_that_is_not_there_is_the_plugins_own_mistake() -> None:
    with pytest.raises(AttributeError, match="turms"):
        check_ranges("my_task", Options(), turms=(1, None))
