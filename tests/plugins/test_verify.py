"""A plugin that breaks the contract is refused with three lines: who, which definition, what."""

from __future__ import annotations

from typing import Any

import pytest
from slime_hookspecs import HOOKS, PluginError

from slime_core.plugins import implementations, load


def refusal(site: Any, source: str, value: str = "") -> tuple[str, str, str]:
    site.plugin("bad", source)
    if value:
        points = site.folder / "slime_plugin_bad-1.0.dist-info" / "entry_points.txt"
        points.write_text(f"[slime.plugins]\nbad = slime_plugin_bad:{value}\n")
    with pytest.raises(PluginError) as caught:
        implementations(load(["bad"])[0])
    who, definition, wrong = str(caught.value).split("\n")
    return who, definition.strip(), wrong.strip()


def at(site: Any, line: int) -> str:
    return f"at {site.folder}/slime_plugin_bad.py:{line}"


def test_implementations_come_in_the_order_of_the_contract_with_their_positions(site: Any) -> None:
    site.plugin(
        "good",
        """
        @hookimpl
        def slime_filter(ctx, group): return KEEP
        @hookimpl
        async def slime_generate(engine): ...
        @hookimpl
        def slime_batch_fields(): return []
        """,
    )
    found = implementations(load(["good"])[0])
    assert [(i.hook.name, i.positions, i.is_async) for i in found.values()] == [
        ("slime_generate", (1,), True),
        ("slime_filter", (1, 0), False),
        ("slime_batch_fields", (), False),
    ]
    assert all(i.hook is HOOKS[name] for name, i in found.items())


def test_an_unknown_hook_gets_the_nearest_name(site: Any) -> None:
    assert refusal(site, "@hookimpl\ndef slime_rewards(sample): return 1.0") == (
        "plugin bad (slime-plugin-bad 1.0), hook slime_rewards",
        f"def slime_rewards(sample)  {at(site, 2)}",
        "there is no hook 'slime_rewards'; "
        "did you mean 'slime_reward', 'slime_wrap_reward' or 'slime_group_reward'?",
    )


def test_a_parameter_that_the_hook_does_not_have_gets_the_nearest(site: Any) -> None:
    source = "@hookimpl\ndef slime_reward(sampel, ctx) -> float: return 1.0"
    assert refusal(site, source) == (
        "plugin bad (slime-plugin-bad 1.0), hook slime_reward",
        f"def slime_reward(sampel, ctx) -> float  {at(site, 2)}",
        "the hook has no argument 'sampel'; did you mean 'sample'? (it offers sample, ctx)",
    )


@pytest.mark.parametrize(
    ("signature", "wrong"),
    [
        (
            "sample, *, ctx",
            "parameter 'ctx' is keyword-only, and those are never filled: "
            "take it as a plain parameter",
        ),
        (
            "sample, **rest",
            "parameter '**rest' collects keywords, and none are ever passed: "
            "name the arguments instead",
        ),
        (
            "*arguments",
            "parameter '*arguments' collects positions, and arguments go by name: "
            "name the arguments instead",
        ),
        (
            "sample, flavour=3",
            "the hook has no argument 'flavour' (it offers sample, ctx); "
            "a setting of the plugin's own is a field of its options",
        ),
    ],
)
def test_parameters_that_would_never_be_filled_are_refused(
    site: Any, signature: str, wrong: str
) -> None:
    who, definition, found = refusal(site, f"@hookimpl\ndef slime_reward({signature}): return 1.0")
    assert who == "plugin bad (slime-plugin-bad 1.0), hook slime_reward"
    assert definition == f"def slime_reward({signature})  {at(site, 2)}"
    assert found == wrong


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("def slime_generate(sample): ...", "the hook is awaited: write `async def`"),
        ("async def slime_filter(group): ...", "the hook is called without await: write `def`"),
        ("async def slime_options(): ...", "the hook is called without await: write `def`"),
        (
            "def slime_eval_sets(run): yield",
            "it is a generator, which would never be iterated: return the value instead",
        ),
        (
            "async def slime_generate(sample): yield sample",
            "it is a generator, which would never be iterated: return the value instead",
        ),
    ],
)
def test_the_wrong_colour_is_refused(site: Any, source: str, wrong: str) -> None:
    assert refusal(site, f"@hookimpl\n{source}")[2] == wrong


