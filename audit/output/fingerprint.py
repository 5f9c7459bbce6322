"""What a study is made from, in salted hashes: a record is good for as long as none of it has changed.

An image file counts by its contents. Reading all of them again on every start would take hours over a network share,
so its size, times and inode are kept too: while these stand, the contents are taken to stand, and only where they
differ (a copied or restored folder) is the file read and its contents decide.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from audit.controls.plan import ControlPlan
from audit.pipeline.scoring_context import ScoringContext
from audit.pipeline.settings import RunSettings
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor
from pipelines.dicom.scan_index import Stamp
from pipelines.privacy.safe_terms import plain_words
from pipelines.study import Box, Case, Study, fields_of
from reports.record import SCHEMA_VERSION, FingerprintRecord, ModelRecord, StudyRecord

__all__ = ["Changes", "Fingerprints", "shaping_settings", "with_inputs", "with_place"]

Scalar = float | int | str | bool | None

_CHANGED = "changed while it was read"  # in the place of a hash, that no hash is equal to
_IN_WORDS = {
    "images": "its image files changed",
    "report": "its report changed",
    "phrases": "the phrases put to the model changed",
    "boxes": "its boxes changed",
    "references": "boxes of other studies changed, of which its references are made",
    "controls": "the controls planned for it changed",
    "faithfulness": "the tests of faithfulness planned for it changed",
}
_PLACE = {"boxes", "references"}  # where only these changed, stored heat is as good as new


def shaping_settings(
    settings: RunSettings,
    *,
    model: ModelRecord,
    numbers: Mapping[str, Scalar],
    prepared: Mapping[str, Scalar],
    methods: Sequence[str],
) -> dict[str, Scalar]:
    """Name what of a run shapes each of its studies, apart from their own inputs.

    Args:
        settings: of the run; where files lie, how many processes work and the like shape nothing.
        model: that is audited.
        numbers: of the methods.
        prepared: how the model's inputs are made, and what kind of device it runs on.
        methods: their names in their order.
    """
    return {
        "program": version("m2ib-audit"),
        "record schema": SCHEMA_VERSION,
        "model": model.name,
        "weights": model.sha256,
        **prepared,
        "methods": ", ".join(methods),
        "words": settings.words,
        "seed": settings.seed,
        "compiled": settings.compiled,
        "burned-in text": settings.burned_in.value,
        "patient data shown": settings.show_phi,
        **numbers,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between what a study was made from and what it would be made from now."""

    because: tuple[str, ...]  # in words; empty: nothing
    only_place: bool  # what heat is scored against changed, and the heat did not
    stamps: tuple[str | None, ...]  # of the image files as they are now


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """Takes fingerprints of one run's studies; sent to the processes that finish them."""

    keys: Pseudonyms
    settings: Mapping[str, Scalar]
    targets: ScoringContext
    controls: ControlPlan
    faithfulness: ControlPlan
    show_phi: bool
    began: datetime  # of the run: an image file that was written later is not what was scanned

    def of(self, study: Study) -> FingerprintRecord:
        """Take the fingerprint of a study that is being written."""
        stamps = self._stamps(study)
        return FingerprintRecord(
            inputs={"images": self._images(study, new=True), **self._texts(study)},
            settings=dict(self.settings),
            stamps=stamps,
        )

    def changes(self, study: Study, kept: FingerprintRecord | None) -> Changes:
        """Compare a study as it would be made now with what it was made from."""
        stamps = self._stamps(study)
        if kept is None:
            return Changes(because=("its record does not say what it was made from",), only_place=False, stamps=stamps)
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
        said = [name for name in changed if name != "phrases" or "report" not in changed]
        return Changes(
            because=(*numbers, *(_IN_WORDS[name] for name in said)),
            only_place=not numbers and set(changed) <= _PLACE,
            stamps=stamps,
        )

    def place_of(self, study: Study) -> dict[str, str]:
        """Hash what a study's heat is scored against."""
        findings = {str(phrase.finding) for case in study.cases for phrase in case.phrases}
        redactor = Redactor(keys=self.keys, show_phi=self.show_phi)
        boxes = {
            self.keys.key("image", case.image.instance): redactor.boxes(case.boxes, spoken=()) for case in study.cases
        }
        return _place_digests(self.keys, boxes, findings, self.targets)

    def _texts(self, study: Study) -> dict[str, str]:
        """Hash everything but the contents of files."""
        return {
            "report": self._hash("report", [study.report.text, study.report_joined_by]),
            "phrases": self._hash("phrases", [[asdict(phrase) for phrase in case.phrases] for case in study.cases]),
            **self.place_of(study),
            "controls": self._hash("controls", [_planned(self.controls, case) for case in study.cases]),
            "faithfulness": self._hash("faithfulness", [_planned(self.faithfulness, case) for case in study.cases]),
        }

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


def _place_digests(
    keys: Pseudonyms, boxes: Mapping[str, Sequence[Box]], findings: Iterable[str], targets: ScoringContext
) -> dict[str, str]:
    """Hash what heat is scored against, as it can be had from a record too.

    Args:
        keys: the salt.
        boxes: by key of the image.
        findings: that the study's phrases name.
        targets: of the cohort.
    """
    drawn = [[image, [_drawn(box) for box in found]] for image, found in boxes.items()]
    return {
        "boxes": _hash(keys, "boxes", drawn),
        "references": _hash(keys, "references", [[each, targets.digest(each)] for each in sorted(findings)]),
    }


def _drawn(box: Box) -> list[object]:
    """Give what counts of a box; of its sentence the plain words, which a record keeps whatever it masks."""
    drawn = {**fields_of(box, Box), "shape": None if box.shape is None else asdict(box.shape)}
    return [drawn, plain_words(drawn.pop("phrase") or "")]


def with_place(record: StudyRecord, keys: Pseudonyms, targets: ScoringContext) -> StudyRecord:
    """Note in a record that was scored again what its heat has been scored against."""
    findings = {str(phrase.finding) for image in record.images for phrase in image.phrases}
    boxes = {image.key: image.boxes for image in record.images}
    return with_inputs(record, _place_digests(keys, boxes, findings, targets))


def with_inputs(record: StudyRecord, hashes: Mapping[str, str]) -> StudyRecord:
    """Note new hashes in a record, if it has a fingerprint."""
    if record.fingerprint is None:
        return record
    marked = record.fingerprint.model_copy(update={"inputs": {**record.fingerprint.inputs, **hashes}})
    return record.model_copy(update={"fingerprint": marked})


def _hash(keys: Pseudonyms, kind: str, content: object) -> str:
    return keys.key(f"fingerprint of {kind}", json.dumps(content, default=str))


def _planned(plan: ControlPlan, case: Case) -> list[list[object]]:
    return [[phrase.index, {control.value: text for control, text in phrase.texts.items()}] for phrase in plan.of(case)]


def _contents(path: Path, began: datetime | None) -> str:
    """Hash a file; one that cannot be read is that, and counts as changed as soon as it can."""
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
