"""The final answer in a response, and whether a scorer may be given it."""

from __future__ import annotations

import ast
import re
from typing import Any, Final

from slime_plugin_reasoning_gym.options import Options

#: Scorers that hand the answer to Python's ``eval``, to read a list.
LITERAL: Final = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
#: Scorers that hand it to sympy's parser, which evaluates it as Python does, and whether powers
#: belong to the task.
EXPRESSION: Final = {
    "countdown": False,
    "puzzle24": False,
    "intermediate_integration": True,
    "polynomial_multiplication": True,
    "simple_integration": True,
}
#: Most characters of an expression, beside twice those of the right one.
MAX_EXPRESSION: Final = 1000
#: Most characters of any answer, beside four times those of the right one.
MAX_ANSWER: Final = 2000

_FUNCTIONS: Final = frozenset(
    "sin|cos|tan|sec|csc|cot|asin|acos|atan|sinh|cosh|tanh|exp|log|ln|sqrt|Abs|pi".split("|")  # noqa: SIM905
)
_NAME: Final = re.compile(r"[^\W\d]\w*")
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]?")
_NOT_CODE: Final = re.compile(r"[\w\s,;+-]*")
_EXPRESSION: Final = re.compile(r"[\w\s()+\-*/^.,=]*")
#: A power with a small exponent, which is no power itself.
_POWER: Final = re.compile(
    r"\*\*\s*(?:-?\d{1,2}(?:\.\d{1,3})?|[A-Za-z]|\(\s*-?\d{1,2}\s*(?:/\s*\d{1,2}\s*)?\))"
    r"(?!\s*\*\*|[\w.])"
)
_ATTRIBUTE: Final = re.compile(r"\.\s*[^\W\d]")
#: Most powers of something in parentheses, which may be a power.
MAX_NESTED: Final = 2


def extract(response: str, options: Options) -> str | None:
    """The final answer, or ``None`` where the response gives none.

    It is between the last pair of tags, as the package's own ``extract_answer`` has it.
    """
    if options.answer == "response":
        return response.strip() or None
    begin, end = f"<{options.answer_tag}>", f"</{options.answer_tag}>"
    stop = response.rfind(end)
    start = response.rfind(begin, 0, stop) if stop >= 0 else -1
    return response[start + len(begin) : stop].strip() if start >= 0 else None


def harmless(answer: str, task: str, right: Any) -> bool:
    """Whether the scorer of a task may be given an answer: it may not run what the model wrote.

    An answer that is not harmless cannot be a right one: it is code where a list or a formula is
    asked for, a power that takes for ever, or much longer than the right answer.
    """
    if answer == right:
        return True
    if len(answer) > MAX_ANSWER + 4 * len(str(right)):
        return False
    if task in LITERAL:
        return bool(_NOT_CODE.fullmatch(answer)) or _is_literal(answer)
    if task in EXPRESSION:
        longest = MAX_EXPRESSION + 2 * len(str(right))
        return len(answer) <= longest and _is_expression(answer, powers=EXPRESSION[task])
    return True


def _is_literal(text: str) -> bool:
    try:
        return isinstance(ast.literal_eval(text), list | tuple | str | int | float)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _is_expression(text: str, *, powers: bool) -> bool:
    """A formula of numbers, variables of one or two characters, and functions of calculus."""
    text = text.replace("^", "**")
    if not _EXPRESSION.fullmatch(text) or _ATTRIBUTE.search(text):
        return False
    if text.count("**") > (len(_POWER.findall(text)) if powers else 0):
        return False
    if len(re.findall(r"\)\s*\*\*", text)) > MAX_NESTED:
        return False
    names = _NAME.findall(text)
    return all(name in _FUNCTIONS or _VARIABLE.fullmatch(name) for name in names)
