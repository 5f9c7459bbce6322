"""A study's page: the radiograph under its heat, each phrase with its scores, and how the results were made."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float

from pipelines.errors import OutputError
from pipelines.geometry import Placement
from pipelines.study import View
from reports.absence import AbsentView, absent_views
from reports.grounding import recognised
from reports.orientations import image_warnings
from reports.outcomes import (
    ScoreRow,
    Verdict,
    blind_share,
    control_words,
    is_lost_to_crop,
    lacks_evidence,
    masking_summary,
    method_name,
    score_rows,
    single_reasons,
    study_summary,
    verdict_on,
    warnings_of_place,
)
from reports.overlay import FULL_COLOUR_FROM, TABLES, display_range, picture_size
from reports.page import render_page
from reports.record import ControlRecord, ScoredBox, ScoredImage, ScoredPhrase, StudyRecord, TokenHeat
from reports.reliance import ErasedView, erased_view
from reports.review_page import REVIEW_FILES, NeighbourStudies, ReviewSession, reason_words, review_data
from reports.run_record import EvidenceRecord, RunRecord
from reports.score_catalogue import SCORES, names_on_pages
from reports.targets import target_indices
from reports.texts import named, text
from reports.verdicts import verdict_views
from reports.word_tables import WordTable, word_table

__all__ = ["render_study"]

Heats = Mapping[str, Float[np.ndarray, "grid_rows grid_columns"]]

SHADES: Final = 8
"""Steps of shading behind a word, from none to the phrase's hottest word."""


_HEAT_SIDE = 1024  # px: heat is smooth, a finer canvas shows no more of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadedText:
    """A piece of a phrase and how hot it is, 0 (no shading) to SHADES."""

    text: str
    shade: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlLine:
    """A phrase's heat after one change."""

    name: str
    instead: str
    record: ControlRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseView:
    """One phrase as the template shows it."""

    record: ScoredPhrase
    verdict: Verdict
    pieces: tuple[ShadedText, ...]
    words: tuple[tuple[TokenHeat, int], ...]  # with its shade
    word_table: WordTable | None
    score_names: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    unscored: tuple[tuple[str, str], ...]  # method and reason of single cells, for a cell has no room for a sentence
    is_scored: bool  # False: no method was, for one reason, which the verdict names; a table would only repeat it
    is_flat: bool
    lacks_evidence: bool  # its total is below what wrong phrases get, in a run where that tells them apart
    blind_share: str | None  # how often a blind map hits this finding, where the run says so
    warnings: tuple[tuple[str, str], ...]  # two words and a sentence
    controls: tuple[ControlLine, ...]
    recognised: str | None  # how its cosine compares, where the run says so
    erased: ErasedView | None
    unit: str  # empty for a heat without one


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxView:
    """One box with the phrases (by index) that are scored against it."""

    record: ScoredBox
    name: str
    phrases: str  # "0 2"
    is_lost: bool
    outline: str  # SVG path


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """One radiograph as the template shows it. Shapes are in source pixels, the canvas in picture pixels."""

    record: ScoredImage
    title: str
    picture: bytes
    width: int
    height: int
    heat_width: int  # of the canvas of the heat, which needs no more than the heat has
    heat_height: int
    left_letter: str | None  # the patient's side at the image's left; None where the projection has no sides
    right_letter: str | None
    hidden_outline: str | None  # SVG path of what the model did not see
    warnings: tuple[str, ...]  # that it may not lie as its header says
    boxes: tuple[BoxView, ...]
    readers: tuple[str, ...]  # who drew boxes; "" for those without a name
    labels: tuple[str, ...]  # what boxes were drawn for
    phrases: tuple[PhraseView, ...]
    absent: tuple[AbsentView, ...]
    unit: str  # empty for a heat without one


def render_study(
    record: StudyRecord,
    *,
    heats: Heats,
    pictures: Mapping[str, bytes],
    run: RunRecord | None = None,
    session: ReviewSession | None = None,
    beside: NeighbourStudies | None = None,
) -> str:
    """Render a study's page, one HTML file that needs no network.

    Args:
        record: The study's results.
        heats: Heat on the model's grid in the method's unit, by ``ScoredPhrase.heat``.
        pictures: The displayed radiographs as JPEG or PNG, by ``ScoredImage.picture``, and those with regions erased,
            by ``ErasedRecord.pictures``.
        run: The whole run, once it is known: one scale of heat over all studies, the total below which a phrase has no
            localisable evidence, and how often content-blind maps hit a finding.
        session: The review session, on pages of the review server; without it, reviews are stored in the browser.
        beside: The neighbouring studies, for a page that is opened from disk.

    Raises:
        OutputError: a heat map or picture that the record names is missing or has the wrong form.
    """
    evidence = None if run is None else next((each for each in run.evidence if each.method == run.method), None)
    images = [_image_view(image, record=record, heats=heats, pictures=pictures, run=run) for image in record.images]
    if run is not None:
        images = [_marked_image(image, run, evidence, pictures, record.key) for image in images]
    data = {
        "colours": [table.tobytes().hex() for table in TABLES.values()],
        "fullColourFrom": FULL_COLOUR_FROM,
        "images": [_image_data(view, heats) for view in images],
        "review": review_data(record, session, beside),
        "unit": _unit_text(record),
        "sharedRange": None if evidence is None or evidence.scale <= 0 else [0.0, evidence.scale],
    }
    context = {
        "evidence": evidence,
        "study": record,
        "summary": study_summary(record),
        "masking": masking_summary(record),
        "images": images,
        "method": method_name(record.method),
        "colour_names": tuple(TABLES),
        "reasons": reason_words(),
        "session": session,
        "verdicts": () if run is None else verdict_views(run),
        "is_withheld": session is not None and session.hide_scores,
    }
    return render_page(
        "study.html",
        script="heat.js",
        data=data,
        context=context,
        also=("vendor/d3-array.min.js", "vendor/d3-contour.min.js", "viewer.js", "study.js", *REVIEW_FILES),
        has_server=session is not None,
        has_keys=True,
    )


