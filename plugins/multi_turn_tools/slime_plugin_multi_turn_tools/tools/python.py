"""Python programs that the model writes, run in the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slime_plugin_multi_turn_tools.sandbox import Ended, Limits, Report, Sandbox
from slime_plugin_multi_turn_tools.tools.tool import Parameter, Tool, ToolError

NO_OUTPUT: Final = "(the program wrote nothing; print what you want to see)"


def python_tool(sandbox: Sandbox) -> Tool:
    """The tool ``python``, whose programs run in a sandbox."""

    async def run(arguments: Mapping[str, Any]) -> str:
        report = await sandbox.run(arguments["code"])
        if not report.succeeded:
            raise ToolError(told(report, sandbox.limits))
        return told(report, sandbox.limits)

    return Tool(
        "python",
        "Runs a Python program and returns what it prints. Each call starts anew; there is no "
        "network.",
        {"code": Parameter("string", "The program.")},
        run,
    )


def told(report: Report, limits: Limits) -> str:
    """What the model is told of a program that ended."""
    output = report.stdout if report.succeeded else report.stdout + report.stderr
    parts = [output.rstrip("\n"), why(report, limits)]
    return "\n".join(part for part in parts if part) or NO_OUTPUT


def why(report: Report, limits: Limits) -> str:
    """A line about how a program ended, or nothing where that goes without saying."""
    words = {
        Ended.EXIT: f"[exit status {report.status}]" if report.status else "",
        Ended.SIGNAL: f"[ended by signal {-report.status}]",
        Ended.WALL: f"[ended: it ran longer than {limits.wall_s:g} s]",
        Ended.CPU: f"[ended: it computed for longer than {limits.cpu_s} s]",
        Ended.MEMORY: f"[ended: it took more than {limits.memory_mb} MiB of memory]",
        Ended.PROCESSES: f"[ended: it started more than {limits.processes} processes]",
        Ended.OUTPUT: "[ended: it wrote too much]",
        Ended.STOPPED: "[ended from outside]",
        Ended.LOST: "[ended: the sandbox was lost]",
    }
    return words[report.ended]
