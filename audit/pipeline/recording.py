"""One image's heats become its record: points, scores and controls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from audit.attribution.pairs import Attribution
from audit.controls.evidence import pearson
from audit.controls.explained import ExplainedControl
from audit.metrics.pointing import hottest_point, is_measurable
from audit.metrics.subgroups import facts_of
from audit.pipeline.scoring_context import ImageScorer, Targets, on_source
from audit.privacy.pseudonyms import Keys, path_key
from audit.privacy.redaction import Shower, shown_text, shown_words
from pipelines.boxes.matching import target_places
from pipelines.dicom.identifiers import read_identifiers
from pipelines.study import Case, Identifiers, Phrase, Radiograph, fields_of
from pipelines.transforms import LoadedCase
from reports.record import ControlRecord, OtherHeatRecord, Score, ScoredImage, ScoredPhrase
from reports.targets import box_ids, scored_boxes

__all__ = [
    "ExplainedCase",
    "ImageRecorder",
    "RecordedImage",
    "hits",
    "phrase_texts",
    "stored_heat",
    "target_ids",
]

Grid = Float[np.ndarray, "grid_rows grid_columns"]

_LARGEST_HALF, _SMALLEST_HALF = 6e4, 1e-2  # between them half precision keeps three digits of the hottest cell


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCase:
    """One image with what the methods say of it."""

    loaded: LoadedCase
    explanations: tuple[tuple[Attribution, ...], ...]  # for each method one for each of phrase_texts
    controls: tuple[ExplainedControl, ...] = ()
    faithfulness: Mapping[int, tuple[Score, ...]] = field(default_factory=dict)  # by place of the phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedImage:
    """An image's record and the heats that it names."""

    record: ScoredImage
    heats: Mapping[str, np.ndarray]


def phrase_texts(loaded: LoadedCase) -> list[str]:
    """The sentences that are put to the model for an image, each once: one may name two findings."""
    return list(dict.fromkeys(phrase.text for phrase in loaded.case.phrases))