def _image_view(
    image: ScoredImage, *, record: StudyRecord, heats: Heats, pictures: Mapping[str, bytes], run: RunRecord | None
) -> ImageView:
    if image.picture not in pictures:
        raise OutputError(f"study {record.key} lacks the picture {image.picture!r}: audit the study again")
    picture = pictures[image.picture]
    width, height = picture_size(picture, name=f"{image.picture!r} of study {record.key}")
    shrink = min(1.0, _HEAT_SIDE / max(width, height))
    left, right = _side_letters(image)
    return ImageView(
        record=image,
        title=_image_title(image),
        picture=picture,
        width=width,
        height=height,
        heat_width=max(1, round(width * shrink)),
        heat_height=max(1, round(height * shrink)),
        left_letter=left,
        right_letter=right,
        hidden_outline=_hidden_outline(image.placement),
        warnings=image_warnings(image),
        boxes=_box_views(image),
        readers=tuple(dict.fromkeys(box.reader or "" for box in image.boxes)),
        labels=tuple(sorted({box.label for box in image.boxes})),
        phrases=tuple(
            _phrase_view(phrase, image, record=record, heats=heats, pictures=pictures) for phrase in image.phrases
        ),
        absent=absent_views(image, record, run),
        unit=_unit_text(record),
    )


def _unit_text(record: StudyRecord) -> str:
    """Return the unit after a number; empty for dimensionless heat."""
    return "" if record.unit == "dimensionless" else record.unit


def _phrase_view(
    phrase: ScoredPhrase, image: ScoredImage, *, record: StudyRecord, heats: Heats, pictures: Mapping[str, bytes]
) -> PhraseView:
    if phrase.heat not in heats or np.ndim(heats[phrase.heat]) != 2:
        raise OutputError(f"study {record.key} lacks the heat {phrase.heat!r} as a grid: audit the study again")
    shades = _shades(phrase.tokens)
    shown = names_on_pages()
    names = tuple(dict.fromkeys(score.score for score in phrase.scores if score.score in shown))
    rows = score_rows(phrase.scores, names, subject=record.method)
    return PhraseView(
        record=phrase,
        verdict=verdict_on(phrase, image, method=record.method),
        pieces=shaded_text(phrase.text, phrase.tokens, shades),
        words=tuple(zip(phrase.tokens, shades, strict=True)),
        word_table=word_table(phrase, method=record.method),
        score_names=tuple(SCORES[name].label for name in names),
        rows=rows,
        unscored=single_reasons(rows),
        is_scored=any(row.reason is None or row.reason != rows[0].reason for row in rows),
        is_flat=display_range(heats[phrase.heat]) is None,
        lacks_evidence=False,
        blind_share=None,
        warnings=warnings_of_place(phrase, method=record.method),
        controls=tuple(_control_line(control) for control in phrase.controls if control.method == record.method),
        recognised=None,
        erased=erased_view(phrase, pictures, sd=None, study=record.key, has_own_boxes=image.own is None),
        unit=_unit_text(record),
    )


def _marked_image(
    image: ImageView, run: RunRecord, evidence: EvidenceRecord | None, pictures: Mapping[str, bytes], study: str
) -> ImageView:
    """Add to each phrase what only the whole run can say."""
    tests = run.recognised.get(image.record.key, ())
    phrases = (
        replace(
            _marked(phrase, run, evidence),
            recognised=recognised(phrase.record, tests[index] if index < len(tests) else None),
            erased=erased_view(
                phrase.record, pictures, sd=run.cosine_sd, study=study, has_own_boxes=image.record.own is None
            ),
        )
        for index, phrase in enumerate(image.phrases)
    )
    return replace(image, phrases=tuple(phrases))


def _marked(phrase: PhraseView, run: RunRecord, evidence: EvidenceRecord | None) -> PhraseView:
    """Add what depends on the whole run."""
    share = blind_share(phrase.record, run) if phrase.verdict.outcome in {"hit", "miss"} else None
    return replace(phrase, lacks_evidence=lacks_evidence(phrase.record, evidence), blind_share=share)


def _control_line(control: ControlRecord) -> ControlLine:
    name, instead = control_words(control.control, control.text)
    return ControlLine(name=name, instead=instead, record=control)


