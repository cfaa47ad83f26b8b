"""What most tasks need to serve a data file: rows with their places, and a resumable stream.

Nothing else of the contract uses it; a plugin is free to bring its own. Parquet files need pyarrow.
"""

from slime_hookspecs.datasets.fields import PLACEHOLDER, label, messages
from slime_hookspecs.datasets.held_out import accuracy, greedy, held_out
from slime_hookspecs.datasets.rows import Row, excerpt, read_rows
from slime_hookspecs.datasets.source import PromptSource

__all__ = [
    "PLACEHOLDER",
    "PromptSource",
    "Row",
    "accuracy",
    "excerpt",
    "greedy",
    "held_out",
    "label",
    "messages",
    "read_rows",
]
