"""What the model is told of the programs that it wrote."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from slime_plugin_multi_turn_tools.sandbox import Ended, Isolation, Limits, Report, Sandbox
from slime_plugin_multi_turn_tools.tools.python import NO_OUTPUT, python_tool, told, why
from slime_plugin_multi_turn_tools.tools.tool import ToolError

MakeSandbox = Callable[..., Sandbox]
LIMITS = Limits(wall_s=10.0, cpu_s=5, memory_mb=512, processes=32)


def report(ended: Ended, status: int = 0, stdout: str = "", stderr: str = "") -> Report:
    """A report from the weakest sandbox."""
    return Report(ended, status, stdout, stderr, 0.1, Isolation.RLIMITS)


@pytest.mark.parametrize(
    ("ended", "status", "line"),
    [
        (Ended.EXIT, 0, ""),
        (Ended.EXIT, 3, "[exit status 3]"),
        (Ended.SIGNAL, -11, "[ended by signal 11]"),
        (Ended.WALL, 0, "[ended: it ran longer than 10 s]"),
        (Ended.CPU, -24, "[ended: it computed for longer than 5 s]"),
        (Ended.MEMORY, 0, "[ended: it took more than 512 MiB of memory]"),
        (Ended.PROCESSES, 0, "[ended: it started more than 32 processes]"),
        (Ended.OUTPUT, 0, "[ended: it wrote too much]"),
        (Ended.STOPPED, 0, "[ended from outside]"),
        (Ended.LOST, -1, "[ended: the sandbox was lost]"),
    ],
)
def test_every_end_has_its_line(ended: Ended, status: int, line: str) -> None:
    assert why(report(ended, status), LIMITS) == line


def test_every_end_is_known() -> None:
    assert all(isinstance(why(report(one), LIMITS), str) for one in Ended)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (report(Ended.EXIT, 0, "42\n"), "42"),
        (report(Ended.EXIT, 0, "a\nb\n\n"), "a\nb"),
        (report(Ended.EXIT, 0, ""), NO_OUTPUT),
        (report(Ended.EXIT, 0, "\n"), NO_OUTPUT),
        (report(Ended.EXIT, 0, "42\n", "a warning\n"), "42"),
        (report(Ended.EXIT, 1, "so far\n", "Error\n"), "so far\nError\n[exit status 1]"),
        (report(Ended.EXIT, 1), "[exit status 1]"),
        (report(Ended.WALL, 0, "tick\n"), "tick\n[ended: it ran longer than 10 s]"),
    ],
)
def test_the_model_sees_output_errors_and_the_end(given: Report, text: str) -> None:
    assert told(given, LIMITS) == text


async def test_a_program_that_works_is_answered_with_its_output(make_sandbox: MakeSandbox) -> None:
    tool = python_tool(make_sandbox())
    assert await tool.run({"code": "import math\nprint(math.comb(10, 3))"}) == "120"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("1/0", "ZeroDivisionError: division by zero\n[exit status 1]"),
        ("print(1", "SyntaxError: '(' was never closed\n[exit status 1]"),
        ("raise SystemExit(3)", "[exit status 3]"),
    ],
)
async def test_a_program_that_fails_is_an_error_with_all_that_it_wrote(
    code: str, end: str, make_sandbox: MakeSandbox
) -> None:
    with pytest.raises(ToolError) as caught:
        await python_tool(make_sandbox()).run({"code": f"print('first')\n{code}"})
    assert str(caught.value).endswith(end)
    assert code[:5] != "1/0" or str(caught.value).startswith("first\nTraceback")


async def test_each_program_starts_anew(make_sandbox: MakeSandbox) -> None:
    tool = python_tool(make_sandbox())
    code = "import os\nprint(os.path.exists('mark'))\nopen('mark', 'w').close()"
    assert [await tool.run({"code": code}) for _ in range(2)] == ["False", "False"]


async def test_an_error_reads_the_same_whenever_it_happens(make_sandbox: MakeSandbox) -> None:
    told_twice = []
    for _ in range(2):
        with pytest.raises(ToolError) as caught:
            await python_tool(make_sandbox()).run({"code": "raise ValueError(__file__)"})
        told_twice.append(str(caught.value))
    assert told_twice[0] == told_twice[1]
    assert "ValueError: /tmp/program.py\n" in told_twice[0]


def test_the_model_is_told_of_one_argument(make_sandbox: MakeSandbox) -> None:
    schema = python_tool(make_sandbox()).schema["function"]
    assert (schema["name"], schema["parameters"]["required"]) == ("python", ["code"])
