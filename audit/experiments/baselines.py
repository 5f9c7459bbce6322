"""The content-blind and human references of a box file: no image and no model takes part.

It tells, before any model is run, what a score on these boxes is worth. Each patient is left out in turn; where the
file names no patients, each image is. Tolerances in pixels are those of a model input of 224 px, letterboxed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from audit.metrics.blind import BlindCase, BlindMaps, cells_touched, relative_shape
from audit.metrics.human import reader_pairs
from audit.metrics.scores import score_blind, tolerances
from audit.metrics.summary import score_table, summarise
from pipelines.boxes import BoxRow
from pipelines.errors import BoxError
from pipelines.findings import side_of, zone_of
from pipelines.geometry import Fit, Placement
from reports.record import Score
from reports.run_record import ScoreSummary
from reports.score_catalogue import HUMAN, POINTING

__all__ = ["MODEL_SIZE_PX", "PUBLISHED", "Baselines", "Progress", "baselines_of"]

MODEL_SIZE_PX = 224
PUBLISHED = "class-mean box, as published"
"""The class-mean box by the rule that gives the figures in the literature, for comparison with them.

Boxes are drawn and hit in every cell that they touch, of equal hottest cells the first in reading order counts, and
images are left out, not patients. :mod:`audit.metrics.blind` asks whether the point itself lies in the box, takes the
middle of the hottest plateau and leaves patients out.
"""

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """The references' scores on one box file, for each finding and over all."""

    summaries: tuple[ScoreSummary, ...]
    boxes: int
    images: int
    findings: int
    patients: int | None  # None where the file names none: each image stands for a patient
    notes: tuple[str, ...]  # what could not be measured, and what would mend it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """The boxes of one finding on one image, drawn for one sentence where the file has sentences."""

    rows: tuple[BoxRow, ...]

    @property
    def patient(self) -> str:
        return self.rows[0].patient or self.rows[0].image

    @property
    def frame(self) -> tuple[int, int] | None:
        return self.rows[0].frame

    def blind_case(self, frame: tuple[int, int]) -> BlindCase:
        height, width = frame
        phrase = self.rows[0].box.phrase or ""
        side, zone = side_of(phrase), zone_of(phrase)
        return BlindCase(
            patient=self.patient,
            finding=self.rows[0].box.label,
            side=side.value if side else None,
            zone=zone.value if zone else None,
            boxes=tuple(relative_shape(row.box, rows=height, columns=width) for row in self.rows),
        )


def baselines_of(rows: Sequence[BoxRow], *, progress: Progress = lambda _stage, _done, _total: None) -> Baselines:
    """Score the references on the boxes of one file.

    Raises:
        BoxError: there is no box.
    """
    if not rows:
        raise BoxError("the box file contains no usable box: see the excluded rows")
    sentences = any(row.box.phrase for row in rows)
    by_sentence = _targets(rows, by_sentence=True)
    framed = [(target, target.frame) for target in by_sentence if target.frame is not None]
    table: list[dict[str, object]] = []
    published: list[dict[str, object]] = []
    for number, (target, score) in enumerate(_blind_scores(framed, progress)):
        if sentences or score.method != "words-only prior":
            (published if score.method == PUBLISHED else table).append(_table_row(target, number, score))
    for target in _targets(rows, by_sentence=False):
        table += [_table_row(target, number, score) for number, score in enumerate(_reader_scores(target))]
    return Baselines(
        summaries=tuple(summary for part in (table, published) for summary in summarise(score_table(part))),
        boxes=len(rows),
        images=len({row.image for row in rows}),
        findings=len({row.box.label for row in rows}),
        patients=len({row.patient for row in rows}) if all(row.patient for row in rows) else None,
        notes=tuple(_notes(by_sentence, framed_targets=len(framed), readers=len({row.box.reader for row in rows}))),
    )


def _targets(rows: Sequence[BoxRow], *, by_sentence: bool) -> list[_Target]:
    groups: dict[tuple[str | None, ...], list[BoxRow]] = defaultdict(list)
    for row in rows:
        groups[row.image, row.box.label, row.box.phrase if by_sentence else None].append(row)
    return [_Target(rows=tuple(group)) for group in groups.values()]


def _blind_scores(
    framed: Sequence[tuple[_Target, tuple[int, int]]], progress: Progress
) -> Iterator[tuple[_Target, Score]]:
    cases = [target.blind_case(frame) for target, frame in framed]
    alone = [replace(case, patient=target.rows[0].image) for (target, _), case in zip(framed, cases, strict=True)]
    maps, published_maps = BlindMaps(cases), BlindMaps(alone, cells_touched)
    for done, ((target, frame), case) in enumerate(zip(framed, cases, strict=True), start=1):
        for score in score_blind(maps, case, image_shape=frame, model_px=_model_px(frame)):
            yield target, score
        yield target, _published_score(published_maps, alone[done - 1])
        progress("Scoring references", done, len(framed))


def _model_px(frame: tuple[int, int]) -> tuple[float, float]:
    return Placement.of(*frame, size=MODEL_SIZE_PX, fit=Fit.LETTERBOX).model_px


def _published_score(maps: BlindMaps, case: BlindCase) -> Score:
    mean, target = maps.class_mean_box(case), cells_touched(case.boxes)
    if mean is None or not target.any():
        reason = "no other image has a box for this finding, or the box lies outside the image"
        return Score(method=PUBLISHED, score=POINTING, value=None, outcome="unscored", reason=reason)
    hit = bool(target.flat[int(mean.argmax())])
    return Score(method=PUBLISHED, score=POINTING, value=float(hit), outcome="hit" if hit else "miss")


def _reader_scores(target: _Target) -> Iterator[Score]:
    """Return one score for each ordered pair of readers, so that the mean over all is a mean over pairs."""
    reach = tolerances(model_px=_model_px(target.frame or (1, 1)), spacing_mm=None)
    if target.frame is None:
        reach = {name: tolerance if name == POINTING else None for name, tolerance in reach.items()}
    for pair in reader_pairs(row.box for row in target.rows):
        for name, value in pair.scores(reach).items():
            if value is not None:
                yield Score(method=HUMAN, score=name, value=value, outcome="scored")


def _table_row(target: _Target, number: int, score: Score) -> dict[str, object]:
    image = target.rows[0].image
    return {
        "study": image,
        "image": image,
        "patient": target.patient,
        "phrase": number,
        "finding": target.rows[0].box.label,
        "side": None,
        "zone": None,
        "context": "present",
        **score.model_dump(),
    }


def _notes(targets: Sequence[_Target], *, framed_targets: int, readers: int) -> Iterator[str]:
    if framed_targets < len(targets):
        yield (
            f"{len(targets) - framed_targets} of {len(targets)} targets have no content-blind reference: the file does "
            "not say how large their images are; add columns image_height and image_width, in px, to the box file"
        )
    if any(target.frame == (1, 1) for target in targets):
        yield "boxes are given in shares of images of unknown shape: tolerances in pixels take the images for square"
    if readers < 2:
        yield "no human reference: the file names fewer than two readers"
