"""What a plugin that works would do better: the doctor's warnings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from slime_core.plugins.catalog import Entry
from slime_core.plugins.probe import Probe
from slime_core.plugins.requirements import CONTRACT, contract_range

#: Seconds that an import may take, as in the conformance suite.
IMPORT_BUDGET_S: Final = 1.0
#: Of the heavy modules, those that a plugin should not import before one of its hooks is called.
ENGINES: Final = frozenset(
    {"jax", "megatron", "ray", "sglang", "tensorflow", "torch", "transformers", "vllm"}
)

_LOWER, _UPPER = (
    frozenset({">=", ">", "~=", "==", "==="}),
    frozenset({"<", "<=", "~=", "==", "==="}),
)


def slow(probe: Probe) -> Iterator[str]:
    """An import that every process of a run has to wait for."""
    engines = ENGINES.intersection(probe.heavy)
    seconds = probe.import_s or 0.0
    if engines or seconds > IMPORT_BUDGET_S:
        what = f" and imports {', '.join(probe.heavy)}" if probe.heavy else ""
        yield (
            f"importing it takes {seconds:.1f} s{what}, in every process of a run\n"
            f"  move slow work and such imports into the functions that need them, or under "
            f"`if TYPE_CHECKING:`"
        )


def unbounded(entry: Entry) -> Iterator[str]:
    """A range of contract versions that is open at an end: a later one may break the plugin."""
    operators = set(re.findall(r"[<>=!~]+", entry.requires_api))
    if not operators & _LOWER or not operators & _UPPER:
        said = f"{CONTRACT}{entry.requires_api}"
        yield (
            f"it requires {said}, which is open at an end, and the contract changes with its minor "
            f'version\n  write dependencies = ["{contract_range()}"]'
        )
