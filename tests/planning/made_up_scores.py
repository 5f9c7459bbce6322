"""A made-up table of pointing-game scores, as a run writes it."""

import numpy as np
import pandas as pd

from audit.metrics.subgroups import ImageFacts
from audit.metrics.summary import score_table
from reports.score_catalogue import BLIND_METHODS, POINTING


def scores_of(rate: float, *, blind: float = 0.3, women: float | None = None, count: int = 120) -> pd.DataFrame:
    """Two phrases of one image for each patient; every second patient is a woman, with her own rate if one is given."""
    generator = np.random.default_rng(4)
    rows = []
    for number in range(count):
        own = rate if women is None or number % 2 else women
        for phrase in range(2):
            shared = {"study": f"s{number}", "image": f"i{number}", "patient": f"p{number}", "phrase": phrase}
            shared |= {"finding": "nodule", "score": POINTING}
            values = {"m2ib": float(generator.random() < own)}
            values |= {name: float(generator.random() < blind) for name in BLIND_METHODS}
            rows += [{**shared, "method": method, "value": value} for method, value in values.items()]
    return score_table(rows)


def facts_of_patients(count: int = 120) -> dict[str, ImageFacts]:
    return {
        f"i{number}": ImageFacts(
            view="PA",
            sex="male" if number % 2 else "female",
            age="40 to 59",
            manufacturer="Maker",
            photometric_interpretation="MONOCHROME2",
        )
        for number in range(count)
    }
