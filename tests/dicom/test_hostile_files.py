"""Mutated files: each is read or refused within its limits, and none brings the reader down."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.bench_hostile import MEMORY, MUTATIONS, attack, mutated


@pytest.mark.parametrize("count", [pytest.param(200, id="200"), pytest.param(4000, id="4,000", marks=pytest.mark.slow)])
def test_every_mutation_is_read_or_refused(tmp_path: Path, count: int) -> None:
    trial = attack(mutated(7, count), tmp_path)
    assert trial.broken == []
    assert trial.grown < MEMORY
    assert sum(trial.outcomes.values()) == count
    assert {name for name, _ in trial.outcomes} >= set(MUTATIONS) - {"deflate bomb", "flood of elements"}
    outcomes = Counter(outcome for _, outcome in trial.outcomes.elements())
    assert min(outcomes["read"], outcomes["refused"], outcomes["pixels refused"]) > 0


def test_the_same_seed_gives_the_same_files() -> None:
    assert list(mutated(3, 20)) == list(mutated(3, 20))
    assert list(mutated(3, 20)) != list(mutated(4, 20))
