"""Arithmetic, evaluated from its syntax tree: nothing but numbers goes in, and nothing else on.

Bounded in everything: length, depth, and the size of every number on the way.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from slime_plugin_multi_turn_tools.tools.tool import Parameter, Tool, ToolError

Number: TypeAlias = int | float

MOST_CHARACTERS: Final = 500
MOST_DEPTH: Final = 60
#: Bits of the largest whole number, some 1,200 digits.
MOST_BITS: Final = 4096

#: Signs that people write, and what Python writes.
SPELLINGS: Final = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})

OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
SIGNS: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
#: Functions, with the least and most numbers that they take.
FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], int, int]]] = {
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "gcd": (math.gcd, 2, 8),
    "log": (math.log, 1, 2),
    "max": (max, 2, 8),
    "min": (min, 2, 8),
    "round": (round, 1, 2),
    "sqrt": (math.sqrt, 1, 1),
}
CONSTANTS: Final[Mapping[str, float]] = {"pi": math.pi, "e": math.e}


def evaluate(expression: str) -> Number:
    """The value of an expression.

    Raises:
        ToolError: it is no arithmetic, has no value, or is too much.
    """
    text = expression.strip().translate(SPELLINGS)
    if len(text) > MOST_CHARACTERS:
        raise ToolError(f"the expression has {len(text)} characters, {MOST_CHARACTERS} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if" and the like, which is not for our log.
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f"{excerpt(text)} is not arithmetic, like 12*(3+4)") from None
    try:
        return _value(tree.body, 0)
    except ZeroDivisionError:
        raise ToolError("division by zero") from None
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ToolError(f"{excerpt(text)} has no value here: {error}") from None


def spell(value: Number) -> str:
    """A value as text: whole where it is whole, else with 12 significant digits.

    >>> spell(0.1 + 0.2), spell(6 / 2), spell(2**70)
    ('0.3', '3', '1180591620717411303424')
    """
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"


def excerpt(text: str) -> str:
    """The beginning of a text, to show."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _value(node: ast.expr, depth: int) -> Number:
    if depth > MOST_DEPTH:
        raise ToolError(f"the expression nests more than {MOST_DEPTH} deep")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in SIGNS:
            return SIGNS[type(sign)](_value(operand, depth + 1))  # type: ignore[no-any-return]
        case ast.BinOp(left=left, op=sign, right=right):
            return _apply(sign, _value(left, depth + 1), _value(right, depth + 1))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, [_value(one, depth + 1) for one in arguments])
    raise ToolError(f"{excerpt(ast.unparse(node))} is not arithmetic: {_known()}")


def _apply(sign: ast.operator, left: Number, right: Number) -> Number:
    if type(sign) not in OPERATORS:
        raise ToolError("use + - * / // % and ** (for powers)")
    if isinstance(sign, ast.Pow) and _least_bits(left, right) > MOST_BITS:
        raise ToolError("the power is too large")
    return _bounded(OPERATORS[type(sign)](left, right))


def _call(name: str, arguments: list[Number]) -> Number:
    if name not in FUNCTIONS:
        raise ToolError(f"there is no function {excerpt(name)}: {_known()}")
    function, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ToolError(f"{name} takes {wanted} numbers, not {len(arguments)}")
    if name == "round" and len(arguments) == 2 and abs(arguments[1]) > MOST_CHARACTERS:
        raise ToolError("round takes a number of digits below 500")
    return _bounded(function(*arguments))


def _bounded(value: Any) -> Number:
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        raise ToolError("the result is not a finite real number")
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ToolError("a number on the way has more than 1200 digits")
    number: Number = value
    return number


def _least_bits(base: Number, exponent: Number) -> Number:
    """Bits that a power has at least: it is not computed to find out that it is too large."""
    whole = isinstance(base, int) and isinstance(exponent, int)
    return (base.bit_length() - 1) * exponent if whole and base else 0  # type: ignore[union-attr]


def _known() -> str:
    return f"numbers, + - * / // % **, {', '.join(FUNCTIONS)}, {', '.join(CONSTANTS)}"


async def _run(arguments: Mapping[str, Any]) -> str:
    return spell(evaluate(arguments["expression"]))


CALCULATOR: Final = Tool(
    "calculator",
    "Evaluates an arithmetic expression and returns its value.",
    {"expression": Parameter("string", "The expression, e.g. 12*(3+4). Powers are **.")},
    _run,
)
