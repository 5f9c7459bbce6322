"""Shapley values by their definition."""

from collections.abc import Callable
from itertools import combinations
from math import factorial


def shapley_by_definition(worth: Callable[[frozenset[int]], float], players: int) -> list[float]:
    """Mean gain of a player over all orders in which the players may come."""
    values = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        value = 0.0
        for size in range(players):
            share = factorial(size) * factorial(players - size - 1) / factorial(players)
            for members in combinations(others, size):
                value += share * (worth(frozenset(members) | {player}) - worth(frozenset(members)))
        values.append(value)
    return values
