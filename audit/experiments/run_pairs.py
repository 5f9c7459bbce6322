"""Two finished runs of the same studies: their phrases are matched, and what would make pairs unfair is refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from audit.metrics.recognition import EmbeddedImage
from audit.output.stored import load_run
from audit.pipeline.aggregate import COMPARED_AT_MOST, sample_by_key
from audit.pipeline.finished import embedded_images
from pipelines.errors import DamagedError, OutputError
from pipelines.study import Phrase
from reports.model_comparison_record import SettingDifference
from reports.reading import read_embeddings
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.results_folder import damaged_tables, is_study_key, read_record, study_folders
from reports.run_record import RunRecord
from reports.score_catalogue import is_reference
from reports.targets import standing_denials, target_boxes

__all__ = ["PairedPhrase", "RunPair", "read_run_pair"]

_SCORED = ["image", "phrase", "method", "score", "value"]
_CHOSEN_BY_MODEL = ("layer", "blocks")  # last words of hyperparameters that depend on a model's depth

Runs = tuple[RunRecord, RunRecord]
Studies = tuple[StudyRecord, StudyRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedPhrase:
    """A phrase of an image in both runs."""

    study: str
    image: str
    patient: str
    finding: str | None
    text: str
    places: tuple[int, int]  # of the image in the record of each run
    phrases: tuple[int, int]  # as the score table of each run numbers them


@dataclass(slots=True, kw_only=True)
class RunPair:
    """What two runs have in common."""

    folders: tuple[Path, Path]
    runs: Runs
    settings: tuple[SettingDifference, ...]  # in which they differ
    studies: list[str] = field(default_factory=list)  # in both
    counts: tuple[int, int] = (0, 0)  # of studies
    phrases: list[PairedPhrase] = field(default_factory=list)
    phrases_alone: tuple[int, int] = (0, 0)  # of studies in both
    embedded: list[tuple[EmbeddedImage, EmbeddedImage]] = field(default_factory=list)  # of a sample of images

    def scores(self) -> pd.DataFrame:
        """Return a row for each phrase of both runs, method and score.

        Returns:
            Columns ``pair`` (place in ``phrases``), ``patient``, ``finding``, ``method``, ``score``, ``first``
            and ``second``; NaN where one run has no value.

        Raises:
            DamagedError: a score table cannot be read, or has a score twice.
        """
        matched = pd.DataFrame(
            {
                "pair": range(len(self.phrases)),
                "image": [phrase.image for phrase in self.phrases],
                "patient": [phrase.patient for phrase in self.phrases],
                "finding": [phrase.finding for phrase in self.phrases],
                "first": [phrase.phrases[0] for phrase in self.phrases],
                "second": [phrase.phrases[1] for phrase in self.phrases],
            }
        )
        first, second = (
            _values(folder, matched[["pair", "image", name]].rename(columns={name: "phrase"}), name)
            for folder, name in zip(self.folders, ("first", "second"), strict=True)
        )
        both = first.merge(second, on=["pair", "method", "score"], how="outer")
        return both.merge(matched[["pair", "patient", "finding"]], on="pair")


def _values(folder: Path, matched: pd.DataFrame, name: str) -> pd.DataFrame:
    table = load_run(folder).scores
    chosen = table.loc[table["value"].notna(), _SCORED].astype(dict.fromkeys(("image", "method", "score"), "str"))
    chosen = chosen[[not is_reference(method) for method in chosen["method"]]].rename(columns={"value": name})
    found = chosen.merge(matched, on=["image", "phrase"])[["pair", "method", "score", name]]
    if found.duplicated(["pair", "method", "score"]).any():
        raise DamagedError(f"{folder}/scores.parquet has a score twice: `m2ib-audit score` makes the tables again")
    return found


def read_run_pair(
    first: Path, second: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> RunPair:
    """Match the phrases of two runs by image and text.

    Args:
        first: folder of the run of model A.
        second: folder of the run of model B.
        progress: called after each study.

    Raises:
        OutputError: a folder cannot be read or was changed, the runs have no study in common, or their images, boxes
            or settings differ in a way that makes pairs unfair.
    """
    folders = first, second
    runs = load_run(first).record, load_run(second).record
    for folder, run in zip(folders, runs, strict=True):
        damaged = damaged_tables(folder, run)
        if damaged:
            raise OutputError(f"{folder}: {damaged[0]}")
    _refuse_other_settings(runs)
    by_key = [{path.name: path for path in study_folders(folder) if is_study_key(path.name)} for folder in folders]
    pair = RunPair(folders=folders, runs=runs, settings=tuple(_settings(runs)), counts=(len(by_key[0]), len(by_key[1])))
    pair.studies = sorted(by_key[0].keys() & by_key[1].keys())
    if not pair.studies:
        raise OutputError(
            f"{first} and {second} have no study in common: audit the same studies with both models, as the same user "
            "or with the same M2IB_AUDIT_SALT, so that keys agree"
        )
    unfair = _Unfair()
    for done, key in enumerate(pair.studies, start=1):
        _add_study(pair, (by_key[0][key], by_key[1][key]), unfair)
        progress(done, len(pair.studies))
    unfair.refuse(pair)
    return pair


def _refuse_other_settings(runs: Runs) -> None:
    """Refuse settings that change images, heat or seeds of one run alone.

    Raises:
        OutputError: such a setting differs.
    """
    before, after = runs
    pairs = {
        "seed": (before.seed, after.seed),
        "--show-phi": (before.patient_data_shown, after.patient_data_shown),
        "scoring.fill": _of_config(runs, "scoring", "fill"),
        "inputs.burned-in": _of_config(runs, "inputs", "burned_in"),
    }
    given = [_hyperparameters(run) for run in runs]
    pairs |= {name: (given[0].get(name), given[1].get(name)) for name in (*given[0], *given[1])}
    for name, (first, second) in pairs.items():
        if first != second:
            raise OutputError(
                f"{name} is {_shown(first)} in A and {_shown(second)} in B: pairs would differ by more than the model; "
                "audit with the same settings"
            )


def _of_config(runs: Runs, section: str, name: str) -> tuple[object, object]:
    """Return a setting of both runs; None twice where one of them, of version 0.1.0, does not state it."""
    values = [run.config.get(section, {}).get(name) for run in runs]
    return (None, None) if None in values else (values[0], values[1])


def _hyperparameters(run: RunRecord) -> dict[str, object]:
    """Return the given hyperparameters of the run, but those that depend on a model's depth."""
    given = run.config.get("method", {}).get("hyperparameters", {})
    return {
        f"{method}.{name}": value
        for method, numbers in (given.items() if isinstance(given, Mapping) else ())
        for name, value in (numbers.items() if isinstance(numbers, Mapping) else ())
        if not name.endswith(_CHOSEN_BY_MODEL)
    }


