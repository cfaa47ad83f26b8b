"""The rollout's hooks, looked up once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from slime_core.plugins import Bound, BoundHook


@final
@dataclass(frozen=True, slots=True)
class Hooks:
    """Every hook that the rollout process calls, in plan order.

    Attributes:
        provenance: Which plugin and version fills which role, for ``Sample.provenance``.
    """

    data_source: BoundHook
    generate: BoundHook
    advantage: BoundHook
    rewards: tuple[BoundHook, ...]
    group_rewards: tuple[BoundHook, ...]
    filters: tuple[BoundHook, ...]
    wrap_generate: tuple[BoundHook, ...]
    wrap_reward: tuple[BoundHook, ...]
    on_group: tuple[BoundHook, ...]
    on_rollout: tuple[BoundHook, ...]
    eval_sets: tuple[BoundHook, ...]
    provenance: dict[str, str]

    @property
    def pooled(self) -> bool:
        """Whether any reward is a plain function, so that worker processes are needed."""
        return any(not hook.is_async for hook in (*self.rewards, *self.group_rewards))


def look_up(bound: Bound) -> Hooks:
    """The hooks of ``bound``.

    Raises:
        PluginError: nobody fills a role that exactly one plugin must.
    """
    one = {role: bound.one(f"slime_{role}") for role in ("data_source", "generate", "advantage")}
    rewards = bound.all("slime_reward")
    group_rewards = bound.all("slime_group_reward")
    provenance = {role: _name(hook) for role, hook in one.items()}
    if rewards or group_rewards:
        provenance["reward"] = ", ".join(_name(hook) for hook in (*rewards, *group_rewards))
    return Hooks(
        **one,
        rewards=rewards,
        group_rewards=group_rewards,
        filters=bound.all("slime_filter"),
        wrap_generate=bound.all("slime_wrap_generate"),
        wrap_reward=bound.all("slime_wrap_reward"),
        on_group=bound.all("slime_on_group"),
        on_rollout=bound.all("slime_on_rollout"),
        eval_sets=bound.all("slime_eval_sets"),
        provenance=provenance,
    )


def _name(hook: BoundHook) -> str:
    return f"{hook.plugin} {hook.version}"
