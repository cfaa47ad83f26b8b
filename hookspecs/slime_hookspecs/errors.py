"""Every error that a plugin author or a user can meet, as one tree.

::

    SlimeError
    ├── UserError               the run was asked for something that cannot be done; exit status 2
    │   ├── ConfigError         an option, a TOML key or a value is wrong
    │   ├── DataError           a data file or a line of it is wrong
    │   └── PluginError         a plugin is unknown, broken, or breaks the contract
    └── RunError                the run began and could not go on; exit status 1
        ├── EngineError         a server or the router did not answer as it must
        ├── TrainerError        a trainer rank failed
        ├── WeightSyncError     servers and trainer disagree about the weights
        └── TooManyFailures     more samples failed than the run allows
"""

from __future__ import annotations


class SlimeError(Exception):
    """Root of all errors that slime raises on purpose. Shown without a traceback."""

    exit_status = 1


class UserError(SlimeError):
    """What was asked for cannot be done. Says who, where, what was found, what would be right."""

    exit_status = 2


class ConfigError(UserError):
    """An option, a TOML key or a value is wrong."""


class DataError(UserError):
    """A data file, or a line of it, is wrong. The message names file and line."""


class PluginError(UserError):
    """A plugin is unknown, does not import, or breaks the contract."""


class RunError(SlimeError):
    """The run began and could not go on."""


class EngineError(RunError):
    """An inference server or the router did not answer as it must."""


class TrainerError(RunError):
    """A trainer rank failed."""


class WeightSyncError(RunError):
    """Servers and trainer disagree about the weights after an update."""


class TooManyFailures(RunError):  # noqa: N818
    """More samples failed than ``--max-failed-fraction`` allows."""
