"""Fingerprints of a study's inputs, as salted hashes: a record is valid as long as none of them has changed.

An image file is identified by its contents. Reading all files again at every start would take hours over a network
share. Size, times and inode are therefore stored too: if they are unchanged, so are the contents. Only if they differ
(a copied or restored folder) is the file read again, and its contents decide.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from audit.configuration import RunConfig
from audit.controls.plan import ControlPlan
from audit.pipeline.scoring_context import ScoringContext
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor
from pipelines.boxes.table import target_boxes
from pipelines.images.scan_index import Stamp
from pipelines.privacy.safe_terms import plain_words
from pipelines.study import Box, Case, Study, fields_of
from reports.record import SCHEMA_VERSION, FingerprintRecord, ModelRecord, StudyRecord

__all__ = ["Changes", "Fingerprints", "hash_fillers", "shaping_settings", "with_inputs", "with_targets"]

Scalar = float | int | str | bool | None

_CHANGED = "changed while it was read"  # replaces a hash, and is not equal to any
_IN_WORDS = {
    "images": "its image files changed",
    "report": "its report changed",
    "phrases": "the phrases given to the model changed",
    "absent": "the findings that its report denies changed",
    "boxes": "its boxes changed",
    "references": "boxes of other studies, from which its references are computed, changed",
    "controls": "the controls planned for it changed",
    "erased": "the regions erased from its images, or what fills them, changed",
    "faithfulness": "the faithfulness tests planned for it changed",
}
_TARGETS = {"boxes", "references"}  # if only these changed, stored heat is still valid


def shaping_settings(
    settings: RunConfig,
    *,
    model: ModelRecord,
    numbers: Mapping[str, Scalar],
    prepared: Mapping[str, Scalar],
    methods: Sequence[str],
) -> dict[str, Scalar]:
    """Return the settings of a run that affect each of its studies, apart from the studies' own inputs.

    Args:
        settings: settings of the run; file locations, the number of processes and the like have no effect.
        model: the audited model.
        numbers: hyperparameters of the methods.
        prepared: how the model's inputs are made, and the kind of device.
        methods: their names in order.
    """
    return {
        "program": version("m2ib-audit"),
        "record schema": SCHEMA_VERSION,
        "model": model.name,
        "weights": model.sha256,
        **prepared,
        "methods": ", ".join(methods),
        "words": settings.method.words,
        "seed": settings.method.seed,
        "compiled": settings.model.compile,
        "burned-in text": settings.inputs.burned_in,
        "fill of erased regions": settings.scoring.fill,
        "patient data shown": settings.output.show_phi,
        **numbers,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The differences between the inputs of a stored study and its present inputs."""

    because: tuple[str, ...]  # in words; empty: no change
    only_targets: bool  # what heat is scored against changed, but not the heat
    stamps: tuple[str | None, ...]  # present stamps of the image files


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Computes the fingerprints of a run's studies; sent to the processes that finish them."""

    keys: Pseudonyms
    settings: Mapping[str, Scalar]
    context: ScoringContext
    controls: ControlPlan
    faithfulness: ControlPlan
    fillers: str  # hash of the images that erased regions are filled from
    show_phi: bool
    began: datetime  # start of the run: an image file written later is not the one that was scanned

    def of(self, study: Study) -> FingerprintRecord:
        """Return the fingerprint of a study that is being written."""
        stamps = self._stamps(study)
        return FingerprintRecord(
            inputs={"images": self._images(study, new=True), **self._texts(study)},
            settings=dict(self.settings),
            stamps=stamps,
        )

    def changes(self, study: Study, kept: FingerprintRecord | None) -> Changes:
        """Compare a study's present inputs with those that its record was made from."""
        stamps = self._stamps(study)
        if kept is None:
            return Changes(because=("its record does not state its inputs",), only_targets=False, stamps=stamps)
        inputs = self._texts(study)
        if None in stamps or stamps != kept.stamps:
            inputs["images"] = self._images(study, new=False)
        else:
            inputs["images"] = kept.inputs.get("images", "")
        changed = [name for name in _IN_WORDS if inputs[name] != kept.inputs.get(name)]
        if inputs["images"] == _CHANGED and "images" not in changed:
            changed.insert(0, "images")
        numbers = [
            f"{name} was {_said(kept.settings.get(name))}, is {_said(self.settings.get(name))}"
            for name in {**self.settings, **kept.settings}
            if kept.settings.get(name) != self.settings.get(name)
        ]
        # A change that another one states as well.
        implied = {"phrases": "report", "absent": "report", "erased": "controls"}
        names = [name for name in changed if implied.get(name) not in changed]
        return Changes(
            because=(*numbers, *(_IN_WORDS[name] for name in names)),
            only_targets=not numbers and set(changed) <= _TARGETS,
            stamps=stamps,
        )

    def target_digests(self, study: Study) -> dict[str, str]:
        """Hash what a study's heat is scored against."""
        findings = {str(phrase.finding) for case in study.cases for phrase in case.phrases}
        redactor = Redactor(keys=self.keys, show_phi=self.show_phi)
        boxes = {
            self.keys.key("image", case.image.instance): redactor.boxes(case.boxes, spoken=()) for case in study.cases
        }
        return _digests_of_targets(self.keys, boxes, findings, self.context)

    def _texts(self, study: Study) -> dict[str, str]:
        """Hash all inputs except the contents of files."""
        return {
            "report": self._hash("report", [study.report.text, study.report_joined_by]),
            "phrases": self._hash("phrases", [[asdict(phrase) for phrase in case.phrases] for case in study.cases]),
            "absent": self._hash("absent", [[asdict(phrase) for phrase in case.absent] for case in study.cases]),
            **self.target_digests(study),
            "controls": self._hash("controls", [_planned(self.controls, case) for case in study.cases]),
            "erased": self._hash("erased", self._erased(study)),
            "faithfulness": self._hash("faithfulness", [self.faithfulness.indices(case) for case in study.cases]),
        }

    def _erased(self, study: Study) -> list[object]:
        """List what the erased images of a study are made from; nothing if no phrase of it is planned.

        Every box of an image counts, because an equal area elsewhere is not erased where a box is.
        """
        regions = [
            [case.image.instance, _places(case.boxes), index, _places(target_boxes(case, case.phrases[index]))]
            for case in study.cases
            for index in self.controls.indices(case)
        ]
        return [regions, self.fillers] if regions else []

    def _images(self, study: Study, *, new: bool) -> str:
        since = self.began if new else None
        contents = {path: _contents(path, since) for path in {case.image.path for case in study.cases}}
        found = [[case.image.instance, contents[case.image.path]] for case in study.cases]
        return _CHANGED if any(content == _CHANGED for _, content in found) else self._hash("images", found)

    def _stamps(self, study: Study) -> tuple[str | None, ...]:
        return tuple(self._stamp(case) for case in study.cases)

    def _stamp(self, case: Case) -> str | None:
        stamp = Stamp.of(case.image.path)
        return None if stamp is None else self._hash("stamp", [case.image.instance, str(stamp)])

    def _hash(self, kind: str, content: object) -> str:
        return _hash(self.keys, kind, content)


