"""Passive mode: a hook's first calls of a run are checked, then it is called as it is.

A checked hook stands in the place of the plain one, so that calls which are no longer checked cost
nothing: they are other functions, not a branch in the same one. Only calls that kept every promise
count, so a hook that breaks one goes on to be looked at and never slips through in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeAlias, final

from slime_hookspecs import AnyContext, Engine, Group, PluginError, Sample, Segment, promises

from slime_core.plugins import Bound, BoundHook
from slime_core.rollout.hooks import Hooks
from slime_core.rollout.listening import Listener

Kept: TypeAlias = Callable[[], None]
"""Told of each call that kept its promises."""

Checked: TypeAlias = Callable[[BoundHook, Kept], Callable[..., Any]]
"""From a hook to a function that is called instead of it."""


@final
class LiveChecks:
    """Which hooks are still checked, and how many more of their calls.

    Args:
        count: Calls of each hook to check; 0 checks none.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._left: dict[tuple[str, str], int] = {}

    def left(self, hook: BoundHook) -> int:
        """Calls of a hook that are still to be checked."""
        return self._left.get((hook.plugin, hook.hook), self._count)

    def kept(self, hook: BoundHook) -> None:
        """A call kept its promises."""
        self._left[hook.plugin, hook.hook] = self.left(hook) - 1

    def watch(self, hooks: Hooks) -> Hooks:
        """The same hooks, with those checked that still are and that run in this process."""
        return replace(
            hooks,
            generate=self.hook(hooks.generate),
            advantage=self.hook(hooks.advantage),
            rewards=tuple(map(self._here, hooks.rewards)),
            group_rewards=tuple(map(self._here, hooks.group_rewards)),
            filters=tuple(map(self.hook, hooks.filters)),
            wrap_generate=tuple(map(self.hook, hooks.wrap_generate)),
            wrap_reward=tuple(map(self.hook, hooks.wrap_reward)),
        )

    def watch_pooled(self, bound: Bound) -> Bound:
        """The same plugins, with rewards that are plain functions checked: for their process."""
        names = ("slime_reward", "slime_group_reward")
        checked = {
            name: tuple(hook if hook.is_async else self.hook(hook) for hook in bound.all(name))
            for name in names
        }
        return replace(bound, hooks={**bound.hooks, **checked})

    def hook(self, hook: BoundHook) -> BoundHook:
        """The same hook, checked for as long as it is to be; the hook itself afterwards."""
        return replace(hook, call=_Swapping(self, hook)) if self.left(hook) > 0 else hook

    def _here(self, hook: BoundHook) -> BoundHook:
        return self.hook(hook) if hook.is_async else hook


@final
class _Swapping:
    """Calls the checked function, and the plain one as soon as enough calls kept the promise."""

    __slots__ = ("_checks", "_hook", "_target")

    def __init__(self, checks: LiveChecks, hook: BoundHook) -> None:
        self._checks = checks
        self._hook = hook
        self._target = CHECKED[hook.hook](hook, self._kept)

    def __call__(self, *arguments: Any) -> Any:
        return self._target(*arguments)

    def _kept(self) -> None:
        self._checks.kept(self._hook)
        if self._checks.left(self._hook) <= 0:
            self._target = self._hook.call


def refuse(hook: BoundHook, where: str, wrongs: Iterable[str | None]) -> None:
    """Raise for the first promise that was broken; the rest is not looked at.

    Raises:
        PluginError: with who, where, what was found, and what would be right.
    """
    wrong = next(filter(None, wrongs), None)
    if wrong is not None:
        raise PluginError(
            f"plugin {hook.plugin} {hook.version}, {hook.hook}, {where}: {wrong} "
            f"(slime plugins check {hook.plugin} looks at all promises)"
        )


def _generate(hook: BoundHook, kept: Kept) -> Callable[..., Any]:
    async def checked(sample: Sample, engine: Engine, ctx: AnyContext) -> Any:
        before, prompt = sample.trace.segments, repr(sample.prompt)
        heard = Listener(engine)
        answer = await hook.call(sample, heard, ctx)
        refuse(hook, _of(sample), _answer_wrongs(sample, before, prompt, answer))
        refuse(hook, _of(sample), _sampled_wrongs(before, heard, answer))
        kept()
        return answer

    return checked


