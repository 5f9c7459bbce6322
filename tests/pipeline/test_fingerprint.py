"""Fingerprints of studies: which change of an input asks for which work."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made_up_image import made_up_image

from audit.controls.plan import NO_PHRASE, ControlPlan
from audit.pipeline.fingerprint import Changes, Fingerprints, hash_fillers
from audit.pipeline.scoring_context import ScoringContext
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.study import Box, Case, Context, Phrase, Report, Side, Study

KEYS = Pseudonyms(b"a salt for tests only")
BOX = Box(x=20.0, y=20.0, width=30.0, height=30.0, label="pleural effusion")
PHRASE = Phrase(
    text="Right pleural effusion.",
    section="findings",
    finding="pleural effusion",
    context=Context.PRESENT,
    side=Side.RIGHT,
    zone=None,
)
REGIONS = "the regions erased from its images, or what fills them, changed"


@pytest.fixture
def studies(tmp_path: Path) -> list[Study]:
    """Three patients with a phrase each, and no boxes."""
    return [_study(tmp_path, number) for number in range(3)]


def _study(folder: Path, number: int) -> Study:
    path = folder / f"{number}.dcm"
    path.write_bytes(bytes([number]))
    uid, patient = f"1.2.{number}", f"p{number}"
    image = made_up_image(str(path), sop_instance_uid=f"{uid}.1", study_instance_uid=uid, patient_id=patient)
    return Study(
        study_instance_uid=uid,
        report=Report(source="report.txt", text=PHRASE.text),
        report_joined_by="StudyInstanceUID",
        cases=(Case(image=image, phrases=(PHRASE,), boxes=()),),
    )


def with_boxes(study: Study, *boxes: Box) -> Study:
    return replace(study, cases=tuple(replace(case, boxes=boxes) for case in study.cases))


def fingerprints(
    studies: Sequence[Study], *, controls: int = 9, faithfulness: int = 0, fillers: bool = True
) -> Fingerprints:
    plan = ControlPlan(studies, sample=controls, seed=1) if controls else NO_PHRASE
    return Fingerprints(
        keys=KEYS,
        settings={},
        context=ScoringContext(studies, lambda image: image.patient_id),
        controls=plan,
        faithfulness=ControlPlan(studies, sample=faithfulness, seed=1),
        fillers=hash_fillers(plan.fillers if fillers else (), KEYS),
        show_phi=False,
        began=datetime.now(UTC) + timedelta(days=1),
    )


def changes(before: Sequence[Study], after: Sequence[Study], place: int = 0, **planned: int) -> Changes:
    """Compare one study of a cohort with its record of an earlier run."""
    kept = fingerprints(before, **planned).of(before[place])
    return fingerprints(after, **planned).changes(after[place], kept)


def test_boxes_that_come_later_ask_for_the_model_where_a_region_is_to_be_erased(studies: list[Study]) -> None:
    boxed = [with_boxes(studies[0], BOX), *studies[1:]]
    sampled = changes(studies, boxed, fillers=False)
    assert "its boxes changed" in sampled.because
    assert REGIONS in sampled.because
    assert not sampled.only_targets
    assert changes(studies, boxed, controls=0).only_targets


def test_a_box_that_is_no_target_still_keeps_equal_areas_away(studies: list[Study]) -> None:
    before = [with_boxes(studies[0], BOX), *studies[1:]]
    after = [with_boxes(studies[0], BOX, replace(BOX, x=120.0, label="nodule")), *studies[1:]]
    assert REGIONS in changes(before, after, fillers=False).because


def test_the_order_of_boxes_changes_no_region(studies: list[Study]) -> None:
    other = replace(BOX, x=60.0)
    before, after = ([with_boxes(studies[0], *boxes), *studies[1:]] for boxes in ((BOX, other), (other, BOX)))
    found = changes(before, after, fillers=False)
    assert (REGIONS in found.because, found.only_targets) == (False, True)


def test_the_boxes_and_the_file_of_an_image_that_fills_regions_count(studies: list[Study]) -> None:
    boxed = [with_boxes(study, BOX) for study in studies]
    moved = [*boxed[:2], with_boxes(boxed[2], replace(BOX, x=60.0))]
    assert REGIONS in changes(boxed, moved).because
    assert REGIONS not in changes(boxed, moved, fillers=False).because
    kept = fingerprints(boxed).of(boxed[0])
    boxed[2].cases[0].image.path.write_bytes(b"other pixels")
    assert fingerprints(boxed).changes(boxed[0], kept).because == (REGIONS,)


def test_faithfulness_depends_on_its_sample_alone(studies: list[Study]) -> None:
    other = replace(studies[2], cases=(replace(studies[2].cases[0], phrases=()),))
    assert changes(studies, [*studies[:2], other], controls=0, faithfulness=9).because == ()
    gone = fingerprints(studies, controls=0).changes(
        studies[0], fingerprints(studies, faithfulness=9, controls=0).of(studies[0])
    )
    assert gone.because == ("the faithfulness tests planned for it changed",)