def _digests_of_targets(
    keys: Pseudonyms, boxes: Mapping[str, Sequence[Box]], findings: Iterable[str], context: ScoringContext
) -> dict[str, str]:
    """Hash what heat is scored against, from values that a record also holds.

    Args:
        keys: the salted keys.
        boxes: boxes by key of the image.
        findings: findings of the study's phrases.
        context: the boxes and references of the cohort.
    """
    boxes_of_images = [[image, [_box_values(box) for box in found]] for image, found in boxes.items()]
    return {
        "boxes": _hash(keys, "boxes", boxes_of_images),
        "references": _hash(keys, "references", [[each, context.digest(each)] for each in sorted(findings)]),
    }


def _box_values(box: Box) -> list[object]:
    """Return the relevant values of a box; of its sentence only plain words, which a record never masks."""
    boxes_of_images = {**fields_of(box, Box), "shape": None if box.shape is None else asdict(box.shape)}
    return [boxes_of_images, plain_words(boxes_of_images.pop("phrase") or "")]


def with_targets(record: StudyRecord, keys: Pseudonyms, context: ScoringContext) -> StudyRecord:
    """Store in a rescored record what its heat was scored against."""
    findings = {str(phrase.finding) for image in record.images for phrase in image.phrases}
    boxes = {image.key: image.boxes for image in record.images}
    return with_inputs(record, _digests_of_targets(keys, boxes, findings, context))


def with_inputs(record: StudyRecord, hashes: Mapping[str, str]) -> StudyRecord:
    """Store new hashes in a record, if it has a fingerprint."""
    if record.fingerprint is None:
        return record
    marked = record.fingerprint.model_copy(update={"inputs": {**record.fingerprint.inputs, **hashes}})
    return record.model_copy(update={"fingerprint": marked})


def _hash(keys: Pseudonyms, kind: str, content: object) -> str:
    return keys.key(f"fingerprint of {kind}", json.dumps(content, default=str))


def _planned(plan: ControlPlan, case: Case) -> list[list[object]]:
    return [[phrase.index, {control.value: text for control, text in phrase.texts.items()}] for phrase in plan.of(case)]


def hash_fillers(fillers: Iterable[Case], keys: Pseudonyms) -> str:
    """Hash the images that erased regions are filled from: their files, findings and boxes.

    Args:
        fillers: the images, in the order in which they are tried.
        keys: the salted keys.
    """
    found = [
        [
            case.image.instance,
            _contents(case.image.path, None),
            [phrase.finding for phrase in case.phrases],
            [[box.label, *_place(box)] for box in case.boxes],
        ]
        for case in fillers
    ]
    return _hash(keys, "fillers", found)


def _places(boxes: Iterable[Box]) -> list[list[object]]:
    """List where boxes are, in an order that does not depend on that of their file."""
    return sorted((_place(box) for box in boxes), key=repr)


def _place(box: Box) -> list[object]:
    return [box.x, box.y, box.width, box.height, None if box.shape is None else asdict(box.shape)]


def _contents(path: Path, began: datetime | None) -> str:
    """Hash a file; an unreadable file has its own value, and counts as changed once it is readable."""
    try:
        if began is not None:
            seen = path.stat()
            if max(seen.st_mtime, seen.st_ctime) > began.timestamp():
                return _CHANGED
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _said(value: Scalar) -> str:
    return "not set" if value is None else str(value)
