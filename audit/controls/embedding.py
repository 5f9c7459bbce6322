"""Embeddings of images and phrases, of length 1: what recognition and the image-side controls compare."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from audit.attribution.numerics import flushed_denormals
from audit.controls.plan import asserted, denied, opposites
from audit.encoders.protocol import DualEncoder
from pipelines.study import Case

__all__ = ["CaseEmbeddings", "Embedder"]

_AT_ONCE = 16  # images in a forward pass
_REMEMBERED = 4096  # phrases: reports repeat their sentences

Vector = Float[np.ndarray, " dim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEmbeddings:
    """One image with its phrases, by their index."""

    image: Vector
    phrases: Mapping[int, Vector]
    negated: Mapping[int, float]  # cosine of the image with the phrase's finding denied
    other_side: Mapping[int, float]  # with left and right swapped, where that is false of the image
    findings: Mapping[str, tuple[float, float]]  # cosines of the image with each finding asserted, and denied


class Embedder:
    """Runs the two towers forward."""

    def __init__(self, encoder: DualEncoder, findings: Sequence[str] = ()) -> None:
        """Take a model, and the findings that are asserted and denied of every image."""
        self._encoder, self.findings = encoder, tuple(findings)
        self._texts: OrderedDict[str, Vector] = OrderedDict()

    def case(self, case: Case, pixels: Float[Tensor, "3 size size"]) -> CaseEmbeddings:
        """Embed an image, on any device, and its phrases."""
        opposite = [opposites(case, phrase) for phrase in case.phrases]
        asked = [text for phrase, texts in zip(case.phrases, opposite, strict=True) for text in (phrase.text, *texts)]
        pairs = {finding: (asserted(finding), denied(finding)) for finding in self.findings}
        asked += [text for pair in pairs.values() for text in pair]
        vectors = self.texts([text for text in asked if text is not None])
        (image,) = self.images([pixels])
        negated, swapped = (
            {
                index: float(image @ vectors[text])
                for index, texts in enumerate(opposite)
                if (text := texts[place]) is not None
            }
            for place in (0, 1)
        )
        phrases = {index: vectors[phrase.text] for index, phrase in enumerate(case.phrases)}
        stated = {
            finding: (float(image @ vectors[yes]), float(image @ vectors[no])) for finding, (yes, no) in pairs.items()
        }
        return CaseEmbeddings(image=image, phrases=phrases, negated=negated, other_side=swapped, findings=stated)

    def texts(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Embed phrases, each once and alone: in a batch, rounding would depend on which are known already."""
        found = {text: self._texts[text] for text in texts if text in self._texts}
        for text in dict.fromkeys(texts):
            if text not in found:
                with torch.no_grad(), flushed_denormals():
                    (found[text],) = _rows(self._encoder.text.forward(self._encoder.text.tokenise([text])))
        self._texts.update(found)
        while len(self._texts) > _REMEMBERED:
            self._texts.popitem(last=False)
        return found

    def images(self, pixels: Sequence[Float[Tensor, "3 size size"]]) -> Float[np.ndarray, "images dim"]:
        """Embed images."""
        rows = []
        for start in range(0, len(pixels), _AT_ONCE):
            with torch.no_grad(), flushed_denormals():
                rows.append(_rows(self._encoder.image.forward(torch.stack(list(pixels[start : start + _AT_ONCE])))))
        return np.concatenate(rows)


def _rows(vectors: Float[Tensor, "batch dim"]) -> Float[np.ndarray, "batch dim"]:
    rows: Float[np.ndarray, "batch dim"] = normalize(vectors.float(), dim=-1).cpu().numpy()
    return rows
