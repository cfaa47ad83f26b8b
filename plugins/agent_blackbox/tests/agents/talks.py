"""Asks as often as it is told, in one conversation, and is worth how often that was."""

import sys

from asking import TASK, ask, reward, user

messages = TASK["messages"]
for _ in range(int(sys.argv[1])):
    messages += [ask(messages), user("go on")]
reward({"reward": float(sys.argv[1]), "metrics": {"asked": int(sys.argv[1])}})
