"""Two runs of the same studies are compared phrase by phrase, and always as B minus A."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from made_up_records import MODEL
from made_up_runs import OTHER_MODEL, reordered, write_made_up_run

from audit.experiments.model_comparison import MODEL_FILES, ModelsRequest, compare_runs
from audit.metrics.statistics import paired_difference
from audit.planning.protocol import as_toml, read_protocol
from pipelines.errors import AuditError, OutputError
from reports.model_comparison_page import summary_of_models
from reports.model_comparison_record import ModelComparisonRecord, ModelDifference
from reports.protocol_record import NonInferiorityQuestion, Protocol, SuperiorityQuestion
from reports.record import FingerprintRecord, StudyRecord
from reports.run_record import ProtocolRecord
from reports.score_catalogue import ENERGY, PERCENTILE, POINTING, RELIANCE

CASE = ["image", "phrase"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return (
        write_made_up_run(folder / "old model", hits=0.4),
        write_made_up_run(folder / "new", hits=0.9, skipped=1, changed=reordered, model=OTHER_MODEL),
    )


@pytest.fixture(scope="module")
def compared(runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "out"
    compare_runs(ModelsRequest(first=runs[0], second=runs[1], out=out, margin=0.1))
    return out


@pytest.fixture
def record(compared: Path) -> ModelComparisonRecord:
    return ModelComparisonRecord.model_validate_json((compared / "comparison.json").read_text("utf-8"))


def of(record: ModelComparisonRecord, score: str, finding: str | None = None) -> ModelDifference:
    (found,) = (
        each for each in record.differences if (each.score, each.finding, each.averaging) == (score, finding, "micro")
    )
    return found


def texts_of(out: Path) -> dict[tuple[str, int], str]:
    """The sentence of each row of the score table."""
    records = [StudyRecord.model_validate_json(path.read_text()) for path in out.glob("studies/*/record.json")]
    images = [image for each in records for image in each.images]
    return {(image.key, place): phrase.text for image in images for place, phrase in enumerate(image.phrases)}


def values_by_sentence(out: Path, score: str) -> pd.DataFrame:
    table = pd.read_parquet(out / "scores.parquet").astype({"image": "str", "patient": "str", "method": "str"})
    rows = table[(table["score"] == score) & table["method"].isin(["m2ib", "cosine"]) & table["value"].notna()]
    texts = texts_of(out)
    return rows.assign(text=[texts[place] for place in zip(rows["image"], rows["phrase"], strict=True)])


@pytest.mark.parametrize("score", [POINTING, ENERGY, RELIANCE])
def test_a_difference_is_b_minus_a_on_the_sentences_of_both(
    runs: tuple[Path, Path], record: ModelComparisonRecord, score: str
) -> None:
    first, second = (values_by_sentence(out, score) for out in runs)
    both = first.merge(second, on=["image", "text"], suffixes=("_a", "_b"))
    assert len(both) < len(first)  # the last study is in A alone
    expected = paired_difference(both["value_b"].to_numpy(), both["value_a"].to_numpy(), both["patient_a"].tolist())
    found = of(record, score)
    assert found.difference.estimate == pytest.approx(expected.estimate, abs=1e-12)
    assert (found.difference.low, found.difference.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.difference.estimate == pytest.approx(found.second - found.first)
    assert (found.first, found.second) == pytest.approx((both["value_a"].mean(), both["value_b"].mean()))


def test_the_order_of_images_and_phrases_in_a_record_changes_no_pair(
    runs: tuple[Path, Path], record: ModelComparisonRecord, tmp_path: Path
) -> None:
    plain = write_made_up_run(tmp_path / "plain", hits=0.9, skipped=1, model=OTHER_MODEL)
    other = compare_runs(ModelsRequest(first=runs[0], second=plain, out=tmp_path / "out", margin=0.1)).record
    assert other.differences == record.differences
    assert other.answers == record.answers


def test_models_in_the_other_order_turn_every_sign(
    runs: tuple[Path, Path], record: ModelComparisonRecord, tmp_path: Path
) -> None:
    turned = compare_runs(ModelsRequest(first=runs[1], second=runs[0], out=tmp_path / "out")).record
    assert len(turned.differences) == len(record.differences)
    for each, other in zip(sorted(record.differences, key=str_of), sorted(turned.differences, key=str_of), strict=True):
        assert (each.first, each.second) == pytest.approx((other.second, other.first))
        assert each.difference is not None
        assert each.difference.estimate == pytest.approx(-other.difference.estimate)
        assert (each.difference.low, each.difference.high) == pytest.approx(
            (-other.difference.high, -other.difference.low)
        )
        assert (each.won, each.lost) == (other.lost, other.won)
        assert each.mcnemar == other.mcnemar
    assert {(each.change, each.study) for each in record.changed} == {
        ("lost" if each.change == "won" else "won", each.study) for each in turned.changed
    }


def str_of(each: ModelDifference) -> str:
    return f"{each.method} {each.score} {each.finding} {each.averaging}"


def test_won_phrases_are_misses_of_a_and_hits_of_b(runs: tuple[Path, Path], record: ModelComparisonRecord) -> None:
    tables = [values_by_sentence(out, POINTING).set_index(["image", "text"])["value"] for out in runs]
    won = [each for each in record.changed if each.change == "won"]
    assert len(won) == of(record, POINTING).won > 0
    for each in won:
        assert [table[each.image, each.text] for table in tables] == [0.0, 1.0]


def test_recognition_is_the_difference_of_areas_with_a_paired_interval(record: ModelComparisonRecord) -> None:
    found = of(record, PERCENTILE)
    assert 0.0 < found.first < found.second <= 1.0  # embeddings of B resemble their images more
    assert found.difference.estimate == pytest.approx(found.second - found.first)
    assert found.difference.low < found.difference.estimate < found.difference.high


def test_what_is_in_one_run_alone_is_counted(record: ModelComparisonRecord) -> None:
    assert [run.studies for run in record.runs] == [14, 13]
    assert [run.studies_alone for run in record.runs] == [1, 0]
    assert [run.phrases_alone for run in record.runs] == [0, 0]
    assert record.studies == 13


class Links(HTMLParser):
    """Collects where a page leads to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if (tag, name) == ("a", "href") and value]


