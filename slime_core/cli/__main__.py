"""``python -m slime_core.cli`` is the command ``slime``."""

from slime_core.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
