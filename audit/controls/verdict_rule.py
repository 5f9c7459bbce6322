"""The rule of the verdict: its limits, its wording in run.json and on pages, and what a reader should do."""

from typing import Final

from audit.metrics.statistics import INTERVAL
from reports.run_record import VerdictWord

__all__ = [
    "ACTIONS",
    "BLANK_SD",
    "BLIND_MARGIN",
    "CHANCE",
    "FIXED_PLACE",
    "LEAST_OF_PART",
    "LEAST_PATIENTS",
    "LEAST_PHRASES",
    "MARKER_SHARE",
    "RULE",
    "WEAK_AREA",
]

LEAST_PHRASES, LEAST_PATIENTS = 100, 20
"""The mean boxes of fewer are weak references: ``benchmarks/bench_verdict.py`` measures how often they are beaten by a
map that ignores the image and learned its mean boxes elsewhere."""

LEAST_OF_PART: Final = (20, 10)
"""Phrases and patients, for controls, erased regions, mean heat and images with a marker."""

CHANCE: Final = 0.5
"""The area under the ROC curve of a model that ignores the image."""

WEAK_AREA: Final = 0.6
"""An area that may be as large is not known to be that of a model that ignores the image: an interval that holds both
:data:`CHANCE` and this leaves recognition open (``benchmarks/bench_recognition.py`` measures how often)."""

BLANK_SD: Final = 0.1
"""A change of the cosine within this is none, in standard deviations of a phrase's cosines over the images."""

MARKER_SHARE: Final = 0.25

FIXED_PLACE: Final = 0.8
"""Correlation of the heat with its mean on other images, above which its place is called fixed."""

BLIND_MARGIN: Final = 0.10
"""The class-mean box of a hundred patients is itself a random sample: on such cohorts of phantoms, an encoder that
never learned to look was up to 15 points above it (lower end: 8), and one that did learn was 49 above (lower: 42)."""

_STEPS: Final = f"""
Fewer than {LEAST_PHRASES} scored phrases or {LEAST_PATIENTS} patients: too few cases to say, because mean boxes of so
few are weak references.

Recognition: the area under the ROC curve of a phrase's own image among other patients' images without the finding is
not above {CHANCE}, by the lower end of the interval, and below {WEAK_AREA}, by the upper end: ignores the image. An
interval that holds both leaves the test open.

With a blank image the cosine changes by less than {BLANK_SD} standard deviations of a phrase's cosines over the
images, by both ends of the interval: ignores the image.

The peak of the heat lies on a burned-in marker in more than {MARKER_SHARE:.0%} of the phrases on images with a marker,
by the lower end of the interval: looks at the marker.

The heat lies at the same place on every image: its correlation with the method's mean heat on other patients' images
is above {FIXED_PLACE}, by the lower end of the interval, and its share of hits is not above that of the mean heat, by
the lower end of the paired difference: looks by habit.

The share of hits is not more than {100 * BLIND_MARGIN:.0f} points above that of every content-blind map on the same
phrases, by the lower end of the paired difference: not better than a blind map, because an encoder that never learned
to look may come as close.

The share of hits is not above that of the mean heat, by the lower end of the paired difference, wherever the heat
lies: looks by habit.

The share of hits does not drop with another patient's phrase, by the lower end of the paired difference: does not
depend on the words.

Reliance: the model recognises the image, but with the marked region erased the cosine does not fall further than with
equal areas erased elsewhere in the chest, by the lower end of the difference: right answer, wrong place.

Otherwise: grounded.
"""

RULE: Final = (
    f"{INTERVAL}; for the area under the ROC curve a bootstrap over patients. The first condition that holds is the "
    f"verdict. A test that was not asked, or with fewer than {LEAST_OF_PART[0]} phrases or {LEAST_OF_PART[1]} patients "
    "(except on markers), stays open: if no condition holds but a test is open, the verdict is too few cases to say. "
    + " ".join(f"{number}. {' '.join(step.split())}" for number, step in enumerate(_STEPS.split("\n\n"), start=1))
)
"""The meaning of a verdict, as stored in run.json and shown on the page."""

ACTIONS: Final[dict[VerdictWord, str]] = {
    "grounded": "Use the heat for the findings that the model recognises, relies on and localises, and audit again "
    "after any change of model, scanner or patients.",
    "ignores the image": "Do not use this model's answers: check that images and reports belong together and that the "
    "preprocessing is the model's own, and choose another model if they do.",
    "looks at the marker": "Remove letters and markers before the model sees the images and audit again, and do not "
    "use the model on images that show them.",
    "looks by habit": "Do not read this heat as evidence about one image: compare other methods on this model "
    "(m2ib-audit compare), and choose another model if every method has this habit.",
    "not better than a blind map": "Do not show this heat to readers: compare other methods on this model (m2ib-audit "
    "compare), and choose another model if none is better than a blind map.",
    "does not depend on the words": "Do not read the heat as the place of what the phrase says: compare other methods "
    "on this model (m2ib-audit compare), and choose another model if none depends on the words.",
    "right answer, wrong place": "Do not take a hit for the model's reason: look in the studies with low reliance for "
    "what else gives the finding away, such as devices, projection or other findings.",
    "too few cases to say": f"Audit more studies with boxes, at least {LEAST_PHRASES} phrases of {LEAST_PATIENTS} "
    f"patients, with controls on at least {2 * LEAST_OF_PART[0]} phrases, before drawing any conclusion.",
}
"""What the reader of a verdict should do."""