def test_what_is_promised_is_written_and_every_link_leads_to_a_page(compared: Path) -> None:
    assert sorted(path.name for path in compared.iterdir()) == sorted(MODEL_FILES)
    of_studies = list(compared.glob("studies/*.html"))
    assert of_studies
    for page in (compared / "index.html", *of_studies):
        addresses = [unquote(link.partition("#")[0]) for link in Links(page).found if not link.startswith("#")]
        assert len(addresses) > 2
        assert all((page.parent / address).is_file() for address in addresses)
    changes = pd.read_csv(compared / "changes.csv")
    assert set(changes["change"]) <= {"won", "lost"}
    assert "text" not in changes  # of a report


def test_a_changed_study_has_a_page_with_both_heats_of_each_of_its_phrases(
    runs: tuple[Path, Path], compared: Path, record: ModelComparisonRecord
) -> None:
    assert {path.stem for path in compared.glob("studies/*.html")} == {each.study for each in record.changed}
    study = record.changed[0].study
    page = compared / "studies" / f"{study}.html"
    html = page.read_text("utf-8")
    own = StudyRecord.model_validate_json((runs[1] / "studies" / study / "record.json").read_text())
    phrases = [phrase for image in own.images for phrase in image.phrases]
    assert html.count("<figure>") == len(phrases)
    for place, image in enumerate(own.images):
        for number in range(len(image.phrases)):  # of B, whose order is another
            assert f"new/studies/{study}/index.html#phrase-{place}-{number}" in html


def test_the_table_has_the_figures_of_the_record(compared: Path, record: ModelComparisonRecord) -> None:
    table = pd.read_csv(compared / "comparison.csv")
    row = table[(table["score"] == POINTING) & table["finding"].isna() & (table["averaging"] == "micro")].iloc[0]
    found = of(record, POINTING)
    assert (row["estimate"], row["low"], row["won"]) == pytest.approx(
        (found.difference.estimate, found.difference.low, found.won)
    )


def question(model: str, other: str) -> NonInferiorityQuestion:
    return NonInferiorityQuestion(kind="non-inferiority", name="as good", margin=0.1, model=model, compared_with=other)


