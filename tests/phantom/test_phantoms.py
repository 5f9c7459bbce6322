"""Phantoms: the same seed gives the same bytes, boxes hold what was planted, and words say what is true."""

import csv
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from pipelines.boxes import read_boxes
from pipelines.dicom.pixels import read_pixels
from pipelines.errors import OutputError
from pipelines.findings import findings_in, side_of
from pipelines.images.scan import scan_folder
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.cohort import make_cohort
from pipelines.phantom.lesions import PHANTOM_FINDINGS, paint
from pipelines.phantom.render import render, sample_phantom
from pipelines.phantom.wording import CLAIMS, Claim, claims_of, holds, masked_sentence, report_of, sentences_of
from pipelines.study import Context, Side
from pipelines.text.phrases import phrases_of


def phantoms(count: int, seed: int = 1, at_least: int = 1):
    rng = np.random.default_rng(seed)
    return [sample_phantom(rng, at_least=at_least) for _ in range(count)]


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    first, second, other = phantoms(1)[0], phantoms(1)[0], phantoms(1, seed=2)[0]
    np.testing.assert_array_equal(render(first, columns=160).image, render(second, columns=160).image)
    assert not np.array_equal(render(first, columns=160).image[:160], render(other, columns=160).image[:160])


def test_every_box_holds_its_lesions_extent_and_little_more() -> None:
    checked = 0
    for phantom in phantoms(20):
        radiograph = render(phantom, columns=200)
        grid = Grid(phantom.anatomy, *radiograph.image.shape)
        for box, lesion in zip(radiograph.boxes, radiograph.boxed, strict=True):
            assert box.label == lesion.finding
            rows, columns = np.nonzero(paint(lesion, grid).extent > 0.5)
            assert box.x <= columns.min()
            assert box.y <= rows.min()
            assert box.x + box.width >= columns.max() + 1
            assert box.y + box.height >= rows.max() + 1
            assert box.width <= np.ptp(columns) + 1 + 2 * 0.012 * 200 + 1e-6
            checked += 1
    assert checked > 30


def test_a_sided_lesion_lies_on_the_patients_side() -> None:
    """The patient's right is the image's left, before the patient is shifted."""
    for phantom in phantoms(30):
        for lesion in phantom.lesions:
            if lesion.side is not None:
                assert (lesion.centre[0] < 0) == (lesion.side == "right")


def test_planting_a_lesion_changes_the_image_inside_its_box_only() -> None:
    phantom = next(p for p in phantoms(60) if p.findings == {"nodule"} and len(p.lesions) == 1)
    with_lesion = render(phantom, columns=200)
    without = render(type(phantom)(anatomy=phantom.anatomy, lesions=()), columns=200)
    (box,) = with_lesion.boxes
    changed = np.abs(with_lesion.image - without.image) > 1e-6
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert box.x - 1 <= columns.min()
    assert columns.max() <= box.x + box.width + 1
    assert box.y - 1 <= rows.min()
    assert rows.max() <= box.y + box.height + 1


def test_positions_vary_and_both_sides_occur() -> None:
    lesions = [lesion for phantom in phantoms(150) for lesion in phantom.lesions]
    assert {lesion.finding for lesion in lesions} == set(PHANTOM_FINDINGS)
    nodules = np.array([lesion.centre for lesion in lesions if lesion.finding == "nodule"])
    assert (nodules.std(0) > 0.2).all()
    bilateral = [p for p in phantoms(150) if len({x.side for x in p.lesions if x.finding == "nodule"}) == 2]
    assert len(bilateral) > 5


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: f"{c.finding}-{c.side}-{c.zone}-{'absent' if c.absent else ''}")
def test_the_reports_own_reader_understands_every_sentence(claim: Claim) -> None:
    for sentence in sentences_of(claim):
        (phrase,) = phrases_of(f"FINDINGS: {sentence}")
        context = Context.ABSENT if claim.absent else Context.PRESENT
        assert (phrase.finding, phrase.side, phrase.zone, phrase.context) == (
            claim.finding,
            claim.side,
            claim.zone,
            context,
        )