def _wrap_generate(hook: BoundHook, kept: Kept) -> Callable[..., Any]:
    async def checked(call_next: Any, sample: Sample, engine: Engine, ctx: AnyContext) -> Any:
        before, prompt = sample.trace.segments, repr(sample.prompt)
        counted = _Counted(call_next)
        answer = await hook.call(counted, sample, engine, ctx)
        refuse(hook, _of(sample), (promises.called_again(counted.calls),))
        refuse(hook, _of(sample), _answer_wrongs(sample, before, prompt, answer))
        kept()
        return answer

    return checked


def _wrap_reward(hook: BoundHook, kept: Kept) -> Callable[..., Any]:
    async def checked(call_next: Any, sample: Sample, ctx: AnyContext) -> Any:
        prompt, counted = repr(sample.prompt), _Counted(call_next)
        value = await hook.call(counted, sample, ctx)
        wrongs = (
            promises.called_again(counted.calls),
            promises.wrong_reward(value),
            promises.changed_prompt(prompt, sample.prompt),
        )
        refuse(hook, _of(sample), wrongs)
        kept()
        return value

    return checked


def _reward(hook: BoundHook, kept: Kept) -> Callable[..., Any]:
    def judge(before: dict[str, Any], sample: Sample, value: Any) -> Any:
        wrongs = (promises.wrong_reward(value), promises.mutated(before, sample))
        refuse(hook, _of(sample), wrongs)
        kept()
        return value

    async def awaited(sample: Sample, ctx: AnyContext) -> Any:
        before = promises.snapshot(sample)
        return judge(before, sample, await hook.call(sample, ctx))

    def called(sample: Sample, ctx: AnyContext) -> Any:
        before = promises.snapshot(sample)
        return judge(before, sample, hook.call(sample, ctx))

    return awaited if hook.is_async else called


def _of_group(wrong: Callable[[Group, Any], str | None]) -> Checked:
    """Checks hooks that judge a group and change nothing of it."""

    def make(hook: BoundHook, kept: Kept) -> Callable[..., Any]:
        def judge(members: list[Sample], before: list[Any], group: Group, value: Any) -> Any:
            mutated = promises.mutated_group(members, before, group)
            where = f"group {group.index} of prompt {group.prompt.id!r}"
            # A changed list makes the answer wrong too, so it is named first.
            refuse(hook, where, (mutated, mutated or wrong(group, value)))
            kept()
            return value

        async def awaited(group: Group, ctx: AnyContext) -> Any:
            members, before = list(group.samples), list(map(promises.snapshot, group.samples))
            return judge(members, before, group, await hook.call(group, ctx))

        def called(group: Group, ctx: AnyContext) -> Any:
            members, before = list(group.samples), list(map(promises.snapshot, group.samples))
            return judge(members, before, group, hook.call(group, ctx))

        return awaited if hook.is_async else called

    return make


def _wrong_verdict(group: Group, verdict: Any) -> str | None:
    return (
        promises.wrong_verdict(verdict)
        or promises.wrong_rejected(group, verdict)
        or promises.wrong_reason(verdict)
    )


#: How each hook is checked.
CHECKED: Final[dict[str, Checked]] = {
    "slime_generate": _generate,
    "slime_wrap_generate": _wrap_generate,
    "slime_wrap_reward": _wrap_reward,
    "slime_reward": _reward,
    "slime_group_reward": _of_group(lambda g, v: promises.wrong_rewards(v, len(g.samples))),
    "slime_filter": _of_group(_wrong_verdict),
    "slime_advantage": _of_group(promises.wrong_advantages),
}


@final
class _Counted:
    """What is inside a wrapper, with its calls counted."""

    __slots__ = ("_call", "calls")

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self._call(*arguments)


def _answer_wrongs(
    sample: Sample, before: tuple[Any, ...], prompt: str, answer: Any
) -> Iterator[str | None]:
    yield promises.wrong_answer(answer)
    yield promises.changed_prompt(prompt, sample.prompt)
    for one in answer if isinstance(answer, list) else [answer]:
        # A sibling may begin anew; what continues an interrupted attempt may not.
        yield promises.wrong_episode(before if one is sample else (), one)


def _sampled_wrongs(
    before: tuple[Segment, ...], heard: Listener, answer: Any
) -> Iterator[str | None]:
    if (written := heard.written()) is not None:
        for one in answer if isinstance(answer, list) else [answer]:
            fresh = [segment for segment in one.trace.segments if segment not in before]
            yield promises.wrong_sampled(fresh, written)


def _of(sample: Sample) -> str:
    return f"sample {sample.index} of prompt {sample.prompt.id!r}"
