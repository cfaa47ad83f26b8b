"""Fields become flags, TOML keys and help: ``--words.hints 2``, ``[plugin.words] hints = 2``."""

from dataclasses import dataclass, field

from slime_hookspecs import ConfigError, hookimpl


@dataclass(frozen=True)
class Options:
    hints: int = field(default=0, metadata={"help": "letters that are shown with each word"})

    def __post_init__(self) -> None:
        if self.hints < 0:
            raise ConfigError(f"hints is {self.hints}; it must be 0 or more")


@hookimpl
def slime_options() -> type:
    return Options
