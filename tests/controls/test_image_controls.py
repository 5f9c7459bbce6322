"""Image-side controls of a small cohort of phantoms: what is erased, with which fill, and what the cosine does."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from audit.configuration import InputsConfig
from audit.controls.embedding import CaseEmbeddings, Embedder
from audit.controls.erased import ErasedRegion, ImageControls
from audit.controls.plan import ControlPlan, opposites
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.pipeline.inputs import gather
from pipelines.phantom.cohort import make_cohort
from pipelines.privacy.burned_in import Area
from pipelines.regions.erasing import Fill
from pipelines.study import Side, Study
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


def erased(
    encoder: DualEncoder, studies: tuple[Study, ...], fill: Fill
) -> list[tuple[LoadedCase, CaseEmbeddings, tuple[ErasedRegion, ...]]]:
    embedder = Embedder(encoder)
    controls = ImageControls(ControlPlan(studies, sample=99, seed=1), fill=fill, seed=1)
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


def test_a_swapped_side_is_false_only_where_the_other_side_is_free(studies: tuple[Study, ...]) -> None:
    case = next(case for study in studies for case in study.cases if case.phrases)
    phrase = replace(case.phrases[0], text="Left nodule.", finding="nodule", side=Side.LEFT, zone=None)
    alone = replace(case, phrases=(phrase,), boxes=())
    assert opposites(alone, phrase) == ("No evidence of nodule.", "Right nodule.")
    both = replace(alone, phrases=(phrase, replace(phrase, text="Right nodule.", side=Side.RIGHT)))
    assert opposites(both, phrase) == ("No evidence of nodule.", None)
