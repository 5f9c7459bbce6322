"""Every attribution method, by the name that ``--method`` takes."""

from collections.abc import Callable, Mapping

import numpy as np

from audit.attribution.chefer import Chefer
from audit.attribution.engine import Method
from audit.attribution.explanation import Explanation
from audit.attribution.grad_cam import GradCAM
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.iba import IBA
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.legrad import LeGrad
from audit.attribution.m2ib import M2IB
from audit.attribution.nib import NIB
from audit.attribution.patch_similarity import PatchSimilarity
from audit.attribution.rise import RISE
from audit.attribution.rollout import Rollout
from audit.attribution.saliency import Saliency
from audit.encoders.protocol import DualEncoder
from pipelines.image_file import Picture

__all__ = ["METHODS", "explain"]

METHODS: Mapping[str, Callable[[], Method]] = {
    "m2ib": M2IB,
    "iba": IBA,
    "nib": NIB,
    "grad_cam": GradCAM,
    "grad_eclip": GradECLIP,
    "chefer": Chefer,
    "legrad": LeGrad,
    "saliency": Saliency,
    "rise": RISE,
    "kernel_shap": KernelSHAP,
    "rollout": Rollout,
    "patch_similarity": PatchSimilarity,
}


def explain(
    encoder: DualEncoder,
    image: Picture | np.ndarray,
    phrase: str,
    *,
    method: Method | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain one picture with one phrase, by M2IB if no other method is given; see :meth:`Method.explain`."""
    return (method or M2IB()).explain(encoder, image, phrase, seed=seed)