@pytest.mark.parametrize(
    "source", ["def slime_reward(sample): ...", "async def slime_reward(): ..."]
)
def test_hooks_of_either_colour_take_both(site: Any, source: str) -> None:
    site.plugin("good", f"@hookimpl\n{source}")
    (found,) = implementations(load(["good"])[0]).values()
    assert found.is_async is source.startswith("async")


CLASS = """
class Task:
    @hookimpl
    def slime_reward(self, sample): return 1.0
    @staticmethod
    @hookimpl
    def slime_filter(group): return KEEP
task = Task()
def function(): ...
"""


def test_a_class_is_refused_where_an_instance_belongs(site: Any) -> None:
    assert refusal(site, CLASS, "Task") == (
        "plugin bad (slime-plugin-bad 1.0)",
        f"class Task  {at(site, 3)}",
        "the entry point names a class: name an instance of it, or its module",
    )


def test_a_function_is_refused_where_a_module_belongs(site: Any) -> None:
    assert refusal(site, CLASS, "function")[2] == (
        "the entry point must name a module or an instance whose functions are hooks"
    )


def test_an_instance_serves_with_its_bound_methods(site: Any) -> None:
    site.install(
        "obj",
        plugins={"obj": "obj_module:task"},
        files={"obj_module.py": "from slime_hookspecs import *" + CLASS},
    )
    found = implementations(load(["obj"])[0])
    assert {name: i.positions for name, i in found.items()} == {
        "slime_reward": (0,),
        "slime_filter": (0,),
    }
    assert found["slime_reward"].function("any sample") == 1.0


def test_a_hook_without_its_mark_is_refused(site: Any) -> None:
    assert refusal(site, "def slime_reward(sample): return 1.0") == (
        "plugin bad (slime-plugin-bad 1.0), hook slime_reward",
        f"def slime_reward(sample)  {at(site, 2)}",
        "it has the name of a hook and no @hookimpl, so it would never be called",
    )


def test_a_plugin_without_any_hook_is_refused(site: Any) -> None:
    assert refusal(site, "x = 1")[2] == "it implements no hook: mark one with @hookimpl"


def test_a_hook_that_is_implemented_twice_is_refused(site: Any) -> None:
    source = """
    @hookimpl
    def slime_reward(sample): return 1.0
    @hookimpl(specname="slime_reward")
    def another(sample): return 2.0
    """
    assert refusal(site, source)[2] == "the plugin implements the hook twice"


@pytest.mark.parametrize(
    ("mark", "wrong"),
    [
        ("wrapper=True", "pluggy wrappers are not called"),
        ("hookwrapper=True", "pluggy wrappers are not called"),
        ("tryfirst=True", "tryfirst and trylast have no effect"),
        ("trylast=True", "tryfirst and trylast have no effect"),
    ],
)
def test_marks_that_would_do_nothing_are_refused(site: Any, mark: str, wrong: str) -> None:
    source = f"@hookimpl({mark})\ndef slime_filter(group):\n    return KEEP"
    assert refusal(site, source)[2].startswith(wrong)


def test_a_hook_of_a_later_contract_may_be_marked_optional(site: Any) -> None:
    site.plugin(
        "ahead",
        """
        @hookimpl(optionalhook=True)
        def slime_teleport(sample): ...
        @hookimpl
        def slime_reward(sample): return 1.0
        """,
    )
    assert list(implementations(load(["ahead"])[0])) == ["slime_reward"]
