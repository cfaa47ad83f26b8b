"""New plugins: a package with hooks, tests and continuous integration, to be edited.

Templates are a plugin called ``my_task``; to make another is to rename it.
"""

from slime_core.scaffold.files import files
from slime_core.scaffold.kinds import KINDS, Kind, read_kind
from slime_core.scaffold.names import check_name, folder_name, nearest_right
from slime_core.scaffold.writer import write

__all__ = [
    "KINDS",
    "Kind",
    "check_name",
    "files",
    "folder_name",
    "nearest_right",
    "read_kind",
    "write",
]