def _settings(runs: Runs) -> Iterator[SettingDifference]:
    """Yield the settings in which two runs differ, except for the model."""
    flat = [dict(_flat(run)) for run in runs]
    for name in dict.fromkeys((*flat[0], *flat[1])):
        first, second = (each.get(name) for each in flat)
        if first != second:
            yield SettingDifference(name=name, first=_shown(first), second=_shown(second))


def _flat(run: RunRecord) -> Iterator[tuple[str, object]]:
    yield "m2ib-audit", run.software.get("m2ib-audit")
    yield "device", run.device
    for section, values in run.config.items():
        yield from ((f"{section}.{name}", value) for name, value in values.items() if (section, name) not in _APART)
    for method, numbers in run.method_settings.items():
        yield from ((f"{method}.{name}", value) for name, value in numbers.items())
    if run.added_wordings:
        yield "added wordings", len(run.added_wordings)


_APART = {("model", "model"), ("method", "hyperparameters")}  # the latter are in ``method_settings``


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


@dataclass(slots=True)
class _Unfair:
    """Studies whose pairs would be unfair."""

    images: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)

    def refuse(self, pair: RunPair) -> None:
        """Refuse the pair if there is such a study.

        Raises:
            OutputError: images or boxes differ.
        """
        for what, studies, remedy in (
            ("the images", self.images, "audit the same files with both models"),
            ("the boxes that phrases are scored against", self.boxes, "`m2ib-audit score OUT --boxes FILE` on both"),
        ):
            if studies:
                raise OutputError(
                    f"{what} of {len(studies):,} of {len(pair.studies):,} studies differ between the runs, for example "
                    f"of {studies[0]}: pairs would be unfair; {remedy}"
                )


def _add_study(pair: RunPair, folders: tuple[Path, Path], unfair: _Unfair) -> None:
    records = read_record(folders[0]), read_record(folders[1])
    if _have_other_images(records):
        unfair.images.append(records[0].key)
        return
    found = list(_phrases_of(records))
    if any(_targets(records[0], phrase, 0) != _targets(records[1], phrase, 1) for phrase in found):
        unfair.boxes.append(records[0].key)
    pair.phrases += found
    first, second = (sum(len(image.phrases) for image in record.images) for record in records)
    matched = sum(_scored_phrase(records[0], phrase, 0) is not None for phrase in found)
    pair.phrases_alone = (pair.phrases_alone[0] + first - matched, pair.phrases_alone[1] + second - matched)
    embeddings = [read_embeddings(folder, record) for folder, record in zip(folders, records, strict=True)]
    sides = [list(embedded_images(record, each)) for record, each in zip(records, embeddings, strict=True)]
    pair.embedded += _paired_images(sides, found)
    if len(pair.embedded) > 2 * COMPARED_AT_MOST:
        pair.embedded = sampled(pair.embedded)


