"""Boxes of PadChest-GR: a JSON list of studies with sentences, each with boxes in fractions of the image.

A box is [left, top, right, bottom], 0 to 1. ``boxes`` are of one reader, ``extra_boxes`` of another; both are unnamed.

Source: Castro et al. 2024, "PadChest-GR: a bilingual chest X-ray dataset for grounded radiology report generation".
"""

from collections.abc import Iterator
from typing import Any

from pipelines.boxes.table import RawBox, parsed_annotations
from pipelines.errors import BoxError
from pipelines.findings import canonical_finding

__all__ = ["read_padchest_gr_json", "recognise_padchest_gr_json"]

_KEYS = ("ImageID", "findings", "sentence_en")
_READERS = {"boxes": "first reader", "extra_boxes": "second reader"}
_SHARES = (1, 1)


def recognise_padchest_gr_json(text: str) -> bool:
    """Return True for a JSON list with images and sentences for their findings."""
    return text.lstrip().startswith("[") and all(f'"{key}"' in text for key in _KEYS)


def read_padchest_gr_json(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per box and per finding with which its sentence is labelled.

    Raises:
        BoxError: the file is not valid JSON, or exceeds the limits.
    """
    studies = parsed_annotations(name, text)
    for number, study in enumerate(studies, start=1):
        source = f"{name} entry {number}"
        findings = study.get("findings") if isinstance(study, dict) else None
        if not isinstance(findings, list):
            yield BoxError(f"{source} has no list of findings: write ImageID and findings")
            continue
        for place, finding in enumerate(findings, start=1):
            if isinstance(finding, dict):
                yield from _raw_boxes(f"{source} finding {place}", str(study.get("ImageID") or ""), finding)
            else:
                yield BoxError(f"{source} finding {place} is not an object: write its sentence, labels and boxes")


def _raw_boxes(source: str, image: str, finding: dict[str, Any]) -> Iterator[RawBox | BoxError]:
    sentence = finding.get("sentence_en")
    for key, reader in _READERS.items():
        boxes = finding.get(key) or []
        if not isinstance(boxes, list):
            yield BoxError(f"{source} has {key} that are not a list: write lists of [left, top, right, bottom]")
            continue
        for number, box in enumerate(boxes, start=1):
            where = f"{source} {key.removesuffix('es')} {number}"
            if not isinstance(box, list) or len(box) != 4 or not all(type(edge) in {int, float} for edge in box):
                yield BoxError(f"{where} is not four numbers: write [left, top, right, bottom], 0 to 1")
                continue
            left, top, right, bottom = box
            for label in _labels(finding):
                yield RawBox(
                    source=where,
                    image=image,
                    label=label,
                    x=left,
                    y=top,
                    width=right - left,
                    height=bottom - top,
                    frame=_SHARES,
                    reader=reader,
                    phrase=sentence if isinstance(sentence, str) else None,
                )


def _labels(finding: dict[str, Any]) -> tuple[str, ...]:
    """Return a sentence's labels, each finding once: several labels may name the same finding."""
    labels = finding.get("labels")
    written = [str(label) for label in labels] if isinstance(labels, list) else []
    return tuple({canonical_finding(label) or label: label for label in written}.values()) or ("",)
