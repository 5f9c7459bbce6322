"""Image-side controls of a small cohort of phantoms: what is erased, with which fill, and what the cosine does."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread

from audit.attribution.methods import build_method
from audit.configuration import InputsConfig
from audit.controls.embedding import CaseEmbeddings, Embedder
from audit.controls.erased import ErasedRegion, ImageControls
from audit.controls.plan import ControlPlan, opposites
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.pipeline.explain import Explainer
from audit.pipeline.inputs import gather
from audit.pipeline.load import LoadedStudy
from pipelines.phantom.cohort import make_cohort
from pipelines.privacy.burned_in import Area, BurnedIn
from pipelines.regions.erasing import Donor, Eraser, Fill
from pipelines.study import Box, Context, Side, Study, View
from pipelines.transforms import LoadedCase, load_cases


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, ...]:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=6, seed=5, columns=200)
    config = InputsConfig(
        dicom_dir=folder / "dicom", reports=folder / "reports", boxes=folder / "boxes.csv", index="none"
    )
    return gather(config).studies


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("phantom")


def burn_in(path: Path, text: str) -> None:
    """Write a text into the upper left corner of a radiograph's pixels."""
    dataset = dcmread(path)
    dataset.decompress() if dataset.file_meta.TransferSyntaxUID.is_compressed else None
    pixels = dataset.pixel_array.copy()
    picture = Image.new("L", pixels.shape[::-1], 0)
    ImageDraw.Draw(picture).text((6, 6), text, fill=255, font=ImageFont.load_default(size=pixels.shape[1] // 20))
    pixels[np.asarray(picture) > 127] = 0 if dataset.PhotometricInterpretation == "MONOCHROME1" else 4095
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)


def erased(
    encoder: DualEncoder, studies: tuple[Study, ...], fill: Fill, *, burned_in: BurnedIn = BurnedIn.MASK
) -> list[tuple[LoadedCase, CaseEmbeddings, tuple[ErasedRegion, ...]]]:
    embedder = Embedder(encoder)
    controls = ImageControls(ControlPlan(studies, sample=99, seed=1), fill=fill, seed=1, burned_in=burned_in)
    found = []
    for study in studies[:3]:
        (loaded,) = load_cases(study.cases, encoder.preprocessing)
        assert isinstance(loaded, LoadedCase)
        embeddings = embedder.case(loaded.case, loaded.inputs)
        results = controls.of(loaded, encoder.preprocessing, embeddings.phrases, embedder.images)
        found.append((loaded, embeddings, results))
    return found


def test_the_cosine_falls_when_the_marked_region_is_erased(encoder: DualEncoder, studies: tuple[Study, ...]) -> None:
    falls, elsewhere = [], []
    for _, embeddings, results in erased(encoder, studies, Fill.OTHER_PATIENTS):
        for result in results:
            own = float(embeddings.image @ embeddings.phrases[result.index])
            if result.region is not None and result.elsewhere:
                falls.append(own - result.region)
                elsewhere += [own - cosine for cosine in result.elsewhere]
                assert len(result.pictures) == 2
                assert result.reason is None
            else:
                assert result.reason is not None
    assert len(falls) >= 3
    assert np.mean(falls) > 5 * abs(np.mean(elsewhere))


def test_the_same_plan_and_seed_erase_the_same(encoder: DualEncoder, studies: tuple[Study, ...]) -> None:
    one, other = ([results for _, _, results in erased(encoder, studies, Fill.INPAINTING)] for _ in range(2))
    assert one == other


def test_donors_are_other_patients_with_few_findings(studies: tuple[Study, ...]) -> None:
    plan = ControlPlan(studies, sample=3, seed=0)
    patients = [case.image.patient_id for case in plan.fillers]
    assert len(set(patients)) == len(patients) == len(studies)
    counts = [len({box.label for box in case.boxes} | {p.finding for p in case.phrases}) for case in plan.fillers]
    assert counts == sorted(counts)
    assert plan.fillers == ControlPlan(studies[::-1], sample=3, seed=0).fillers
    assert ControlPlan(studies, sample=0, seed=0).fillers == ()


def test_a_normal_study_is_the_first_donor(studies: tuple[Study, ...]) -> None:
    ((case,), *_) = [study.cases for study in studies[::-1]]
    denied = tuple(replace(phrase, context=Context.ABSENT) for phrase in case.phrases)
    normal = replace(case, phrases=(), boxes=(), absent=denied)
    plan = ControlPlan((*studies[:-1], replace(studies[-1], cases=(normal,))), sample=3, seed=0)
    assert plan.fillers[0] == normal


def test_a_picture_hides_what_the_displayed_radiograph_hides(encoder: DualEncoder, studies: tuple[Study, ...]) -> None:
    (loaded,) = load_cases(studies[0].cases, encoder.preprocessing)
    assert isinstance(loaded, LoadedCase)
    hidden = replace(loaded, blanked=(Area(0, 0, 60, 200),))
    embedder = Embedder(encoder)
    controls = ImageControls(ControlPlan(studies, sample=99, seed=1), fill=Fill.INPAINTING, seed=1)
    texts = embedder.case(hidden.case, hidden.inputs).phrases
    (picture, *_) = next(
        each.pictures for each in controls.of(hidden, encoder.preprocessing, texts, embedder.images) if each.pictures
    )
    shown = np.asarray(Image.open(BytesIO(picture)))
    top = round(60 * hidden.placement.resized_rows / hidden.placement.rows)
    assert shown[: top - 8].max() < 8
    assert shown[top + 8 :].max() > 64


def test_no_picture_repeats_hidden_text_on_the_other_side(encoder: DualEncoder, studies: tuple[Study, ...]) -> None:
    case = next(case for study in studies for case in study.cases if case.boxes and case.phrases)
    columns = case.image.columns
    box = replace(case.boxes[0], x=20.0, y=90.0, width=50.0, height=50.0, shape=None, label="nodule")
    text = Area(top=100, left=columns - 65, bottom=125, right=columns - 25)
    phrase = replace(case.phrases[0], finding="nodule", side=None, zone=None)
    case = replace(case, phrases=(phrase,), boxes=(box,))
    study = replace(studies[0], cases=(case,))
    (loaded,) = load_cases(study.cases, encoder.preprocessing)
    assert isinstance(loaded, LoadedCase)
    top, left = loaded.placement.to_model(float(text.top), float(text.left))
    bottom, right = loaded.placement.to_model(float(text.bottom), float(text.right))
    letters = np.s_[:, round(top) + 1 : round(bottom) - 1, round(left) + 1 : round(right) - 1]
    inputs = loaded.inputs.clone()
    stripes = inputs[letters]
    stripes[:, :, ::2], stripes[:, :, 1::2] = inputs.max(), inputs.min()
    loaded = replace(loaded, inputs=inputs, blanked=(text,))
    embedder = Embedder(encoder)
    controls = ImageControls(ControlPlan((study,), sample=9, seed=1), fill=Fill.CONTRALATERAL, seed=1)
    (result,) = controls.of(loaded, encoder.preprocessing, embedder.case(case, loaded.inputs).phrases, embedder.images)
    for picture in result.pictures:
        shown = np.asarray(Image.open(BytesIO(picture)), dtype=float)
        assert np.abs(np.diff(shown, axis=1)).mean(axis=0).max() < 60, "alternating columns are the text"
    assert result.region is None
    assert result.reason == "nothing to fill the region with"


def given_donors(monkeypatch: pytest.MonkeyPatch) -> list[Donor]:
    """Collect the donors that erasers are given."""
    given: list[Donor] = []

    def eraser(image: np.ndarray, *, donors: list[Donor], **of: Any) -> Eraser:
        given.extend(donors)
        return Eraser(image, donors=donors, **of)

    monkeypatch.setattr("audit.controls.erased.Eraser", eraser)
    return given


def test_only_frontal_views_are_erased(encoder: DualEncoder, studies: tuple[Study, ...]) -> None:
    turned = tuple(with_image(study, view=View.LATERAL) for study in studies[:1]) + studies[1:]
    (_, _, results), *_ = erased(encoder, turned, Fill.OTHER_PATIENTS)
    assert results
    for result in results:
        assert (result.region, result.elsewhere, result.pictures) == (None, (), ())
        assert result.reason == "regions are erased on frontal views only"


def test_donors_are_turned_as_the_image_is(
    encoder: DualEncoder, studies: tuple[Study, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = given_donors(monkeypatch)
    erased(encoder, studies, Fill.OTHER_PATIENTS)
    plain = list(given)
    given.clear()
    erased(
        encoder,
        tuple(with_image(study, horizontally_flipped=True) for study in studies[:3]) + studies[3:],
        Fill.OTHER_PATIENTS,
    )
    names = [case.image.patient_id for case in ControlPlan(studies, sample=99, seed=1).fillers]
    flipped = {study.cases[0].image.patient_id for study in studies[:3]}
    own = studies[0].cases[0].image.patient_id
    others = [name for name in names if name != own]
    for name, before, after in zip(others, plain, given, strict=False):
        expected = before.image if name in flipped else before.image[:, ::-1]
        assert (after.image == expected).all()
    assert given


def with_image(study: Study, **changes: Any) -> Study:
    return replace(study, cases=tuple(replace(case, image=replace(case.image, **changes)) for case in study.cases))


def test_donors_are_decoded_in_another_process(
    encoder: DualEncoder, studies: tuple[Study, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = studies[0].cases[0]
    (loaded,) = load_cases([case], encoder.preprocessing)
    assert isinstance(loaded, LoadedCase)
    given = given_donors(monkeypatch)
    monkeypatch.setattr("pipelines.images.source.read_pixels", lambda *_, **__: pytest.fail("decoded in this process"))
    embedder = Embedder(encoder)
    controls = ImageControls(ControlPlan(studies, sample=99, seed=1), fill=Fill.OTHER_PATIENTS, seed=1)
    controls.of(loaded, encoder.preprocessing, embedder.case(case, loaded.inputs).phrases, embedder.images)
    assert len(given) == len(studies) - 1


def test_a_damaged_donor_is_not_used_and_a_missing_one_is_the_reason_why_nothing_is_erased(
    encoder: DualEncoder, studies: tuple[Study, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(b"not an image")
    given = given_donors(monkeypatch)
    erased(encoder, (*studies[:5], with_image(studies[5], path=damaged)), Fill.OTHER_PATIENTS)
    assert given
    assert len(given) % 4 == 0, "five images of other patients, one of which is damaged"
    gone = (*studies[:5], with_image(studies[5], path=tmp_path / "gone.dcm"))
    (loaded,) = load_cases(gone[0].cases, encoder.preprocessing)
    assert isinstance(loaded, LoadedCase)
    explainer = Explainer(
        encoder=encoder,
        methods=(build_method("saliency", {}),),
        device=torch.device("cpu"),
        seed=1,
        embedder=Embedder(encoder),
        image_controls=ImageControls(ControlPlan(gone, sample=99, seed=1), fill=Fill.OTHER_PATIENTS, seed=1),
    )
    (explained,) = explainer.explained([LoadedStudy(study=gone[0], cases=(loaded,), left_out=())])
    assert explained.cases[0].erased
    for each in explained.cases[0].erased:
        assert each.region is None
        assert re.search(r"cannot be read.*make all files of --dicom-dir readable", each.reason)


def test_the_reason_tells_missing_room_from_a_missing_fill(
    encoder: DualEncoder, studies: tuple[Study, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FillsRegionsAlone(Eraser):
        def erase(self, region: np.ndarray, *of: Any, **named: Any) -> np.ndarray | None:
            filled = None if hasattr(self, "done") else super().erase(region, *of, **named)
            self.done = True
            return filled

    case = next(case for study in studies for case in study.cases if case.boxes and case.phrases)
    phrase = replace(case.phrases[0], finding="nodule", side=None, zone=None)
    box = replace(case.boxes[0], label="nodule", shape=None, x=40.0, y=90.0, width=25.0, height=25.0)
    film = replace(box, label="mass", x=0.0, y=0.0, width=float(case.image.columns), height=float(case.image.rows))

    def reason(*boxes: Box) -> str | None:
        changed = replace(case, phrases=(phrase,), boxes=boxes)
        (loaded,) = load_cases([changed], encoder.preprocessing)
        assert isinstance(loaded, LoadedCase)
        plan, embedder = ControlPlan((replace(studies[0], cases=(changed,)),), sample=9, seed=1), Embedder(encoder)
        texts = embedder.case(changed, loaded.inputs).phrases
        (result,) = ImageControls(plan, fill=Fill.INPAINTING, seed=1).of(
            loaded, encoder.preprocessing, texts, embedder.images
        )
        assert result.region is not None
        return result.reason

    assert reason(box) is None
    assert reason(box, film) == "no room for an equal area in the chest"
    monkeypatch.setattr("audit.controls.erased.Eraser", FillsRegionsAlone)
    assert reason(box) == "nothing to fill an equal area with"


def test_text_of_donors_is_masked_where_the_run_keeps_text(
    encoder: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cohort(tmp_path, count=2, seed=5, columns=640)
    for path in sorted((tmp_path / "dicom").iterdir()):
        burn_in(path, "KOWALCZYK 123456")
    config = InputsConfig(
        dicom_dir=tmp_path / "dicom", reports=tmp_path / "reports", boxes=tmp_path / "boxes.csv", index="none"
    )
    given = given_donors(monkeypatch)
    erased(encoder, gather(config).studies[:2], Fill.OTHER_PATIENTS, burned_in=BurnedIn.KEEP)
    assert given
    for donor in given:
        corner = np.s_[: donor.image.shape[0] // 12, : donor.image.shape[1] // 3]
        assert donor.blocked[corner].mean() > 0.3
        assert np.ptp(donor.image[corner][donor.blocked[corner]]) < 1e-6, "letters are replaced by one value"


def test_a_swapped_side_is_false_only_where_the_other_side_is_free(studies: tuple[Study, ...]) -> None:
    case = next(case for study in studies for case in study.cases if case.phrases)
    phrase = replace(case.phrases[0], text="Left nodule.", finding="nodule", side=Side.LEFT, zone=None)
    alone = replace(case, phrases=(phrase,), boxes=())
    assert opposites(alone, phrase) == ("No evidence of nodule.", "Right nodule.")
    both = replace(alone, phrases=(phrase, replace(phrase, text="Right nodule.", side=Side.RIGHT)))
    assert opposites(both, phrase) == ("No evidence of nodule.", None)