def protocol_file(path: Path, *questions: object, **changes: object) -> Path:
    models = {"new": OTHER_MODEL.sha256, "old": MODEL.sha256}
    fields = {"method": "m2ib", "alpha": 0.05, "power": 0.8, "multiplicity": "holm", "models": models}
    path.write_text(as_toml(Protocol(questions=questions, **(fields | changes))))
    return path


def test_a_protocol_asks_of_models_by_checksum_whatever_their_order(runs: tuple[Path, Path], tmp_path: Path) -> None:
    file = protocol_file(tmp_path / "p.toml", question("new", "old"))
    plain, turned = (
        compare_runs(ModelsRequest(first=first, second=second, out=tmp_path / name, protocol=file)).record
        for name, first, second in (("ab", *runs), ("ba", *runs[::-1]))
    )
    (answer,), (other,) = plain.answers, turned.answers
    assert (answer.model, other.model) == ("B", "A")
    assert answer.estimate.estimate == pytest.approx(other.estimate.estimate)
    assert answer.estimate.estimate > 0.0
    assert answer.p_margin == pytest.approx(other.p_margin)
    assert not plain.planned  # neither run was given it


@pytest.mark.parametrize("before", [True, False], ids=["planned", "given later"])
def test_the_protocol_of_both_runs_is_asked_without_naming_it(tmp_path: Path, before: bool) -> None:
    file = protocol_file(tmp_path / "p.toml", question("new", "old"))
    read = read_protocol(file)
    runs = [
        write_made_up_run(
            tmp_path / name,
            hits=0.5,
            count=4,
            model=model,
            protocol=ProtocolRecord(sha256=read.sha256, content=read.content, before_results=before or name == "a"),
        )
        for name, model in (("a", MODEL), ("b", OTHER_MODEL))
    ]
    record = compare_runs(ModelsRequest(first=runs[0], second=runs[1], out=tmp_path / "out")).record
    assert [answer.question for answer in record.answers] == ["as good"]
    assert (record.protocol_sha256, record.planned) == (read.sha256, before)


def test_a_model_that_the_protocol_does_not_name_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    file = protocol_file(tmp_path / "p.toml", question("new", "old"), models={"new": "e" * 64, "old": MODEL.sha256})
    with pytest.raises(AuditError, match=r"the model phantom-new .* is not in it"):
        compare_runs(ModelsRequest(first=runs[0], second=runs[1], out=tmp_path / "out", protocol=file))


