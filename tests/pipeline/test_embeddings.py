"""Stored embeddings: phrases and images without one, and files that no run writes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from made_up_records import EFFUSION, NODULE, MadeUp, make_study

from audit.metrics.summary import score_table
from audit.pipeline.aggregate import Tally, conclude
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import GrowingTable
from audit.pipeline.write import write_study
from pipelines.errors import DamagedError
from reports.reading import embedding_names, read_embeddings
from reports.results_folder import read_record

KEYS = ("5b1f0c9e7a3d2460", "6c1f0c9e7a3d2461", "7d1f0c9e7a3d2462")


def vectors_of(made: MadeUp, *, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    names = [embedding_names(image) for image in made.record.images]
    each = [name for of_image, of_phrases in names for name in (of_image, *of_phrases)]
    return {name: generator.standard_normal((1, 8)).astype(np.float32) for name in each}


def stored(out: Path, made: MadeUp, vectors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    (out / "studies").mkdir(parents=True, exist_ok=True)
    write_study(out, made.record, salt=bytes(32), heats=made.heats, pictures=made.pictures, embeddings=vectors)
    folder = out / "studies" / made.record.key
    return read_embeddings(folder, read_record(folder))


def concluded(studies: Mapping[str, tuple[MadeUp, Mapping[str, np.ndarray]]]) -> tuple[Tally, dict[str, tuple]]:
    tally, table = Tally(), GrowingTable()
    for made, vectors in studies.values():
        study = FinishedStudy.of(made.record, embeddings=vectors)
        tally.add(study)
        table.add(study.rows)
    return tally, dict(conclude(score_table(table.to_frame()), tally, [("m2ib", "nats")]).recognised)


def test_a_phrase_without_an_embedding_leaves_the_others_in_their_places(tmp_path: Path) -> None:
    studies = {}
    for seed, key in enumerate(KEYS):
        made = make_study(key, (EFFUSION, NODULE), patient=f"patient of {key}")
        vectors = vectors_of(made, seed=seed)
        del vectors[embedding_names(made.record.images[0])[1][0]]  # words of the first phrase are masked
        studies[key] = made, stored(tmp_path, made, vectors)
    tally, recognised = concluded(studies)
    assert {phrase.index for image in tally.embedded for phrase in image.phrases} == {1}
    assert [len(tests) for tests in recognised.values()] == [2, 2, 2]
    assert {tests[0].percentile for tests in recognised.values()} == {None}


def test_an_image_for_which_the_model_gives_no_numbers_takes_no_part() -> None:
    studies = {}
    for seed, key in enumerate(KEYS):
        made = make_study(key, (EFFUSION, NODULE), patient=f"patient of {key}")
        vectors = vectors_of(made, seed=seed)
        if seed == 0:
            vectors[embedding_names(made.record.images[0])[0]][:] = np.nan
        studies[key] = made, vectors
    tally, recognised = concluded(studies)
    assert len(tally.embedded) == 2
    assert len(recognised) == 2


@pytest.mark.parametrize("shape", [(2, 8), (1, 9)], ids=["two rows", "another length"])
def test_embeddings_that_no_run_writes_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    made = make_study(KEYS[0], (EFFUSION, NODULE))
    vectors = vectors_of(made)
    vectors[embedding_names(made.record.images[0])[1][1]] = np.ones(shape, np.float32)
    with pytest.raises(DamagedError, match="audit the study again"):
        stored(tmp_path, made, vectors)