def sampled(pairs: Sequence[tuple[EmbeddedImage, EmbeddedImage]]) -> list[tuple[EmbeddedImage, EmbeddedImage]]:
    """Return the images that are compared with each other: those that a run of them would choose."""
    kept = {image.key for image in sample_by_key([first for first, _ in pairs])}
    return [pair for pair in pairs if pair[0].key in kept]


def _have_other_images(records: Studies) -> bool:
    """Return True if an image of both records has another size or shows something else.

    Files that were exported again may differ in their headers alone: then the stored pictures are equal.
    """
    images = [{image.key: image for image in record.images} for record in records]
    both = [(image, images[1][key]) for key, image in images[0].items() if key in images[1]]
    if any((before.rows, before.columns) != (after.rows, after.columns) for before, after in both):
        return True
    contents = [record.fingerprint and record.fingerprint.inputs.get("images") for record in records]
    if None in contents or contents[0] == contents[1] or images[0].keys() != images[1].keys():
        return False
    pictures = [record.files or {} for record in records]
    return any(pictures[0].get(before.picture) != pictures[1].get(after.picture) for before, after in both)


def _phrases_of(records: Studies) -> Iterator[PairedPhrase]:
    """Yield the phrases of both records: the same sentence about the same finding of the same image."""
    drawn = [{box.label for image in record.images for box in image.boxes} for record in records]
    others = {image.key: (place, image) for place, image in enumerate(records[1].images)}
    for place, image in enumerate(records[0].images):
        if image.key not in others:
            continue
        other_place, other = others[image.key]
        numbered = dict(_numbered(other, drawn[1]))
        for claim, (number, phrase) in _numbered(image, drawn[0]):
            if claim in numbered:
                yield PairedPhrase(
                    study=records[0].key,
                    image=image.key,
                    patient=records[0].patient or records[0].key,
                    finding=phrase.finding,
                    text=phrase.text,
                    places=(place, other_place),
                    phrases=(number, numbered[claim][0]),
                )


Claim = tuple[object, ...]


def _numbered(image: ScoredImage, drawn: set[str]) -> Iterator[tuple[Claim, tuple[int, Phrase]]]:
    """Yield what each phrase says, and its number in the score table; equal phrases are told apart by their order."""
    denials = ((len(image.phrases) + place, phrase) for place, phrase in standing_denials(image, drawn))
    seen: dict[Claim, int] = {}
    for number, phrase in (*enumerate(image.phrases), *denials):
        claim = (phrase.text, phrase.finding, phrase.side, phrase.zone, phrase.context, phrase.section)
        seen[claim] = seen.get(claim, 0) + 1
        yield (*claim, seen[claim]), (number, phrase)


def _scored_phrase(record: StudyRecord, phrase: PairedPhrase, side: int) -> ScoredPhrase | None:
    """Return the phrase of one record; None for an absent phrase, which has no heat."""
    phrases = record.images[phrase.places[side]].phrases
    number = phrase.phrases[side]
    return phrases[number] if number < len(phrases) else None


def _targets(record: StudyRecord, phrase: PairedPhrase, side: int) -> list[tuple[object, ...]]:
    scored = _scored_phrase(record, phrase, side)
    if scored is None:
        return []
    boxes = target_boxes(record.images[phrase.places[side]], scored)
    ordered = sorted(boxes, key=lambda box: (box.x, box.y, box.width, box.height))
    return [(box.x, box.y, box.width, box.height, box.shape) for box in ordered]


def _paired_images(
    sides: Sequence[Sequence[EmbeddedImage]], phrases: Sequence[PairedPhrase]
) -> Iterator[tuple[EmbeddedImage, EmbeddedImage]]:
    """Yield the images with stored embeddings in both runs, each with the phrases of both, in the same order."""
    second = {image.key: image for image in sides[1]}
    for image in sides[0]:
        if image.key not in second:
            continue
        own, theirs = ({each.index: each for each in side.phrases} for side in (image, second[image.key]))
        numbers = [phrase.phrases for phrase in phrases if phrase.image == image.key]
        kept = [(own[first], theirs[other]) for first, other in numbers if first in own and other in theirs]
        has = image.has | second[image.key].has
        unclear = (image.unclear | second[image.key].unclear) - has
        before, after = (tuple(pair[side] for pair in kept) for side in (0, 1))
        yield (
            replace(image, phrases=before, has=has, unclear=unclear),
            replace(second[image.key], phrases=after, has=has, unclear=unclear, patient=image.patient),
        )
