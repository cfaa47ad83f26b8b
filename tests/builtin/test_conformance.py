"""The built-in plugins hold the certificate that we ask of others."""

from __future__ import annotations

import time
from importlib.metadata import distribution

import pytest
from slime_hookspecs.testing import Status, run

BUILT_IN = sorted(
    p.name for p in distribution("slime-rl").entry_points.select(group="slime.plugins")
)

#: Checks that a plugin is not held to; each has its reason beside it in the plugin.
EXEMPT = {
    "majority_vote": {"group_reward.malformed_label"},
    "overlong": {"reward.empty", "reward.malformed_label"},
}
#: Tiers that are about what the plugin does.
TIERS = {
    "broadcast": {"loss"},
    "events": {"observe"},
    "grpo": {"advantage"},
    "majority_vote": {"group_reward"},
    "overlong": {"reward"},
    "policy_loss": {"loss"},
    "reward_to_go": {"loss"},
    "sft_loss": {"loss"},
    "single_turn": {"generate"},
    "tensorboard": {"observe"},
    "timing": {"wrap", "observe"},
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_plugin_passes_within_a_minute(name: str) -> None:
    start = time.monotonic()
    certificate = run(name)
    seconds = time.monotonic() - start
    assert {one.name: one.message for one in certificate.bad()} == {}
    assert certificate.ok
    skipped = {one.name: one.reason for one in certificate.outcomes if one.status is Status.SKIPPED}
    exempt = {check for check, reason in skipped.items() if reason.startswith("exempt: ")}
    assert exempt == EXEMPT.get(name, set())
    assert certificate.count(Status.EXPECTED_FAILURE) == 0
    ran = {one.tier for one in certificate.outcomes if one.status is Status.PASSED}
    assert ran - {"packaging", "declarations", "execution", "resume"} == TIERS[name]
    assert seconds < 60.0
