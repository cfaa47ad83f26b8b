"""Calls itself without end."""

import sys

sys.setrecursionlimit(10**9)


def deeper():
    deeper()


deeper()
