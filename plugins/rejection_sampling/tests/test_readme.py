"""The README says what the options are."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from slime_plugin_rejection_sampling import Options

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_options_is_that_of_the_options_class() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith("| `--rejection-sampling.")]
    assert found == [
        f"| `--rejection-sampling.{field.name.replace('_', '-')}` "
        f"| `{json.dumps(getattr(Options(), field.name))}` | {field.metadata['help']} |"
        for field in dataclasses.fields(Options)
    ]
