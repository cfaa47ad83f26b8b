"""Asks until it is refused, each time in a conversation of its own, and tells why it ended."""

import itertools
import sys

from asking import call, reward, user

for number in itertools.count():
    status, answer = call([user(f"{number}")])
    if status != 200:
        break
print(answer["error"]["code"])
if "reward" in sys.argv:
    reward(number)
