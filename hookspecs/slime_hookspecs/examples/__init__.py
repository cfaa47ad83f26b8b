"""One example of each hook: a module with the hook's name, shown in the reference and run by tests.

Nothing else imports this package. The examples of the trainer's hooks work on torch tensors.
"""

from importlib.resources import files
from typing import Final

from slime_hookspecs.contract import HOOKS

EXAMPLES: Final[dict[str, str]] = {
    hook: (files(__package__) / f"{hook}.py").read_text(encoding="utf-8") for hook in HOOKS
}
"""Source text of each example by hook name, in the order of ``HOOKS``."""
