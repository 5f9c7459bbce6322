"""Whether an encoder knows that a finding is there, wherever it looks: the AUC of the cosine with its sentence."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch.nn.functional import cosine_similarity

from audit.encoders.protocol import DualEncoder
from audit.scoring.statistics import Interval
from pipelines.phantom.lesions import PHANTOM_FINDINGS
from pipelines.phantom.wording import Claim, sentences_of

__all__ = ["auc", "auc_interval", "presence_cosines"]

_RESAMPLES, _TAIL = 1000, 0.025


def presence_cosines(
    encoder: DualEncoder, pixels: Float[torch.Tensor, "3 size size"]
) -> Float[np.ndarray, " findings"]:
    """Give an image's cosine with a location-free sentence of each of the phantoms' findings, in their order."""
    texts = [sentences_of(Claim(finding=finding))[0] for finding in PHANTOM_FINDINGS]
    with torch.no_grad():
        tokens = encoder.text.tokenise(texts)
        images = encoder.image.forward(pixels[None])
        cosines = cosine_similarity(images, encoder.text.forward(tokens), dim=-1)
    found: Float[np.ndarray, " findings"] = cosines.cpu().numpy()
    return found


def auc(values: Float[np.ndarray, " cases"], present: Bool[np.ndarray, " cases"]) -> float:
    """Area under the ROC curve, ties counted as a half; NaN where all are present or all absent."""
    count = int(present.sum())
    absent = len(present) - count
    if count == 0 or absent == 0:
        return float("nan")
    ranks = rankdata(values)
    return float((ranks[present].sum() - count * (count + 1) / 2) / (count * absent))


def auc_interval(values: Sequence[float], present: Sequence[bool], *, generator: np.random.Generator) -> Interval:
    """Give the AUC with its 95 % bootstrap interval; a case is a patient of its own."""
    cosines, truth = np.array(values, dtype=float), np.array(present, dtype=bool)
    drawn = (generator.integers(len(truth), size=len(truth)) for _ in range(_RESAMPLES))
    resampled = [auc(cosines[chosen], truth[chosen]) for chosen in drawn]
    low, high = np.nanquantile(resampled, [_TAIL, 1.0 - _TAIL])
    return Interval(
        estimate=auc(cosines, truth), low=float(low), high=float(high), values=len(truth), patients=len(truth)
    )
