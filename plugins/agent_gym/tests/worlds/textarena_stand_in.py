"""Stands in for textarena: games that draw from the global generator and repeat themselves."""

import random


class Game:
    """Guess a die from 1 to 6; with two players they take turns, and the first to guess it wins."""

    def __init__(self, sides=6):
        self.sides = sides

    def reset(self, num_players, seed=None):
        random.seed(seed)
        self.players, self.turn, self.winner = num_players, 0, None
        self.number = random.randint(1, self.sides)
        self.told = [f"[GAME] Guess 1 to {self.sides}."]

    def get_observation(self):
        return self.turn % self.players, "\n".join(self.told)

    def step(self, action):
        player = self.turn % self.players
        self.turn += 1
        self.told.append(f"[Player {player}] {action} {random.random()}")
        if action == str(self.number):
            self.winner = player
        return self.winner is not None, {"turn": self.turn}

    def close(self):
        return {player: 1 if player == self.winner else -1 for player in range(self.players)}, {}


class Raw(Game):
    """Observations as rows."""

    def get_observation(self):
        player, text = super().get_observation()
        return player, [(-1, line, None) for line in text.split("\n")]


def opponent(observation):
    return str(random.randint(1, 3))


def loser(observation):
    return "0"


REGISTRY = {"Die-v0": Game, "Die-v0-raw": Raw}


def make(game, **arguments):
    return REGISTRY[game](**arguments)
