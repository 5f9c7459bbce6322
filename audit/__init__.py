"""Attribution, scoring and the command line.

What a notebook needs can be imported from here by name. Nothing is loaded before it is asked for: ``import audit``
takes no time, and torch comes with the first name that needs it. ::

    from audit import M2IB, load_encoder, read_image

    encoder = load_encoder("phantom")
    seen = M2IB().explain(encoder, read_image("film.dcm"), "left pleural effusion")
    seen.figure()
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.attribution.bottleneck import BottleneckSettings
    from audit.attribution.chefer import Chefer
    from audit.attribution.explanation import Explanation
    from audit.attribution.grad_cam import GradCAM
    from audit.attribution.grad_eclip import GradECLIP
    from audit.attribution.iba import IBA
    from audit.attribution.kernel_shap import KernelSHAP
    from audit.attribution.legrad import LeGrad
    from audit.attribution.m2ib import M2IB
    from audit.attribution.methods import METHODS, explain
    from audit.attribution.nib import NIB
    from audit.attribution.patch_similarity import PatchSimilarity
    from audit.attribution.rise import RISE
    from audit.attribution.rollout import Rollout
    from audit.attribution.saliency import Saliency
    from audit.encoders.loading import load_encoder
    from audit.figures import figure
    from pipelines.boxes import read_boxes
    from pipelines.image_file import Picture, read_image
    from pipelines.study import Box

__all__ = [
    "IBA",
    "M2IB",
    "METHODS",
    "NIB",
    "RISE",
    "BottleneckSettings",
    "Box",
    "Chefer",
    "Explanation",
    "GradCAM",
    "GradECLIP",
    "KernelSHAP",
    "LeGrad",
    "PatchSimilarity",
    "Picture",
    "Rollout",
    "Saliency",
    "explain",
    "figure",
    "load_encoder",
    "read_boxes",
    "read_image",
]

_HOMES = {
    "IBA": "audit.attribution.iba",
    "M2IB": "audit.attribution.m2ib",
    "METHODS": "audit.attribution.methods",
    "NIB": "audit.attribution.nib",
    "RISE": "audit.attribution.rise",
    "Box": "pipelines.study",
    "Chefer": "audit.attribution.chefer",
    "Explanation": "audit.attribution.explanation",
    "GradCAM": "audit.attribution.grad_cam",
    "GradECLIP": "audit.attribution.grad_eclip",
    "KernelSHAP": "audit.attribution.kernel_shap",
    "LeGrad": "audit.attribution.legrad",
    "BottleneckSettings": "audit.attribution.bottleneck",
    "PatchSimilarity": "audit.attribution.patch_similarity",
    "Picture": "pipelines.image_file",
    "Rollout": "audit.attribution.rollout",
    "Saliency": "audit.attribution.saliency",
    "explain": "audit.attribution.methods",
    "figure": "audit.figures",
    "load_encoder": "audit.encoders.loading",
    "read_boxes": "pipelines.boxes",
    "read_image": "pipelines.image_file",
}

if not TYPE_CHECKING:  # a type checker reads the imports above, and sees a name that is misspelt

    def __getattr__(name: str) -> object:
        """Load a name from its own module when it is first asked for."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'audit' has no attribute {name!r}")
        found = getattr(import_module(home), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        """The names that are here and those that can be loaded."""
        return sorted({*globals(), *__all__})