def stored_heat(heat: Grid) -> Grid:
    """Give a heat the precision in which it is kept, before anything is scored: what is kept can be scored again.

    Half precision, unless that would lose a heat's range (gradients are small numbers) or make two cells the hottest
    where one was: then single.
    """
    hottest = float(np.abs(heat).max(initial=0.0))
    if hottest != 0.0 and not _SMALLEST_HALF <= hottest <= _LARGEST_HALF:
        return heat.astype(np.float32)
    half = heat.astype(np.float16)
    if np.count_nonzero(half == half.max()) != np.count_nonzero(heat == heat.max()):
        return heat.astype(np.float32)
    return half


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecorder:
    """Records images of one run."""

    keys: Keys
    targets: Targets
    methods: tuple[tuple[str, str], ...]  # name and unit of heat; the first is the run's own
    show_phi: bool
    known: Identifiers = field(default_factory=Identifiers)  # of the study's other images, to be masked too

    def record(self, explained: ExplainedCase, *, prefix: str) -> RecordedImage:
        """Score and record one image; names of its heats and its picture begin with ``prefix``."""
        heats: dict[str, np.ndarray] = {}
        scorer = ImageScorer(self.targets, explained.loaded)
        phrases = tuple(
            self._phrase(explained, scorer, index, f"{prefix}-phrase-{index + 1}", heats)
            for index in range(len(explained.loaded.case.phrases))
        )
        record = self._image(explained.loaded, phrases, prefix)
        return RecordedImage(record=record, heats=heats)

    def _image(self, loaded: LoadedCase, phrases: tuple[ScoredPhrase, ...], prefix: str) -> ScoredImage:
        image = loaded.case.image
        facts = facts_of(image)
        seen = fields_of(image, Radiograph) | {
            "manufacturer": self.shower.maker(facts.manufacturer),
            "photometric_interpretation": facts.photometric_interpretation,
        }
        return ScoredImage(
            **seen,
            key=self.keys.key("image", image.instance),
            path_key=path_key(str(image.path), self.keys),
            valid=None if loaded.valid.all() else f"{prefix}-valid.png",
            picture=f"{prefix}.jpg",
            sex=facts.sex,
            age=facts.age,
            receipt=loaded.receipt,
            blanked=tuple(area.edges for area in loaded.blanked),
            letters=tuple((area.letters or area).edges for area in loaded.blanked),
            placement=loaded.placement,
            boxes=scored_boxes(
                self.shower.boxes(loaded.case.boxes, spoken=[phrase.text for phrase in phrases]), loaded.placement
            ),
            phrases=phrases,
        )

    def _phrase(
        self, explained: ExplainedCase, scorer: ImageScorer, index: int, name: str, heats: dict[str, np.ndarray]
    ) -> ScoredPhrase:
        loaded, phrase = explained.loaded, explained.loaded.case.phrases[index]
        own, *further = (given[phrase_texts(loaded).index(phrase.text)] for given in explained.explanations)
        shown = shown_text(phrase.text, show_phi=self.show_phi, known=self.known | loaded.identifiers)
        tokens = shown_words(phrase.text, shown, own.words)
        heats[name] = stored_heat(own.heat.numpy())
        point, scores = scorer.score(phrase, heats[name], method=self.methods[0][0])
        scores = (*scores, *scorer.references(phrase))
        others = []
        for (method, unit), explanation in zip(self.methods[1:], further, strict=True):
            kept = f"{name}-{method}"
            heats[kept] = stored_heat(explanation.heat.numpy())
            of_point, of_method = scorer.score(phrase, heats[kept], method=method)
            scores = (*scores, *of_method)
            others.append(
                OtherHeatRecord(
                    method=method,
                    unit=unit,
                    heat=kept,
                    total=_total(heats[kept]),
                    peak=float(heats[kept].max()),
                    hottest=of_point,
                    tokens=shown_words(phrase.text, shown, explanation.words),
                )
            )
        return ScoredPhrase(
            **fields_of(replace(phrase, text=shown.text), Phrase),
            target=target_ids(loaded.case, phrase),
            cosine=own.cosine,
            heat=name,
            total_nats=_total(heats[name]),
            peak_nats=float(heats[name].max()),
            hottest=point,
            tokens=tokens,
            token_total_nats=sum(word.nats for word in tokens),
            scores=(*scores, *explained.faithfulness.get(index, ())),
            controls=tuple(self._controls(explained, index, name, heats)),
            others=tuple(others),
        )

    @property
    def shower(self) -> Shower:
        """Shows what inputs say in free words."""
        return Shower(keys=self.keys, show_phi=self.show_phi)

    def _control_text(self, explained: ExplainedCase, text: str, donor: Path | None) -> str:
        """Show a control's phrase: another patient's report may name that patient."""
        known = self.known | explained.loaded.identifiers
        if donor is not None and not self.show_phi:
            known |= read_identifiers(donor)
        return shown_text(text, show_phi=self.show_phi, known=known).text

    def _controls(
        self, explained: ExplainedCase, index: int, name: str, heats: dict[str, np.ndarray]
    ) -> Iterator[ControlRecord]:
        """Set each control's heat beside that of the phrase as it stands in the report."""
        own = [control for control in explained.controls if control.index == index]
        if not own:
            return
        mask = self.targets.mask(explained.loaded, explained.loaded.case.phrases[index])
        for control in own:
            is_first = control.method == self.methods[0][0]
            original = heats[name if is_first else f"{name}-{control.method}"]
            stored = stored_heat(control.explanation.heat.numpy())
            kept = f"{name}-{control.method}-{control.control.value.replace(' ', '-')}"
            heats[kept] = stored
            yield ControlRecord(
                method=control.method,
                control=control.control.value,
                text=None if control.text is None else self._control_text(explained, control.text, control.donor),
                heat=kept,
                pearson=pearson(original.astype(np.float32), stored.astype(np.float32)),
                hit=hits(on_source(explained.loaded, stored, masked=True), mask),
                cosine=control.explanation.cosine,
                total=_total(stored),
            )


def target_ids(case: Case, phrase: Phrase) -> tuple[str, ...]:
    """Name the boxes that a phrase is scored against, as the case's boxes are recorded."""
    ids = box_ids(len(case.boxes))
    return tuple(ids[place] for place in target_places(case, phrase))


def hits(heat: Float[np.ndarray, "rows columns"], mask: Bool[np.ndarray, "rows columns"]) -> bool | None:
    """Play the pointing game at tolerance 0; None where there is nothing to hit."""
    if not is_measurable(heat, mask):
        return None
    point = hottest_point(heat)
    return point is not None and bool(mask[int(point[0]), int(point[1])])


def _total(heat: Grid) -> float:
    return float(heat.astype(np.float64).sum())
