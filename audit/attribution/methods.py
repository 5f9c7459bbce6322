"""All attribution methods, behind one form.

To add one, write a file with a class of this form and add a line to :data:`METHODS`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from audit.attribution.chefer import Chefer
from audit.attribution.explain import M2IB, Clock, Explanation, Request
from audit.attribution.grad_cam import GradCAM
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.iba import IBA
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.legrad import LeGrad
from audit.attribution.nib import NIB
from audit.attribution.pairs import no_clock
from audit.attribution.patch_similarity import PatchSimilarity
from audit.attribution.rise import RISE
from audit.attribution.rollout import Rollout
from audit.attribution.saliency import Saliency
from audit.encoders.protocol import DualEncoder

__all__ = ["METHODS", "Method"]


@runtime_checkable
class Method(Protocol):
    """A way to say which part of an image, and of a phrase, their cosine comes from."""

    name: str
    unit: str  # of the heat: "nats", "cosine" or "dimensionless"; a heat compares with its own method's only
    explains_words: bool  # False: ``words`` of its explanations is empty, not measured
    numbers: Mapping[str, type]  # type of each of its numbers, which its class takes as an argument of the same name

    def numbers_for(self, encoder: DualEncoder) -> Mapping[str, float | str]:
        """The method's numbers for a model, under the names of :attr:`numbers`, for the record.

        Raises:
            ValueError: a number does not fit the model.
            ModelError: the method cannot explain a model of this kind.
        """
        ...

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True, clock: Clock = no_clock
    ) -> tuple[tuple[Explanation, ...], ...]:
        """Explain several images, each with its own phrases; a pair gives what it gives alone.

        Raises:
            ModelError: the method cannot explain a model of this kind.
        """
        ...


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
