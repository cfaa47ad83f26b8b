"""The rollout's hooks, looked up once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import final

from slime_core.plugins import Bound, BoundHook, Plan
from slime_core.rollout.provenance import by_role, origins


@final
@dataclass(frozen=True, slots=True)
class Hooks:
    """Every hook that the rollout process calls, in plan order.

    Attributes:
        provenance: Which code fills which role, for ``Sample.provenance``.
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

    def __iter__(self) -> Iterator[BoundHook]:
        """Each hook of each plugin."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, BoundHook):
                yield value
            elif isinstance(value, tuple):
                yield from value


def look_up(bound: Bound, plan: Plan | None = None) -> Hooks:
    """The hooks of ``bound``.

    Args:
        plan: Says what code they are, for ``provenance``; without it only versions are known.

    Raises:
        PluginError: nobody fills a role that exactly one plugin must.
    """
    one = {role: bound.one(f"slime_{role}") for role in ("data_source", "generate", "advantage")}
    rewards, group_rewards = bound.all("slime_reward"), bound.all("slime_group_reward")
    chains = {
        role: bound.all(f"slime_{role}") for role in ("filter", "wrap_generate", "wrap_reward")
    }
    roles: dict[str, Sequence[BoundHook]] = {role: [hook] for role, hook in one.items()}
    roles |= {"reward": [*rewards, *group_rewards], **chains}
    return Hooks(
        **one,
        rewards=rewards,
        group_rewards=group_rewards,
        filters=chains["filter"],
        wrap_generate=chains["wrap_generate"],
        wrap_reward=chains["wrap_reward"],
        on_group=bound.all("slime_on_group"),
        on_rollout=bound.all("slime_on_rollout"),
        eval_sets=bound.all("slime_eval_sets"),
        provenance=by_role(roles, origins(plan) if plan else {}),
    )
