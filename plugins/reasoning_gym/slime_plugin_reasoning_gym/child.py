"""The process that makes problems: it may be slow, hang or crash, and costs the run nothing more.

Reads jobs as lines of JSON, ``[what, argument, ...]``, and answers each with ``[true, value]`` or
``[false, type, text]``. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from typing import Any, TextIO

from slime_plugin_reasoning_gym import library
from slime_plugin_reasoning_gym.library import Recipe


def answer(job: list[Any]) -> Any:
    """What a job asks for."""
    what, *arguments = job
    if what == "problem":
        recipe, seed = arguments
        return library.problem(Recipe(*recipe), seed)
    if what == "chosen":
        return library.chosen(*arguments)
    return library.levels(*arguments)


def serve(jobs: TextIO, answers: TextIO) -> None:
    """Answer jobs until there are no more."""
    for line in jobs:
        try:
            found: list[Any] = [True, answer(json.loads(line))]
        except Exception as error:
            found = [False, type(error).__name__, str(error)]
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def main() -> None:
    """Serve standard input. What libraries print goes to standard error."""
    threading.Thread(target=_die_with, args=[os.getppid()], daemon=True).start()
    warnings.simplefilter("ignore")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main()
