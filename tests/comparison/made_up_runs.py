"""Two finished runs of the same made-up studies: the same boxes and phrases, other heat, other embeddings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from made_up_cohort import make_cohort
from made_up_records import MODEL, MadeUp, chest_picture, png_of

from audit.metrics.summary import score_table
from audit.pipeline.score_table import score_rows, with_phrase_tests
from audit.pipeline.write import write_run, write_study
from reports.reading import embedding_names
from reports.record import ScoredImage, StudyRecord
from reports.score_catalogue import PERCENTILE, RELIANCE

SALT = b"a salt for tests only"
OTHER_MODEL = MODEL.model_copy(update={"name": "phantom-new", "sha256": "b" * 64})


def reordered(record: StudyRecord) -> StudyRecord:
    """Put images and phrases into the reverse order, as another version might."""
    images = tuple(replace(image, phrases=image.phrases[::-1]) for image in record.images[::-1])
    return record.model_copy(update={"images": images})


def write_made_up_run(
    out: Path,
    *,
    hits: float,
    count: int = 14,
    changed: Callable[[StudyRecord], StudyRecord] = lambda record: record,
    skipped: int = 0,
    other_pictures: bool = False,
    **of_run: object,
) -> Path:
    """Write a run whose studies' keys, boxes and phrases depend on ``count`` alone; two studies are one patient's.

    Args:
        out: folder to write.
        hits: share of the heat that lies in the box.
        count: of studies.
        changed: changes each record before it is written.
        skipped: studies at the end that are not written.
        other_pictures: whether each picture has another content.
        of_run: fields of run.json; ``model`` is also that of the records.
    """
    made = make_cohort(count, hits=hits, picture_side=64, phantom_images=True, **of_run)
    (out / "studies").mkdir(parents=True)
    rows, tests = [], []
    for number, study in enumerate(made.studies[: count - skipped]):
        own = {"patient": f"{number // 2:016x}", "model": made.run.model}
        record = changed(study.record.model_copy(update=own))
        pictures = {
            name: png_of(chest_picture(64, 64, seed=99)) if other_pictures else p for name, p in study.pictures.items()
        }
        embeddings = _embeddings(record, study, hits, number)
        write_study(out, record, salt=SALT, heats=study.heats, pictures=pictures, embeddings=embeddings)
        rows += score_rows(record.images, study=record.key, patient=record.patient)
        tests += [
            (image.key, place, {PERCENTILE: 0.5, RELIANCE: round(hits * len(phrase.text) / 50.0 - 0.5, 3)})
            for image in record.images
            for place, phrase in enumerate(image.phrases)
        ]
    write_run(out, made.run, with_phrase_tests(score_table(rows), tests), salt=SALT)
    return out


def _embeddings(record: StudyRecord, study: MadeUp, hits: float, seed: int) -> dict[str, np.ndarray]:
    """Let a phrase resemble its own image, the more the higher ``hits`` is."""
    generator = np.random.default_rng([seed, 5])
    found: dict[str, np.ndarray] = {}
    for image in record.images:
        name, of_phrases = embedding_names(image)
        found[name] = _unit(generator.normal(size=8))
        noises = {phrase.text: generator.normal(size=8) for phrase in _by_text(image)}
        for phrase, of_phrase in zip(image.phrases, of_phrases, strict=True):
            found[of_phrase] = _unit(hits * found[name][0] + 0.5 * noises[phrase.text])
    return found


def _by_text(image: ScoredImage) -> list:
    return sorted(image.phrases, key=lambda phrase: phrase.text)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector))[None, :].astype(np.float32)
