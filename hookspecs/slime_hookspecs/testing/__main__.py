"""``python -m slime_hookspecs.testing NAME`` is ``slime-conformance NAME``."""

import sys

from slime_hookspecs.testing.cli import main

sys.exit(main())
