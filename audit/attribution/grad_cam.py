"""Grad-CAM: features weighted by the mean gradient of the cosine with respect to each feature.

    heat = ReLU(sum over d of w_d F_pd),   w_d = mean over patches p of d cos / d F_pd

F is the input of the last transformer block, unless another block is given: after the last block only the pooled token
has a gradient. In a convolutional tower F is the last grid of features, as published.

Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization"
(ICCV), equations 1 and 2; the class score is replaced by the cosine with the phrase's embedding.
"""

from collections.abc import Mapping

from audit.attribution.engine import Method
from audit.attribution.layers import check_layer, cosine_gradient
from audit.attribution.pairs import Maps, Pairs, on_grid
from audit.encoders.protocol import DualEncoder
from audit.encoders.transformer import TransformerImageTower
from pipelines.errors import ModelError

__all__ = ["GradCAM"]


class GradCAM(Method):
    """Gradient-weighted class activation mapping of the image."""

    name = "grad_cam"
    unit = "dimensionless"
    explains_words = False

    numbers: Mapping[str, type] = {"image_layer": int}

    def __init__(self, *, image_layer: int | None = None) -> None:
        """Set the block whose output gives the features, 0-based; None is the last possible one."""
        self._layer = image_layer

    def hyperparameters(self, encoder: DualEncoder) -> dict[str, float]:
        """Return the hyperparameters for a model.

        Raises:
            ModelError: the tower has only one transformer block, so there is none before the last.
            ValueError: the model has no such block, or its patches have no gradient after it.
        """
        depth = encoder.image.depth
        readable = depth - isinstance(encoder.image, TransformerImageTower)
        if readable < 1:
            raise ModelError(
                f"{self.name} reads the features before the last block, but {encoder.info.name} has only {depth}: "
                "choose another method"
            )
        layer = readable - 1 if self._layer is None else self._layer
        check_layer("image", layer, depth)
        if layer >= readable:
            raise ValueError(f"after image layer {layer}, the last, patches have no gradient: give 0 to {layer - 1}")
        return {"image_layer": layer}

    def attribute(self, pairs: Pairs) -> Maps:
        """Weight the image's features by their mean gradient."""
        layer = int(self.hyperparameters(pairs.encoder)["image_layer"])
        side = pairs.image_side(layer)
        features = side.prefix(layer)
        gradient = cosine_gradient(lambda x: side.tower.suffix(x, layer), features, side.target)
        leading = pairs.encoder.image.leading_tokens
        weights = gradient[:, leading:].mean(1, keepdim=True)
        return Maps(image=on_grid((weights * features).sum(-1).relu(), pairs.encoder, layer))
