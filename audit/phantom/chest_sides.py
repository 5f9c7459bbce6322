"""What tells left from right, and top from bottom, on the synthetic chests for the orientation network.

The shape of the left ventricle, the descending aorta, the higher left hilum, the liver, the stomach's gas, and where
tubes and lines usually lie. The ranges are wide, as those of the anatomy (:mod:`audit.phantom.chest_shapes`).
"""

from collections.abc import Callable

import numpy as np

from audit.phantom.chest_shapes import Chest, Corners, Map, Outline, Pose, ellipse, rounded

__all__ = ["SidedAnatomy"]


class SidedAnatomy:
    """The sided structures of one chest; left is the patient's left, on the right of the image."""

    def __init__(self, pose: Pose, chest: Chest, rng: np.random.Generator) -> None:
        self._pose, self._rng, self._side = pose, rng, chest.heart_side
        self._left_dome, self._right_dome = chest.domes[::-1] if chest.heart_side > 0 else chest.domes

    def shadows(self) -> list[tuple[float, Map]]:
        """Return what hides lung: the share that it hides, and where."""
        uniform, shadows = self._rng.uniform, []
        for chance, shape in ((0.8, self._heart), (0.7, self._aorta), (0.6, self._hilum)):
            if self._rng.random() < chance:
                shadows.append((uniform(0.3, 1.0), self._area(shape(), blur=uniform(1.0, 7.0))))
        return shadows

    def density_below(self) -> Map:
        """Return the density of liver and stomach, to be added below the diaphragm."""
        rng, uniform = self._rng, self._rng.uniform
        top = self._right_dome
        liver = [(-1.3, top + 0.3), (-0.6, top), (0.0, top + 0.15), (uniform(0.0, 0.5), top + 0.3)]
        outline = rounded([*liver, (0.1, top + 0.8), (-0.5, top + uniform(0.8, 2.0)), (-1.3, 3.0)])
        density = uniform(0.0, 0.15) * self._area(outline, blur=uniform(3.0, 12.0))
        if rng.random() < 0.55:
            radii = (uniform(0.12, 0.4), uniform(0.06, 0.22))
            centre = (uniform(0.25, 0.7), self._left_dome + radii[1] + uniform(0.0, 0.15))
            gas = self._area(ellipse(centre, radii, uniform(-0.4, 0.4)), blur=uniform(1.0, 5.0))
            density = density - uniform(0.05, 0.4) * gas
        return density

    def devices(self) -> Map:
        """Return a gastric tube, a jugular line and a pacemaker, each on some images, in [0, 1]."""
        rng, uniform = self._rng, self._rng.uniform
        kinds: tuple[tuple[float, Callable[[], Outline]], ...] = (
            (0.2, self._gastric_tube), (0.25, self._jugular_line), (0.06, self._pacing_lead)
        )  # fmt: skip
        drawn = [course() for chance, course in kinds if rng.random() < chance]
        curves = [self._sided(_smooth(points) + rng.normal(0.0, 0.02, 2)) for points in drawn]
        lines = self._pose.lines(curves, width=uniform(0.01, 0.035), blur=0.004)
        if rng.random() < 0.08:
            place = (uniform(0.55, 0.95), uniform(-1.0, -0.6))
            lines = np.maximum(lines, self._area(ellipse(place, (uniform(0.12, 0.2), uniform(0.12, 0.22))), blur=0.5))
        return lines

    def _heart(self) -> Outline:
        uniform, dome = self._rng.uniform, self._left_dome
        reach, top = uniform(0.35, 0.95), uniform(-0.35, 0.05)
        left = [(uniform(0.14, 0.3), top), (0.75 * reach, dome - uniform(0.35, 0.6)), (reach, dome - uniform(0.0, 0.2))]
        below = [(0.9 * reach, dome + 0.1), (0.1, dome + 0.2), (-0.15, self._right_dome + 0.1)]
        right = [(-uniform(0.12, 0.34), self._right_dome - uniform(0.15, 0.4)), (-0.13, top)]
        return rounded([*left, *below, *right, (0.0, top - 0.2)])

    def _aorta(self) -> Outline:
        uniform = self._rng.uniform
        knob, level = uniform(0.16, 0.34), uniform(-0.6, -0.35)
        left = [(knob, level), (knob, level + 0.12), (uniform(0.1, 0.24), 0.1), (uniform(0.06, 0.16), 1.3)]
        return rounded([(0.0, level - 0.12), *left, (0.0, 1.3)])

    def _hilum(self) -> Outline:
        uniform = self._rng.uniform
        return ellipse((uniform(0.22, 0.36), uniform(-0.3, -0.08)), (uniform(0.06, 0.13), uniform(0.06, 0.16)))

    def _gastric_tube(self) -> Outline:
        uniform, dome = self._rng.uniform, self._left_dome
        return np.array([(0.0, -2.2), (0.0, -0.6), (0.04, 0.5), (0.12, dome + 0.1), (uniform(0.2, 0.7), dome + 0.5)])

    def _jugular_line(self) -> Outline:
        uniform = self._rng.uniform
        return np.array([(-uniform(0.3, 0.6), -2.0), (-0.25, -1.1), (-0.17, -0.7), (-0.15, uniform(-0.4, 0.3))])

    def _pacing_lead(self) -> Outline:
        uniform, dome = self._rng.uniform, self._left_dome
        return np.array([(uniform(0.6, 0.9), -0.8), (0.4, -1.0), (0.0, -0.7), (-0.14, 0.0), (0.3, dome - 0.1)])

    def _area(self, outline: Outline, *, blur: float) -> Map:
        return self._pose.area(self._sided(outline), blur=blur)

    def _sided(self, outline: Outline) -> Outline:
        return np.asarray(outline * np.array([self._side, 1.0]))


def _smooth(points: Corners) -> Outline:
    """Round an open course by cutting its corners (Chaikin 1974); the ends stay."""
    for _ in range(2):
        cut = [0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]]
        points = np.concatenate([points[:1], np.stack(cut, axis=1).reshape(-1, 2), points[-1:]])
    return points
