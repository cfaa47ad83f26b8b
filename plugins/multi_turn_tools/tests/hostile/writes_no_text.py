"""Writes bytes that are no text."""

import sys

sys.stdout.buffer.write(b"\xff\xfe\x00ok\xed\xa0\x80")
