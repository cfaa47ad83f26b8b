"""Every check can fail: each has a culprit in the zoo, which it and no other catches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slime_hookspecs.testing import Certificate, run
from slime_hookspecs.testing.checks import registered


@pytest.fixture(scope="module")
def certificates(zoo: dict[str, Any]) -> dict[str, Certificate]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(lambda culprit: run(culprit.spelling), zoo.values())
        return dict(zip(zoo, found, strict=True))


def test_a_culprit_is_caught_by_exactly_its_check(
    culprit: Any, certificates: dict[str, Certificate]
) -> None:
    certificate = certificates[culprit.folder.name]
    assert {one.name: one.message for one in certificate.bad()}.keys() == {culprit.caught_by}
    assert not certificate.ok


def test_every_check_has_a_culprit(zoo: dict[str, Any]) -> None:
    assert set(registered()) - {culprit.caught_by for culprit in zoo.values()} == set()
