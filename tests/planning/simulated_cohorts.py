"""Made-up phrases whose hits are alike within patients, drawn from beta-binomial and Dirichlet distributions."""

import numpy as np


def patients_of(count: int, mean: float, generator: np.random.Generator) -> np.ndarray:
    """Give each patient one phrase and a Poisson number of others."""
    return np.repeat(np.arange(count), 1 + generator.poisson(mean - 1.0, count))


def shares(means: tuple[float, ...], correlation: float, count: int, generator: np.random.Generator) -> np.ndarray:
    scale = 1.0 / correlation - 1.0
    drawn = np.stack([generator.gamma(max(mean * scale, 1e-9), size=count) for mean in means], axis=-1) + 1e-300
    return drawn / drawn.sum(axis=-1, keepdims=True)


def hits(
    count: int, mean: float, rate: float, correlation: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    patients = patients_of(count, mean, generator)
    own = shares((rate, 1.0 - rate), correlation, count, generator)[patients, 0]
    return (generator.random(len(patients)) < own).astype(float), patients


def variation(mean: float) -> float:
    """Coefficient of variation of the phrases per patient."""
    return float(np.sqrt(mean - 1.0) / mean)
