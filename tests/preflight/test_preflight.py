"""What is found wrong before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from slime_hookspecs.errors import ConfigError

from slime_core import preflight
from slime_core.config.schema import Config, EngineConfig, RolloutConfig, TrainConfig
from slime_core.placement.layout import check_local, check_resources, plan_layout


def lacking(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make modules look as if they were not installed."""
    monkeypatch.setattr(preflight, "is_importable", lambda module: module not in modules)


def test_a_missing_engine_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "sglang", "megatron.core")
    with pytest.raises(ConfigError, match=r"not installed: megatron-core, sglang; .*pip install"):
        preflight.check_installed(Config())


def test_an_engine_that_the_run_does_not_start_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking(monkeypatch, "sglang", "sglang_router")
    preflight.check_installed(Config(engine=EngineConfig(servers=0)))
    lacking(monkeypatch, "megatron.core", "safetensors")
    preflight.check_installed(Config(debug_rollout_only=True))


def test_a_parent_that_is_missing_makes_a_module_missing() -> None:
    assert preflight.is_importable("json.decoder")
    assert not preflight.is_importable("no_such_package.core")


def test_replay_without_saved_rollouts_is_refused(tmp_path: Path) -> None:
    config = Config(debug_train_only=True, rollout=RolloutConfig(replay=tmp_path))
    with pytest.raises(ConfigError, match="no saved rollouts there"):
        preflight.check_replay(config)


def test_more_ranks_than_cores_are_refused_unless_they_may_share() -> None:
    train = TrainConfig(dp=64)
    with pytest.raises(ConfigError, match=r"needs 64 CPUs .*Ray has 2: .*--ray-cpus"):
        check_local(Config(train=train, ray_cpus=2))
    check_local(Config(train=train, ray_cpus=64))


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (Config(), "needs 2 GPUs for 1 trainer rank (tp 1 x pp 1 x dp 1) and 1 server of tp 1 on"),
        (
            Config(engine=EngineConfig(servers=2), train=TrainConfig(dp=2)),
            "needs 4 GPUs for 2 trainer ranks (tp 1 x pp 1 x dp 2) and 2 servers of tp 1 on",
        ),
        (Config(colocate=True), "needs 1 GPU for 1 trainer rank"),
    ],
)
def test_what_does_not_fit_is_counted_in_words_that_agree(config: Config, needs: str) -> None:
    layout = plan_layout(config, gpus=1)
    with pytest.raises(ConfigError) as caught:
        check_resources(layout, config, {"GPU": 0})
    assert needs in str(caught.value)


@pytest.mark.parametrize(
    ("colocate", "bundles", "servers"),
    [(False, 8, ((4, 5), (6, 7))), (True, 4, ((0, 1), (2, 3)))],
    ids=["apart", "colocated"],
)
def test_servers_take_gpus_of_their_own_or_the_trainers(
    colocate: bool, bundles: int, servers: tuple[tuple[int, ...], ...]
) -> None:
    config = Config(
        colocate=colocate, train=TrainConfig(tp=2, dp=2), engine=EngineConfig(servers=2, tp=2)
    )
    layout = plan_layout(config, gpus=8)
    assert (layout.bundles, layout.ranks, layout.servers) == (bundles, (0, 1, 2, 3), servers)
