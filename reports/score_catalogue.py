"""Every score with its unit, its direction and where pages show it; and the references.

To add a score, add a line to :data:`SCORES`, and for a score of a map against boxes one to
:data:`audit.metrics.scores.MEASURES`. Its wording on pages is in section ``score`` of ``reports/texts/en.toml``; a
score without an entry there is shown by its name.
"""

from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final, Literal

from reports.run_record import Estimate, ScoreDifference
from reports.texts import named

__all__ = [
    "ABSENCE_PERCENTILE",
    "AREA_SHARE",
    "ASSERTION_PREFERRED",
    "BEATS_NEGATION",
    "BEATS_OTHER_SIDE",
    "BLIND_METHODS",
    "COHORT_IOU",
    "COLLIMATION_HEAT",
    "CONTRAST",
    "COSINE",
    "COSINE_ROUNDING",
    "DENIAL_PREFERRED",
    "ENERGY",
    "FALL_BLANK",
    "FALL_ELSEWHERE",
    "FALL_REGION",
    "FALL_SAME",
    "FALL_WITHOUT",
    "FEW_PATIENTS",
    "FEW_PHRASES",
    "HUMAN",
    "LEAVE_ONE_WORD_OUT",
    "MARKER_HEAT",
    "MARKER_POINT",
    "MEAN_HEAT_CORRELATION",
    "MEAN_IOU",
    "OTSU_IOU",
    "OUTSIDE_HEAT",
    "PERCENTILE",
    "POINTING",
    "POINTING_MM",
    "POINTING_NEAR",
    "PRECISION",
    "RANK",
    "RECALL",
    "REFERENCES",
    "RELIANCE",
    "SCORES",
    "SIDE_HEAT",
    "SIDE_POINT",
    "UNIFORM_WORDS",
    "UNTRAINED",
    "WORDS_AS_LEFT_OUT",
    "WORDS_ON_FINDING",
    "WORDS_ON_OTHERS",
    "WORDS_ON_PLACE",
    "WORDS_RANK",
    "WORD_REFERENCES",
    "ZONE_POINT",
    "ScoreKind",
    "ScoreSpec",
    "excels",
    "is_reference",
    "kind_of",
    "mean_heat_name",
    "method_behind",
    "names_of",
    "names_on_pages",
    "score_name",
    "shuffled_name",
    "untrained_name",
]

ScoreKind = Literal["localisation", "shortcut", "faithfulness", "recognition", "reliance", "absence", "words"]