def _image_data(view: ImageView, heats: Heats) -> dict[str, object]:
    image = view.record
    return {
        "rows": image.rows,
        "columns": image.columns,
        "placement": asdict(image.placement),
        "phrases": [_phrase_data(phrase, heats) for phrase in view.phrases],
    }


def _phrase_data(view: PhraseView, heats: Heats) -> dict[str, object]:
    """Return a phrase's heat, and the heat that can be shown next to it."""
    phrase = view.record
    return {
        **_heat_data(phrase.heat, heats),
        "peak": phrase.hottest,
        "others": [
            {
                **_heat_data(other.heat, heats),
                "peak": other.hottest,
                "name": method_name(other.method),
                "unit": "" if other.unit == "dimensionless" else other.unit,
            }
            for other in phrase.others
        ],
        "controls": [
            {**_heat_data(line.record.heat, heats), "name": line.name, "instead": line.instead}
            for line in view.controls
        ],
    }


def _heat_data(name: str, heats: Heats) -> dict[str, object]:
    if name not in heats:
        raise OutputError(f"the study lacks the heat {name!r}: audit it again")
    return {"grid": _grid(heats[name]), "range": display_range(heats[name])}


def _grid(heat: Float[np.ndarray, "grid_rows grid_columns"]) -> list[list[float]] | None:
    """Round to five digits, which preserves every float16; None for a flat map."""
    if display_range(heat) is None:
        return None
    return [[float(f"{cell:.5g}") for cell in row] for row in heat.tolist()]


def shaded_text(text: str, tokens: Sequence[TokenHeat], shades: Sequence[int]) -> tuple[ShadedText, ...]:
    """Assign the words' shades to the sentence as it was written.

    The model may have seen it in lower case or without punctuation; each word must be the next one of the sentence.
    Otherwise the whole sentence is not shaded, because shading at the wrong word would mislead.
    """
    pieces: list[ShadedText] = []
    lowered, end = text.lower(), 0
    if len(lowered) != len(text):  # a few letters change length in lower case
        lowered = text
    for token, shade in zip(tokens, shades, strict=True):
        start = lowered.find(token.word.lower(), end) if token.word else -1
        if start < 0 or any(character.isalnum() for character in text[end:start]):
            return (ShadedText(text=text, shade=0),)
        if start > end:
            pieces.append(ShadedText(text=text[end:start], shade=0))
        end = start + len(token.word)
        pieces.append(ShadedText(text=text[start:end], shade=shade))
    if end < len(text):
        pieces.append(ShadedText(text=text[end:], shade=0))
    return tuple(pieces)


def _shades(tokens: Sequence[TokenHeat]) -> list[int]:
    hottest = max((token.nats for token in tokens if np.isfinite(token.nats)), default=0.0)
    if hottest <= 0:
        return [0] * len(tokens)
    return [round(SHADES * max(token.nats, 0.0) / hottest) if np.isfinite(token.nats) else 0 for token in tokens]


def _box_views(image: ScoredImage) -> tuple[BoxView, ...]:
    targets = [target_indices(image, phrase) for phrase in image.phrases]
    return tuple(
        BoxView(
            record=box,
            name=box.label if box.reader is None else f"{box.label} · {box.reader}",
            phrases=" ".join(str(number) for number, target in enumerate(targets) if place in target),
            is_lost=is_lost_to_crop(box),
            outline=_outline(box),
        )
        for place, box in enumerate(image.boxes)
    )


def _outline(box: ScoredBox) -> str:
    if box.shape is None:
        return f"M{box.x:.2f} {box.y:.2f}h{box.width:.2f}v{box.height:.2f}h{-box.width:.2f}Z"
    return "".join(f"M{'L'.join(f'{x:.2f} {y:.2f}' for x, y in line)}Z" for line in box.shape.outline())


def _image_title(image: ScoredImage) -> str:
    title = text("view.named", view=image.view) if image.view in {View.PA, View.AP} else named("view", image.view)
    if image.frames == 1:
        return title
    return text("study.of_frames", title=title, frame=image.frame, frames=image.frames)


def _side_letters(image: ScoredImage) -> tuple[str | None, str | None]:
    """Return the patient's side at the image's left and right; a lateral or unknown view has none."""
    if image.view not in {View.PA, View.AP, View.FRONTAL}:
        return None, None
    return ("L", "R") if image.horizontally_flipped else ("R", "L")


def _hidden_outline(placement: Placement) -> str | None:
    """Draw what a centre crop hides from the model: the image's outline minus the visible part, even-odd."""
    top, left = placement.to_source(0.0, 0.0)
    bottom, right = placement.to_source(float(placement.size), float(placement.size))
    top, left = max(top, 0.0), max(left, 0.0)
    bottom, right = min(bottom, float(placement.rows)), min(right, float(placement.columns))
    if top <= 0.0 and left <= 0.0 and bottom >= placement.rows and right >= placement.columns:
        return None
    return f"M0 0H{placement.columns}V{placement.rows}H0Z M{left:.2f} {top:.2f}H{right:.2f}V{bottom:.2f}H{left:.2f}Z"
