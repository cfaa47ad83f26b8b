"""The kit's pytest fixtures work in a project of their own, and cost nothing until used."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

PRINT_KIT = """
import sys

def pytest_unconfigure():
    kit = sorted(m for m in sys.modules if m.startswith("slime_hookspecs.testing"))
    print("modules:", *kit)
"""


def test_fixtures_give_what_they_say(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        from slime_hookspecs import Trace
        from slime_hookspecs.testing.kit import Abort, ScriptedEngine, TinyTokenizer

        def test_tokenizer(slime_tokenizer):
            assert isinstance(slime_tokenizer, TinyTokenizer)

        def test_engine(slime_engine, virtual_clock):
            engine = slime_engine(["4"], faults=[Abort(after_tokens=0)])
            assert isinstance(engine, ScriptedEngine)
            trace = Trace()
            trace.append_prompt([3])
            assert virtual_clock.run(engine.generate(trace)).value == "aborted"
            assert virtual_clock.run(engine.generate(trace)).value == "stop"

        def test_clock(virtual_clock):
            virtual_clock.run(asyncio.sleep(3600))
            assert round(virtual_clock.elapsed) == 3600

        def test_context(slime_context, tmp_path):
            context = slime_context({"a": 1}, step=3)
            assert (context.options, context.step) == ({"a": 1}, 3)
            assert context.run.directory == tmp_path
            assert slime_context().options is None
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("test", "kit"),
    [("def test_it(): pass", False), ("def test_it(slime_tokenizer): pass", True)],
)
def test_the_kit_is_imported_when_a_fixture_is_used(
    test: str, kit: bool, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(PRINT_KIT)
    pytester.makepyfile(test)
    done = pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    (line,) = [line for line in done.outlines if line.startswith("modules:")]
    light = ["slime_hookspecs.testing", "slime_hookspecs.testing.pytest_plugin"]
    assert (line.split()[1:] == light) is not kit
    assert ("slime_hookspecs.testing.kit" in line.split()) is kit


def test_pytest_lists_the_fixtures_with_what_they_are_for(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    done.stdout.fnmatch_lines_random(
        ["*slime_engine*", "*Makes scripted engines*", "*virtual_clock*", "*slime_context*"]
    )


def test_collecting_the_checks_of_a_plugin_imports_neither_torch_nor_the_plugin(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(PRINT_KIT.replace("slime_hookspecs.testing", ""))
    done = pytester.runpytest_subprocess(
        *("-s", "--collect-only", "-q", "-p", "no:cacheprovider"),
        *("--slime-plugin", "math_dapo"),
    )
    (line,) = [line for line in done.outlines if line.startswith("modules:")]
    assert {"torch", "ray", "sglang", "slime_core", "slime_plugin_math_dapo"} & {
        *line.split()
    } == set()
    done.stdout.fnmatch_lines(["slime[[]math_dapo[]]::reward.gold"])
