"""Writes ``facade.py``, whose decorators let type checkers compare an implementation with its hook.

An implementation may take any subset of a hook's arguments, in any order, because they are passed
by name. One callable type cannot say that; a union of them can, one protocol a subset with
keyword-only arguments. Both mypy and pyright compare a function with the bound of a type variable,
so the bound is that union.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import slime_hookspecs
from slime_hookspecs.contract import HOOKS, Colour, HookInfo
from slime_hookspecs.specs import SlimeSpecs

Arguments: TypeAlias = tuple[tuple[str, str], ...]
"""Names of arguments with their types as written."""

WIDTH: Final = 100

HEAD: Final = '''"""Decorators that make type checkers compare an implementation with its hook.

::

    from slime_hookspecs import Sample
    from slime_hookspecs import facade as hook

    @hook.slime_reward
    def slime_reward(sample: Sample) -> float: ...

mypy and pyright then refuse arguments that the hook does not offer, other types, another result,
and ``def`` for ``async def``. At run time each decorator is ``hookimpl``. For functions of modules;
methods take ``hookimpl``. Written by ``make docs`` from the hooks: do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slime_hookspecs.contract import HOOKS, hookimpl

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from torch import Tensor

'''

AT_RUN_TIME: Final = "    globals().update(dict.fromkeys(HOOKS, hookimpl))\n"


def facade() -> str:
    """The text of ``facade.py``."""
    parts = [*map(_protocol, _subsets()), *map(_decorator, HOOKS.values())]
    body = "\n\n".join(parts)
    result = '    Result = TypeVar("Result", covariant=True)\n'
    return f"{HEAD}{_imports(body)}\n\n{result}\n{body}\n\nelse:\n{AT_RUN_TIME}"


def _imports(body: str) -> str:
    used = set(re.findall(r"\w+", body))
    names = ", ".join(sorted(used & set(slime_hookspecs.__all__) - {"hookimpl"}, key=_order))
    line = f"    from slime_hookspecs import {names}"
    if len(line) <= WIDTH:
        return line
    listed = "".join(f"        {name},\n" for name in names.split(", "))
    return f"    from slime_hookspecs import (\n{listed}    )"


def _order(name: str) -> tuple[bool, str]:
    return not name.isupper(), name


def _arguments(info: HookInfo) -> Arguments:
    signature = inspect.signature(getattr(SlimeSpecs, info.name))
    return tuple((name, signature.parameters[name].annotation) for name in info.parameters)


def _subsets_of(info: HookInfo) -> Iterator[Arguments]:
    arguments = _arguments(info)
    for size in range(len(arguments) + 1):
        yield from itertools.combinations(arguments, size)


def _subsets() -> list[Arguments]:
    """Every subset of any hook's arguments, once."""
    return list(dict.fromkeys(s for info in HOOKS.values() for s in _subsets_of(info)))


def _title(arguments: Arguments) -> str:
    """``TakesSampleCtx`` for ``sample`` and ``ctx``."""
    return "Takes" + ("".join(map(_word, arguments)) or "Nothing")


def _word(argument: tuple[str, str]) -> str:
    name, kind = argument
    types = {t for info in HOOKS.values() for n, t in _arguments(info) if n == name}
    return kind if len(types) > 1 else name.title().replace("_", "")


def _protocol(arguments: Arguments) -> str:
    listed = ", ".join(f"{name}: {kind}" for name, kind in arguments)
    given = f"self, *, {listed}" if arguments else "self"
    line = f"        def __call__({given}) -> Result: ..."
    if len(line) > WIDTH:
        line = f"        def __call__(\n            {given}\n        ) -> Result: ..."
    return f"    class {_title(arguments)}(Protocol[Result]):\n{line}"


def _decorator(info: HookInfo) -> str:
    kind = "".join(map(str.title, info.name.split("_")))
    result = _result(info)
    bounds = [f"{_title(subset)}[{result}]" for subset in _subsets_of(info)]
    first = f"    def {info.name}(implementation: {kind}) -> {kind}:"
    text = re.split(r"(?<=[.:])\s", inspect.getdoc(getattr(SlimeSpecs, info.name)) or "")[0]
    return f'{_variable(kind, bounds)}\n\n{first}\n        """{text}"""'


def _variable(kind: str, bounds: Sequence[str]) -> str:
    line = f'    {kind} = TypeVar("{kind}", bound={" | ".join(bounds)})'
    if len(line) <= WIDTH:
        return line
    joined = " | ".join(bounds)
    if len(joined) + len("        bound=,") > WIDTH:
        joined = "\n        | ".join(bounds)
    return f'    {kind} = TypeVar(\n        "{kind}",\n        bound={joined},\n    )'


def _result(info: HookInfo) -> str:
    """What a call gives: the hook's result, a coroutine of it, or either."""
    result = str(inspect.signature(getattr(SlimeSpecs, info.name)).return_annotation)
    coroutine = f"Coroutine[Any, Any, {result}]"
    if info.colour is Colour.EITHER:
        return f"{coroutine} | {result}"
    return coroutine if info.colour is Colour.ASYNC else result