def test_reported_claims_hold_and_their_opposites_do_not() -> None:
    for phantom in phantoms(40):
        claims = claims_of(phantom)
        assert all(holds(claim, phantom.lesions) for claim in claims)
        for claim in claims:
            assert not holds(Claim(finding=claim.finding, absent=not claim.absent), phantom.lesions)
        one_sided = [c for c in claims if c.side and sum(x.finding == c.finding for x in phantom.lesions) == 1]
        for claim in one_sided:
            other = Side.LEFT if claim.side is Side.RIGHT else Side.RIGHT
            assert not holds(Claim(finding=claim.finding, side=other), phantom.lesions)
            assert not holds(Claim(finding=claim.finding, side=Side.BILATERAL), phantom.lesions)


def test_a_report_has_sections_and_every_finding_in_both() -> None:
    phantom = next(p for p in phantoms(20) if len(p.findings) >= 2)
    phrases = [p for p in phrases_of(report_of(phantom, np.random.default_rng(0))) if p.context is Context.PRESENT]
    for section in ("findings", "impression"):
        assert {p.finding for p in phrases if p.section == section} >= phantom.findings or section == "impression"
    assert {p.finding for p in phrases} == phantom.findings


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=12, seed=5, columns=200)
    return folder


def test_a_cohort_is_made_of_dx_files_reports_and_boxes(cohort: Path) -> None:
    scan = scan_folder(cohort / "dicom")
    assert (len(scan.images), scan.left_out) == (12, ())
    assert {image.view.value for image in scan.images} == {"PA"}
    assert {image.photometric_interpretation for image in scan.images} == {"MONOCHROME1", "MONOCHROME2"}
    assert len(list((cohort / "reports").glob("*.txt"))) == 12
    table = read_boxes(cohort / "boxes.csv")
    assert table.left_out == ()
    assert {row.image for row in table.rows} <= {image.sop_instance_uid for image in scan.images}
    with (cohort / "boxes.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(table.rows)


def test_polarity_and_compression_do_not_show(cohort: Path) -> None:
    """Whatever the file's photometric interpretation and transfer syntax, the picture is the rendered one."""
    for index, path in enumerate(sorted((cohort / "dicom").iterdir())):
        phantom = sample_phantom(np.random.default_rng([5, index]), at_least=1)
        expected = render(phantom, columns=200).image
        np.testing.assert_allclose(read_pixels(path).display, expected, atol=1.5 / 4095)
    syntaxes = {dcmread(path).file_meta.TransferSyntaxUID.name for path in (cohort / "dicom").iterdir()}
    assert len(syntaxes) == 2


def test_the_same_seed_writes_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    make_cohort(tmp_path, count=12, seed=5, columns=200)
    for file in sorted(path for path in cohort.rglob("*") if path.is_file()):
        assert (tmp_path / file.relative_to(cohort)).read_bytes() == file.read_bytes()


def test_a_cohort_is_never_written_over(cohort: Path) -> None:
    with pytest.raises(OutputError, match="there is already a cohort"):
        make_cohort(cohort, count=1, seed=1)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.finding}-{claim.side}-{claim.zone}-{claim.absent}")
def test_a_masked_sentence_claims_what_its_other_words_say(claim: Claim) -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        text, left = masked_sentence(claim, rng, mask="[MASK]", share=0.2)
        plain = text.replace("[MASK]", "now")
        named = {mention.finding for mention in findings_in(plain)}
        if left is None:
            assert "[MASK]" in text
            assert claim.finding not in named
            continue
        assert (left.finding, left.absent) == (claim.finding, claim.absent)
        assert named == {claim.finding}
        assert side_of(plain) == left.side
        assert (left.side, left.zone) in {
            (claim.side, claim.zone),
            (None, claim.zone),
            (claim.side, None),
            (None, None),
        }