_LIMITS: Final = {
    "hit": (0.0, 1.0),
    "share": (0.0, 1.0),
    "IoU": (0.0, 1.0),
    "percent": (0.0, inf),
    "rank": (1.0, inf),
    "correlation": (-1.0, 1.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSpec:
    """One score of a heat."""

    name: str  # in records and tables
    kind: ScoreKind
    """Against boxes; by regions of the image; by hiding the hottest cells; of the words; without heat: by comparing the
    cosines of images and phrases, or by changing the image"""
    unit: Literal["hit", "share", "IoU", "ratio", "percent", "cosine", "SD", "rank", "correlation"]
    """hit: 0 or 1; share and IoU: 0 to 1; SD: standard deviations of a phrase's cosines over the cohort's images"""
    higher_is_better: bool = True
    on_page: bool = False  # in the charts, and in the tables of a study's phrases
    heading: str | None = None  # of its column in a terminal
    within_px: float | None = None  # tolerance of a pointing game, in pixels of the model's input
    within_mm: float | None = None  # the same in mm at the detector, or as calibrated: as the header's spacing is meant
    warning: tuple[str, float] | None = None  # of section ``warning`` of the texts, and the value that calls for it
    dicom_code: str | None = None  # in structured reports

    @property
    def label(self) -> str:
        """Its wording on pages."""
        return named("score", self.name)

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest possible value, infinite where there is none."""
        return _LIMITS.get(self.unit, (-inf, inf))

    @property
    def is_pointing(self) -> bool:
        """True for a pointing game."""
        return self.within_px is not None or self.within_mm is not None


POINTING: Final = "pointing game, tau 0"
POINTING_NEAR: Final = "pointing game, tau 15"
POINTING_MM: Final = "pointing game, 10 mm"
ENERGY: Final = "energy in box"
RANK: Final = "relevance rank"
PRECISION: Final = "average precision"
OTSU_IOU: Final = "IoU at Otsu"
COHORT_IOU: Final = "IoU at cohort threshold"
MEAN_IOU: Final = "mIoU"
CONTRAST: Final = "CNR"
MARKER_POINT: Final = "hottest point on a marker"
MARKER_HEAT: Final = "heat on markers"
OUTSIDE_HEAT: Final = "heat outside the chest"
COLLIMATION_HEAT: Final = "heat on collimation"
SIDE_POINT: Final = "hottest point on the named side"
SIDE_HEAT: Final = "heat on the named side"
ZONE_POINT: Final = "hottest point in the named zone"
MEAN_HEAT_CORRELATION: Final = "correlation with the mean heat on other images"
PERCENTILE: Final = "percentile among images without the finding"
BEATS_NEGATION: Final = "prefers the phrase to its negation"
BEATS_OTHER_SIDE: Final = "prefers the phrase to the other side"
RECALL: Final = "recall of reports at {}"  # of images, so not among the scores of phrases
ABSENCE_PERCENTILE: Final = "percentile among images with the finding"
DENIAL_PREFERRED: Final = "prefers the denial to the assertion"
ASSERTION_PREFERRED: Final = "prefers the assertion to the denial"  # on images with the finding
RELIANCE: Final = "reliance on the marked region"
COSINE_ROUNDING: Final = 1e-6  # cosines in single precision that differ by no more differ by rounding alone
FALL_REGION: Final = "fall with the marked region erased"
FALL_ELSEWHERE: Final = "fall with an equal area erased"
FALL_BLANK: Final = "fall with a blank image"
FALL_SAME: Final = "fall with other patients' images of the finding"
FALL_WITHOUT: Final = "fall with other patients' images without the finding"

COSINE: Final = "cosine"
"""What the table's ``method`` column says of recognition, reliance and absence, which use no heat."""
WORDS_ON_FINDING: Final = "word heat on the finding"
WORDS_ON_PLACE: Final = "word heat on side and zone"
WORDS_ON_OTHERS: Final = "word heat on other words"
WORDS_RANK: Final = "rank of the first finding word"
WORDS_AS_LEFT_OUT: Final = "word heat against leaving words out"

_localisation = partial(ScoreSpec, kind="localisation")
_shortcut = partial(ScoreSpec, kind="shortcut")
_faithfulness = partial(ScoreSpec, kind="faithfulness")
_reliance = partial(ScoreSpec, kind="reliance", unit="SD")
_words = partial(ScoreSpec, kind="words")

_ALL = (
    _localisation(name=POINTING, unit="hit", on_page=True, within_px=0.0, heading="hit", dicom_code="pointing-0"),
    _localisation(
        name=POINTING_NEAR, unit="hit", on_page=True, within_px=15.0, heading="within 15 px", dicom_code="pointing-15"
    ),
    _localisation(name=POINTING_MM, unit="hit", within_mm=10.0),
    _localisation(name=ENERGY, unit="share", on_page=True, heading="energy"),
    _localisation(name=RANK, unit="share", heading="rank"),
    _localisation(name=PRECISION, unit="share", heading="AP"),
    _localisation(name=OTSU_IOU, unit="IoU", on_page=True, heading="Otsu IoU"),
    _localisation(name=COHORT_IOU, unit="IoU", heading="cohort IoU"),
    _localisation(name=MEAN_IOU, unit="IoU"),
    _localisation(name=CONTRAST, unit="ratio"),
    _shortcut(name=MARKER_POINT, unit="hit", higher_is_better=False, warning=("on a marker", 1.0)),
    _shortcut(name=MARKER_HEAT, unit="share", higher_is_better=False),
    _shortcut(name=OUTSIDE_HEAT, unit="share", higher_is_better=False),
    _shortcut(name=COLLIMATION_HEAT, unit="share", higher_is_better=False),
    _shortcut(name=SIDE_POINT, unit="hit", warning=("other side", 0.0)),
    _shortcut(name=SIDE_HEAT, unit="share"),
    _shortcut(name=ZONE_POINT, unit="hit", warning=("other zone", 0.0)),
    _shortcut(name=MEAN_HEAT_CORRELATION, unit="correlation", higher_is_better=False),
    _faithfulness(name="image confidence drop", unit="percent", higher_is_better=False),
    _faithfulness(name="image confidence increase", unit="percent"),
    _faithfulness(name="text confidence drop", unit="percent", higher_is_better=False),
    _faithfulness(name="text confidence increase", unit="percent"),
    _faithfulness(name="image deletion AUC, mean grey", unit="cosine", higher_is_better=False),
    _faithfulness(name="image deletion AUC, blur", unit="cosine", higher_is_better=False),
    _faithfulness(name="image insertion AUC, mean grey", unit="cosine"),
    _faithfulness(name="image insertion AUC, blur", unit="cosine"),
    _faithfulness(name="text deletion AUC, zero embeddings", unit="cosine", higher_is_better=False),
    _faithfulness(name="text insertion AUC, zero embeddings", unit="cosine"),
    _faithfulness(name="ROAD", unit="cosine"),
    ScoreSpec(name=PERCENTILE, kind="recognition", unit="share"),
    ScoreSpec(name=BEATS_NEGATION, kind="recognition", unit="share"),
    ScoreSpec(name=BEATS_OTHER_SIDE, kind="recognition", unit="share"),
    ScoreSpec(name=ABSENCE_PERCENTILE, kind="absence", unit="share"),
    ScoreSpec(name=DENIAL_PREFERRED, kind="absence", unit="share"),
    ScoreSpec(name=ASSERTION_PREFERRED, kind="absence", unit="share"),
    _reliance(name=RELIANCE),
    _reliance(name=FALL_REGION),
    _reliance(name=FALL_ELSEWHERE),
    _reliance(name=FALL_BLANK),
    _reliance(name=FALL_SAME),
    _reliance(name=FALL_WITHOUT),
    _words(name=WORDS_ON_FINDING, unit="share"),
    _words(name=WORDS_ON_PLACE, unit="share"),
    _words(name=WORDS_ON_OTHERS, unit="share", higher_is_better=False),
    _words(name=WORDS_RANK, unit="rank", higher_is_better=False),
    _words(name=WORDS_AS_LEFT_OUT, unit="correlation"),
)

SCORES: Final[dict[str, ScoreSpec]] = {spec.name: spec for spec in _ALL}
"""Every score by its name, in the order of the tables."""

BLIND_METHODS: Final = ("random", "centre", "class-mean box", "words-only prior")
"""References that never look at the image."""

HUMAN: Final = "another reader"
"""The reference of localisation scores: one reader's boxes scored against another's."""

AREA_SHARE: Final = "area share"
"""The reference of shortcut scores: heat that is the same everywhere, a peak that may be anywhere."""

UNIFORM_WORDS: Final = "uniform words"
"""The reference of word scores: the same heat on every token."""

UNTRAINED: Final = "untrained bottleneck"
"""The capacity of a bottleneck before its first step: what the norms of the hidden state alone give."""

LEAVE_ONE_WORD_OUT: Final = "leave-one-word-out"
"""The causal reference of word scores: the fall of the cosine when a word is replaced by a neutral token."""

WORD_REFERENCES: Final = (UNIFORM_WORDS, UNTRAINED, LEAVE_ONE_WORD_OUT)

REFERENCES: Final = (*BLIND_METHODS, HUMAN, AREA_SHARE, *WORD_REFERENCES)

_SHUFFLED = "shuffled "
_MEAN_HEAT = "mean heat of "
_UNTRAINED_OF = f"{UNTRAINED} of "

FEW_PATIENTS: Final = 10
"""Below this many patients no difference is marked as one, whatever its interval."""

FEW_PHRASES: Final = 20
"""Below this many scored phrases a group says nothing."""


def names_of(kind: ScoreKind) -> tuple[str, ...]:
    """List the scores of one kind."""
    return tuple(name for name, spec in SCORES.items() if spec.kind == kind)


def names_on_pages() -> tuple[str, ...]:
    """List the scores in charts and on studies' pages."""
    return tuple(name for name, spec in SCORES.items() if spec.on_page)


def kind_of(score: str) -> ScoreKind | None:
    """Return a score's kind; None if the catalogue does not contain it."""
    return SCORES[score].kind if score in SCORES else None


def score_name(score: str) -> str:
    """Return the wording of a score in a record, whether or not the catalogue contains it."""
    return named("score", score)


def shuffled_name(method: str) -> str:
    """Return the name of the reference for faithfulness scores: a method's own heat with shuffled cells."""
    return _SHUFFLED + method


def mean_heat_name(method: str) -> str:
    """Return the name of the reference that is a method's mean heat on other patients' images."""
    return _MEAN_HEAT + method


def untrained_name(method: str) -> str:
    """Return the name of the reference that is a bottleneck's heat before its first step."""
    return _UNTRAINED_OF + method


def method_behind(reference: str) -> tuple[Literal["mean heat", "untrained"], str] | None:
    """Return what a reference made from one method is, and the method; None for another reference or a method."""
    if reference.startswith(_MEAN_HEAT):
        return "mean heat", reference.removeprefix(_MEAN_HEAT)
    if reference.startswith(_UNTRAINED_OF):
        return "untrained", reference.removeprefix(_UNTRAINED_OF)
    return None


def is_reference(method: str) -> bool:
    """Return True if a name in the ``method`` column is a reference."""
    return method in REFERENCES or method.startswith((_SHUFFLED, _MEAN_HEAT, _UNTRAINED_OF))


def excels(difference: ScoreDifference | Estimate, *, higher_is_better: bool = True) -> bool:
    """Return True if the whole interval of a difference lies on the better side of 0, with enough patients."""
    is_beyond = difference.low > 0.0 if higher_is_better else difference.high < 0.0
    return is_beyond and difference.patients >= FEW_PATIENTS
