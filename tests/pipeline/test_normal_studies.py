"""Studies that report nothing abnormal: tested for absence, and without effect on the figures of present findings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_records import EFFUSION, NODULE, MadeUp, make_study

from audit.metrics.summary import score_table
from audit.pipeline.aggregate import Conclusions, Tally, conclude
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import GrowingTable, with_phrase_tests
from pipelines.study import Context, Phrase
from pipelines.text.absent import ABNORMALITY
from reports.reading import embedding_names
from reports.record import FindingCosines
from reports.score_catalogue import ABSENCE_PERCENTILE, DENIAL_PREFERRED

KEYS = tuple(f"{number:06x}{0:010x}" for number in range(1, 7))  # the first six are those of the images


def denial(finding: str) -> Phrase:
    return Phrase(text=f"No {finding}.", section="findings", finding=finding, context=Context.ABSENT)


def with_absent(made: MadeUp, *findings: str, asserted: float, denied: float = 0.3) -> MadeUp:
    (image,) = made.record.images
    cosines = FindingCosines(asserted=asserted, denied=denied)
    names = ("pleural effusion", "nodule", "pneumothorax", ABNORMALITY)
    stated = replace(
        image, absent=tuple(denial(finding) for finding in findings), finding_cosines=dict.fromkeys(names, cosines)
    )
    return MadeUp(record=made.record.model_copy(update={"images": (stated,)}), heats=made.heats, pictures=made.pictures)


def abnormal(key: str, asserted: float = 0.5) -> MadeUp:
    return with_absent(
        make_study(key, (EFFUSION, NODULE), patient=f"patient of {key}"), "pneumothorax", asserted=asserted
    )


def normal(key: str, asserted: float = 0.1) -> MadeUp:
    return with_absent(
        make_study(key, (), patient=f"patient of {key}"), "pleural effusion", ABNORMALITY, asserted=asserted
    )


def concluded(studies: Sequence[MadeUp]) -> tuple[Tally, pd.DataFrame, Conclusions]:
    tally, table = Tally(), GrowingTable()
    for made in studies:
        generator = np.random.default_rng(int(made.record.key, 16))
        names = [name for image, phrases in map(embedding_names, made.record.images) for name in (image, *phrases)]
        vectors = {name: generator.standard_normal((1, 8)).astype(np.float32) for name in names}
        study = FinishedStudy.of(made.record, embeddings=vectors)
        tally.add(study)
        table.add(study.rows)
    scores = score_table(table.to_frame())
    found = conclude(scores, tally, [("m2ib", "nats")])
    return tally, with_phrase_tests(scores, found.phrases), found


@pytest.fixture(scope="module")
def alone() -> tuple[Tally, pd.DataFrame, Conclusions]:
    return concluded([abnormal(key) for key in KEYS[:3]])


@pytest.fixture(scope="module")
def mixed() -> tuple[Tally, pd.DataFrame, Conclusions]:
    return concluded([normal(KEYS[3]), *(abnormal(key) for key in KEYS[:3]), normal(KEYS[4]), normal(KEYS[5])])


def test_normal_studies_change_no_figure_of_a_present_finding(alone, mixed) -> None:
    (_, before, without), (_, after, found) = alone, mixed
    present = after[after["context"] != "absent"].astype(str).reset_index(drop=True)
    expected = before[before["context"] != "absent"].astype(str).reset_index(drop=True)
    pd.testing.assert_frame_equal(present, expected)
    for name in ("summaries", "controls", "verdicts", "evidence", "subgroups", "cosine_sd", "recognised"):
        assert getattr(found, name) == getattr(without, name), name
    assert [test for test in found.cosine_tests if test.kind != "absence"] == [
        test for test in without.cosine_tests if test.kind != "absence"
    ]


def test_normal_studies_and_absent_phrases_are_counted_apart(mixed) -> None:
    tally, _, _ = mixed
    assert (tally.audited, tally.normal, tally.phrases, tally.absent) == (6, 3, 6, 9)


def test_absent_phrases_have_rows_of_their_own_in_the_table_of_scores(mixed) -> None:
    _, scores, _ = mixed
    absent = scores[(scores["context"] == "absent") & (scores["finding"] == "pleural effusion")]
    assert absent["method"].unique().tolist() == ["cosine"]
    values = {name: group["value"].tolist() for name, group in absent.groupby("score", observed=True)}
    assert values == {DENIAL_PREFERRED: [1.0] * 3, ABSENCE_PERCENTILE: [1.0] * 3}


def test_an_image_with_an_acute_finding_has_an_abnormality(mixed) -> None:
    _, _, found = mixed
    tests = {test.test: test.result for test in found.cosine_tests if test.finding == ABNORMALITY}
    assert (tests[ABSENCE_PERCENTILE].estimate, tests[ABSENCE_PERCENTILE].cases) == (1.0, 3)


def test_a_cohort_of_normal_studies_alone_has_its_tests_and_no_verdict() -> None:
    tally, scores, found = concluded([normal(key) for key in KEYS])
    assert (found.verdicts, tally.normal) == ((), 6)
    assert {test.test for test in found.cosine_tests} == {DENIAL_PREFERRED}
    assert len(scores) == 12


def test_a_denial_that_a_box_refutes_has_no_row_and_no_test() -> None:
    refuted = with_absent(make_study(KEYS[0], (EFFUSION,)), "pleural effusion", "nodule", asserted=0.1)
    study = FinishedStudy.of(refuted.record)
    assert [row["finding"] for row in study.rows if row["context"] == "absent"] == ["nodule"]
    assert [list(image.denied) for image in study.stated] == [["nodule"]]