def test_p_values_are_adjusted_for_the_questions_that_are_answered_elsewhere(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    above = SuperiorityQuestion(kind="superiority", name="above blind", margin=0.0)
    alone, two = (
        compare_runs(
            ModelsRequest(
                first=runs[0],
                second=runs[1],
                out=tmp_path / name,
                protocol=protocol_file(tmp_path / f"{name}.toml", question("new", "old"), *more),
            )
        ).record.answers[0]
        for name, more in (("alone", ()), ("two", (above,)))
    )
    assert two.p_margin == pytest.approx(min(2.0 * alone.p_margin, 1.0))
    assert two.p_superior == pytest.approx(min(2.0 * alone.p_superior, 1.0))


def test_a_worse_model_is_neither_superior_nor_shown_to_be_not_inferior(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    request = ModelsRequest(first=runs[1], second=runs[0], out=tmp_path / "out", margin=0.1)
    (answer,) = compare_runs(request).record.answers
    assert answer.conclusion == "not-shown"
    assert (answer.p_margin, answer.p_superior) == (1.0, 1.0)
    assert answer.estimate.estimate < -0.1


def with_other_boxes(record: StudyRecord) -> StudyRecord:
    images = tuple(
        replace(image, boxes=tuple(replace(box, x=box.x + 5.0) for box in image.boxes)) for image in record.images
    )
    return record.model_copy(update={"images": images})


def with_other_size(record: StudyRecord) -> StudyRecord:
    return record.model_copy(update={"images": tuple(replace(image, columns=1160) for image in record.images)})


def exported_again(record: StudyRecord) -> StudyRecord:
    return record.model_copy(update={"fingerprint": FingerprintRecord(inputs={"images": "b"}, settings={}, stamps=())})


def of_one_content(record: StudyRecord) -> StudyRecord:
    return record.model_copy(update={"fingerprint": FingerprintRecord(inputs={"images": "a"}, settings={}, stamps=())})


def test_files_that_differ_in_their_headers_alone_are_paired(tmp_path: Path) -> None:
    first = write_made_up_run(tmp_path / "a", hits=0.5, count=3, changed=of_one_content)
    second = write_made_up_run(tmp_path / "b", hits=0.5, count=3, changed=exported_again)
    assert compare_runs(ModelsRequest(first=first, second=second, out=tmp_path / "out")).record.studies == 3
    other_pictures = write_made_up_run(tmp_path / "c", hits=0.5, count=3, changed=exported_again, other_pictures=True)
    with pytest.raises(OutputError, match="the images of 3 of 3 studies differ"):
        compare_runs(ModelsRequest(first=first, second=other_pictures, out=tmp_path / "other"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"changed": with_other_boxes}, "the boxes that phrases are scored against of . of 3 studies differ"),
        ({"changed": with_other_size}, "the images of 3 of 3 studies differ"),
        ({"seed": 8}, "seed is 7 in A and 8 in B"),
        ({"config": {"scoring": {"fill": "inpainting"}}}, "scoring.fill is other-patients in A and inpainting in B"),
        (
            {"config": {"method": {"hyperparameters": {"m2ib": {"beta": 0.5}}}}},
            "m2ib.beta is not set in A and 0.5 in B",
        ),
    ],
    ids=["boxes", "images", "seed", "fill", "beta"],
)
def test_pairs_that_would_be_unfair_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    config = {"scoring": {"fill": "other-patients"}}
    first = write_made_up_run(tmp_path / "a", hits=0.5, count=3, config=config)
    second = write_made_up_run(tmp_path / "b", hits=0.5, count=3, **({"config": config} | changes))
    with pytest.raises(OutputError, match=message):
        compare_runs(ModelsRequest(first=first, second=second, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_runs_without_a_common_study_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_made_up_run(tmp_path / "b", hits=0.5, count=2)
    for path in (other / "studies").iterdir():
        renamed = path.rename(path.with_name(path.name[::-1]))
        text = (renamed / "record.json").read_text().replace(path.name, renamed.name)
        (renamed / "record.json").write_text(text)
    with pytest.raises(OutputError, match="have no study in common"):
        compare_runs(ModelsRequest(first=runs[0], second=other, out=tmp_path / "out"))


def test_a_changed_table_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_made_up_run(tmp_path / "b", hits=0.5)
    table = pd.read_parquet(other / "scores.parquet")
    table.assign(value=1.0).to_parquet(other / "scores.parquet", index=False)
    with pytest.raises(OutputError, match=r"scores.parquet is not the table that was written"):
        compare_runs(ModelsRequest(first=runs[0], second=other, out=tmp_path / "out"))


def test_a_run_is_never_overwritten(runs: tuple[Path, Path]) -> None:
    for out in (runs[0], runs[1] / "studies"):
        with pytest.raises(AuditError, match="is a folder of a run that is compared"):
            compare_runs(ModelsRequest(first=runs[0], second=runs[1], out=out, overwrite=True))


def test_an_earlier_comparison_is_replaced_only_on_demand(runs: tuple[Path, Path], compared: Path) -> None:
    request = ModelsRequest(first=runs[0], second=runs[1], out=compared, margin=0.1)
    with pytest.raises(OutputError, match="holds a comparison already"):
        compare_runs(request)
    assert compare_runs(replace(request, overwrite=True)).page == compared / "index.html"


def test_a_method_that_only_one_run_has_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="nib is not a method of both runs: they have m2ib in common"):
        compare_runs(ModelsRequest(first=runs[0], second=runs[1], out=tmp_path / "out", method="nib"))


def test_the_summary_has_rates_difference_and_changes(record: ModelComparisonRecord) -> None:
    found = of(record, POINTING)
    said = " ".join(summary_of_models(record))
    assert f"A hits {100 * found.first:.1f} % and B {100 * found.second:.1f} %" in said
    assert f"B wins {found.won} and loses {found.lost}" in said


def test_the_record_is_plain_json(compared: Path) -> None:
    content = json.loads((compared / "comparison.json").read_text("utf-8"))
    assert content["kind"] == "models"
    assert all(np.isfinite(each["first"]) for each in content["differences"])
