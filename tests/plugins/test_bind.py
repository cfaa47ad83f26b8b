"""Who serves which hook is decided once, and every doubt is an error that says how to settle it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from slime_hookspecs import BatchField, ConfigError, PluginError

from slime_core.config.schema import Config
from slime_core.plugins import Bound, Plan, bind, load, requested

GENERATE = "@hookimpl\nasync def slime_generate(sample): return 'NAME'\n"
REWARD = "@hookimpl\ndef slime_reward(sample): return 'NAME'\n"
GROUP_REWARD = "@hookimpl\ndef slime_group_reward(group): return 'NAME'\n"
FILTER = "@hookimpl\ndef slime_filter(group): return 'NAME'\n"
ADVANTAGE = "@hookimpl\ndef slime_advantage(group): return 'NAME'\n"
LOSS = "@hookimpl\ndef slime_loss(batch): return 'NAME'\n"
FIELDS = "@hookimpl\ndef slime_batch_fields(): return [BatchField('NAME', per='token')]\n"
DATA = "@hookimpl\ndef slime_data_source(options, run): return 'NAME'\n"

BUILT_IN = {
    "generate": "single_turn",
    "advantage": "grpo",
    "token_advantage": "broadcast",
    "loss": "policy_loss",
}


@pytest.fixture
def plugin(site: Any) -> Any:
    """``plugin(name, *hooks)`` installs a plugin that implements them."""
    return lambda name, *hooks: site.plugin(name, "".join(hooks).replace("NAME", name))


def bound(**settings: Any) -> tuple[Plan, Bound]:
    config = Config(**settings)
    return bind(config, load(config.plugins))


def servers(bound: Bound, hook: str) -> list[str]:
    return [one.plugin for one in bound.all(hook)]


def refusal(**settings: Any) -> str:
    with pytest.raises((PluginError, ConfigError)) as caught:
        bound(**settings)
    return str(caught.value)


def test_built_in_plugins_fill_the_roles_that_nobody_else_offers() -> None:
    plan, hooks = bound()
    assert plan.roles == BUILT_IN
    assert servers(hooks, "slime_generate") == ["single_turn"]
    assert hooks.maybe("slime_data_source") is None


def test_a_requested_plugin_takes_the_place_of_the_built_in_one(plugin: Any) -> None:
    plugin("alpha", GENERATE, DATA)
    plan, hooks = bound(plugins=["alpha"])
    assert plan.roles == {**BUILT_IN, "generate": "alpha", "data_source": "alpha"}
    assert hooks.one("slime_data_source").call("options", "run") == "alpha"
    assert "single_turn" not in [one.name for one in plan.plugins]


def test_a_run_without_data_says_so_when_data_is_wanted() -> None:
    _, hooks = bound()
    with pytest.raises(PluginError, match="no plugin of this run implements slime_data_source"):
        hooks.one("slime_data_source")


def test_a_misspelled_hook_is_a_mistake_in_the_host_with_the_nearest_name() -> None:
    _, hooks = bound()
    with pytest.raises(KeyError, match="slime_generate"):
        hooks.all("slime_generat")


def test_two_plugins_for_one_role_are_an_error_that_use_answers(plugin: Any) -> None:
    plugin("alpha", GENERATE)
    plugin("beta", GENERATE)
    assert refusal(plugins=["alpha", "beta"]) == (
        "2 plugins implement slime_generate, which exactly one may; pick one\n"
        "  alpha (slime-plugin-alpha 1.0): --use generate=alpha\n"
        "  beta (slime-plugin-beta 1.0): --use generate=beta"
    )
    plan, hooks = bound(plugins=["alpha", "beta"], use=["generate=beta"])
    assert (plan.roles["generate"], servers(hooks, "slime_generate")) == ("beta", ["beta"])


def test_use_loads_a_further_plugin_for_that_role_alone(plugin: Any) -> None:
    plugin("alpha", GENERATE, REWARD, DATA)
    plugin("beta", GENERATE, REWARD, FILTER, FIELDS, DATA)
    plan, hooks = bound(plugins=["alpha"], use=["generate=beta"])
    assert plan.roles == {**BUILT_IN, "generate": "beta", "data_source": "alpha"}
    assert servers(hooks, "slime_reward") == ["alpha"]
    assert servers(hooks, "slime_filter") == []
    assert hooks.batch_fields == (BatchField("beta", per="token"),)


@pytest.mark.parametrize(
    "settings",
    [
        {"advantage": "beta"},
        {"use": ["advantage=beta"]},
        {"use": ["advantage = beta"], "advantage": "beta"},
    ],
)
def test_short_forms_mean_the_same_as_use(plugin: Any, settings: dict[str, Any]) -> None:
    plugin("beta", ADVANTAGE)
    plan, _ = bound(**settings)
    assert plan.roles == {**BUILT_IN, "advantage": "beta"}


def test_a_loss_has_a_short_form_too(plugin: Any) -> None:
    plugin("beta", LOSS)
    assert bound(loss="beta")[0].roles == {**BUILT_IN, "loss": "beta"}


def test_use_takes_the_exact_spelling(plugin: Any, site: Any) -> None:
    plugin("beta", LOSS)
    site.install("other", plugins={"beta": "other_module"}, files={"other_module.py": ""})
    plan, _ = bound(loss="slime-plugin-beta:beta")
    assert plan.roles["loss"] == "beta"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use": ["generate"]}, "--use generate: write ROLE=PLUGIN"),
        ({"use": ["generator=alpha"]}, "there is no role 'generator'; did you mean 'generate'?"),
        ({"use": ["reward=alpha"]}, "there is no role 'reward'"),
        ({"use": ["loss=alpha"], "loss": "beta"}, "the role loss was already given to 'alpha'"),
        ({"use": ["loss=nowhere"]}, "unknown plugin 'nowhere'"),
    ],
)
def test_a_wrong_choice_is_named(settings: dict[str, Any], message: str) -> None:
    assert message in refusal(**settings)


def test_choosing_a_plugin_that_does_not_offer_the_role_says_what_it_offers(plugin: Any) -> None:
    plugin("alpha", REWARD, FILTER)
    assert refusal(plugins=["alpha"], loss="alpha") == (
        "--use loss=alpha: plugin alpha (slime-plugin-alpha 1.0) does not implement slime_loss\n"
        "  it implements: slime_reward, slime_filter\n"
        "  loaded plugins that do: none"
    )


def test_rewards_weigh_one_unless_told_otherwise_and_zero_still_reports_one(plugin: Any) -> None:
    plugin("alpha", REWARD)
    plugin("beta", REWARD, GROUP_REWARD)
    plugin("gamma", GROUP_REWARD, REWARD)
    names = ["alpha", "beta", "gamma"]
    plan, hooks = bound(plugins=names, reward_weight=["beta=-0.5", "gamma=0"])
    assert plan.weights == {"alpha": 1.0, "beta": -0.5, "gamma": 0.0}
    rewards = [*hooks.all("slime_reward"), *hooks.all("slime_group_reward")]
    assert [(one.hook, one.plugin, one.weight) for one in rewards] == [
        ("slime_reward", "alpha", 1.0),
        ("slime_reward", "beta", -0.5),
        ("slime_reward", "gamma", 0.0),
        ("slime_group_reward", "beta", -0.5),
        ("slime_group_reward", "gamma", 0.0),
    ]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["alpa=1"], "no loaded plugin 'alpa' gives rewards; did you mean 'alpha'?"),
        (["quiet=1"], "no loaded plugin 'quiet' gives rewards\n  plugins with rewards: alpha"),
        (["alpha"], "write PLUGIN=WEIGHT with a finite number"),
        (["alpha=much"], "write PLUGIN=WEIGHT with a finite number"),
        (["alpha=nan"], "write PLUGIN=WEIGHT with a finite number"),
        (["alpha=1", "alpha=2"], "'alpha' already has 1"),
    ],
)
def test_a_wrong_weight_is_named(plugin: Any, entries: list[str], message: str) -> None:
    plugin("alpha", REWARD)
    plugin("quiet", FILTER)
    assert message in refusal(plugins=["alpha", "quiet"], reward_weight=entries)


def test_chains_run_in_the_order_in_which_plugins_were_asked_for(plugin: Any) -> None:
    for name in ("alpha", "beta", "gamma"):
        plugin(name, FILTER)
    _, hooks = bound(plugins=["gamma", "alpha", "beta"])
    assert servers(hooks, "slime_filter") == ["gamma", "alpha", "beta"]


def test_plugins_of_the_configuration_that_were_not_loaded_yet_are_loaded(plugin: Any) -> None:
    plugin("alpha", REWARD)
    _, hooks = bind(Config(plugins=["alpha"]), [])
    assert servers(hooks, "slime_reward") == ["alpha"]


def test_requested_lists_all_that_the_configuration_names_in_plan_order() -> None:
    config = Config(plugins=["b", "a"], use=["generate=c", "loss=a"], advantage="d")
    assert requested(config) == ("b", "a", "c", "d")


def test_options_reach_the_hooks_of_their_plugin() -> None:
    _, hooks = bound(plugin={"policy_loss": {"clip_high": 0.28}})
    assert hooks.one("slime_loss").options.clip_high == 0.28
    assert hooks.options("policy_loss") is hooks.one("slime_loss").options
    assert hooks.options("single_turn") is None


def test_options_that_a_task_suggests_for_a_replaced_plugin_are_no_mistake(plugin: Any) -> None:
    plugin(
        "alpha",
        "@hookimpl\ndef slime_defaults(): return {'plugin': {'policy_loss': {'clip_high': 0.3}}}\n",
    )
    plugin("beta", LOSS)
    suggested = {"policy_loss": {"clip_high": 0.3}}
    plan, _ = bound(plugins=["alpha"], loss="beta", plugin=suggested)
    assert plan.roles["loss"] == "beta"
    given = {"policy_loss": {"clip_high": 0.4}}
    assert "this run has no plugin 'policy_loss'" in refusal(
        plugins=["alpha"], loss="beta", plugin=given
    )


def test_batch_fields_come_in_plan_order(plugin: Any) -> None:
    plugin("alpha", FIELDS)
    plugin("beta", FIELDS)
    _, hooks = bound(plugins=["beta", "alpha"])
    assert [field.name for field in hooks.batch_fields] == ["beta", "alpha"]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("BatchField('tokens', per='token')", "the core fills a batch field of this name"),
        ("BatchField('old_logprobs', per='token')", "the core fills a batch field of this name"),
        ("BatchField('two words', per='token')", "the name is not a Python identifier"),
        ("BatchField('class', per='token')", "the name is not a Python identifier"),
        ("BatchField('x', per='group')", "per must be 'token' or 'sample'"),
        ("BatchField('x', per='token', dtype='int8')", "dtype must be 'float32' or 'int64'"),
        ("BatchField('x', per='token', shape=(0,))", "shape must be a tuple of positive"),
        ("BatchField('x', per='token', shape=3)", "shape must be a tuple of positive"),
        ("BatchField('x', per='token', default='0')", "default must be a number, or None"),
        ("BatchField('x', per='token', dtype='int64', default=0.5)", "default must be a whole"),
        (
            "BatchField('x', per='token', dtype='int64', default=float('inf'))",
            "default must be a whole",
        ),
        ("'x'", "it must return a list of BatchField"),
    ],
)
def test_a_malformed_batch_field_is_refused(site: Any, field: str, wrong: str) -> None:
    site.plugin("bad", f"@hookimpl\ndef slime_batch_fields(): return [{field}]")
    message = refusal(plugins=["bad"])
    assert message.startswith("plugin bad (slime-plugin-bad 1.0), hook slime_batch_fields\n")
    assert wrong in message


@pytest.mark.parametrize(
    "field",
    [
        "BatchField('x', per='token', dtype='int64', default=-1, shape=(2, 3))",
        "BatchField('x', per='sample', dtype='int64')",
        "BatchField('x', per='sample', default=0.5)",
    ],
)
def test_a_proper_batch_field_is_taken_as_it_is(site: Any, field: str) -> None:
    site.plugin("good", f"@hookimpl\ndef slime_batch_fields(): return [{field}]")
    _, hooks = bound(plugins=["good"])
    assert hooks.batch_fields == (eval(field, {"BatchField": BatchField}),)


def test_two_plugins_with_a_batch_field_of_one_name_are_refused(site: Any) -> None:
    for name in ("alpha", "beta"):
        site.plugin(
            name, "@hookimpl\ndef slime_batch_fields(): return [BatchField('x', per='token')]"
        )
    message = refusal(plugins=["alpha", "beta"])
    assert message.startswith("plugin beta ")
    assert "alpha (slime-plugin-alpha 1.0) declares a field of this name too" in message


def test_what_was_bound_cannot_change() -> None:
    plan, hooks = bound()
    for frozen, name in ((plan, "api"), (hooks, "hooks"), (hooks.one("slime_loss"), "call")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, None)
