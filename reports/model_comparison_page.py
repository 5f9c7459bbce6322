"""The page of a comparison of two models, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from reports.comparison_cells import Cell, ComparisonTable, TableRow, digits_of, laid_out, range_of, signed
from reports.model_comparison_record import ChangedPhrase, MarginAnswer, ModelComparisonRecord, ModelDifference
from reports.model_gallery import GalleryPair
from reports.outcomes import method_name
from reports.page import format_number, format_p, render_page
from reports.run_record import Estimate
from reports.score_catalogue import (
    COSINE,
    FEW_PATIENTS,
    PERCENTILE,
    POINTING,
    RELIANCE,
    ScoreKind,
    excels,
    score_name,
)
from reports.texts import counted, text

__all__ = ["answer_sentence", "model_tables", "render_model_comparison", "render_model_study", "summary_of_models"]

_THREE_ANSWERS = (PERCENTILE, RELIANCE, POINTING)


def render_model_comparison(record: ModelComparisonRecord, gallery: Sequence[GalleryPair]) -> str:
    """Render the page: one self-contained HTML file with links to the pages of both runs."""
    context = {
        "record": record,
        "method": method_name(record.method),
        "summary": summary_of_models(record),
        "answers": [answer_sentence(answer) for answer in record.answers],
        "standing": _standing(record),
        "tables": model_tables(record),
        "galleries": _galleries(record, gallery),
    }
    return render_page("model_comparison.html", script="vendor/chart.min.js", data={}, context=context)


def render_model_study(record: ModelComparisonRecord, study: str, pairs: Sequence[GalleryPair]) -> str:
    """Render the page of one study, with the heat of both models for each phrase."""
    context = {"record": record, "study": study, "method": method_name(record.method), "pairs": pairs}
    return render_page("model_study.html", script="vendor/chart.min.js", data={}, context=context)


def summary_of_models(record: ModelComparisonRecord) -> tuple[str, ...]:
    """Summarise the comparison in a few sentences; differences are those of B minus A."""
    phrases, studies = counted("phrase", record.phrases), counted("study", record.studies)
    patients = counted("patient", record.patients)
    first = text("models.compared", phrases=phrases, studies=studies, patients=patients)
    hits = _of(record.differences, POINTING, record.method)
    if hits is None:
        return first, text("summary.none_scored")
    scored = text(
        "models.hits",
        scored=counted("scored_phrase", hits.cases),
        first=_percent(hits.first),
        second=_percent(hits.second),
        difference=_points(hits.difference),
        won=f"{hits.won:,}",
        lost=f"{hits.lost:,}",
    )
    return first, scored


def _of(differences: Sequence[ModelDifference], score: str, method: str) -> ModelDifference | None:
    """Return the difference of a score over all phrases."""
    chosen = (score, method, None, "micro")
    return next(
        (each for each in differences if (each.score, each.method, each.finding, each.averaging) == chosen), None
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _points(difference: Estimate | None) -> str:
    if difference is None:
        return text("models.no_interval")
    low, high = (signed(100.0 * end, 1) for end in (difference.low, difference.high))
    estimate = signed(100.0 * difference.estimate, 1)
    return text("models.points", estimate=estimate, low=low, high=high)


def answer_sentence(answer: MarginAnswer) -> str:
    """Say in a sentence what was asked of the hits, and what was shown."""
    asked = text("models.unplanned_question") if answer.question is None else answer.question
    values = {"model": answer.model, "other": answer.compared_with}
    concluded = _concluded(answer, values)
    if answer.estimate is None:
        return text("models.answer_without_estimate", asked=asked, concluded=concluded)
    return text(
        "models.answer",
        **values,
        asked=asked,
        concluded=concluded,
        difference=_points(answer.estimate),
        level=f"{100.0 * (1.0 - answer.alpha):g}",
        p=_p_values(answer),
    )


def _concluded(answer: MarginAnswer, values: Mapping[str, str]) -> str:
    if answer.conclusion == "superior":
        return text("models.conclusion.superior", **values)
    if answer.margin == 0.0:
        return text("models.conclusion.not-superior", **values)
    return text(f"models.conclusion.{answer.conclusion}", **values, margin=f"{100.0 * answer.margin:g}")


def _p_values(answer: MarginAnswer) -> str:
    superior = format_p(answer.p_superior)
    if answer.margin == 0.0:
        return text("models.p_superior", p=superior)
    return text("models.p_both", p=format_p(answer.p_margin), superior=superior)


def _standing(record: ModelComparisonRecord) -> str:
    if record.protocol_sha256 is None:
        return text("models.standing.none")
    standing = text(f"models.standing.{'before' if record.planned else 'after'}")
    rule = text(f"models.rule.{record.multiplicity}")
    return f"{standing} {rule}"


# Tables -----------------------------------------------------------------------------------------------------------


def model_tables(record: ModelComparisonRecord) -> tuple[ComparisonTable, ...]:
    """Return all tables with measured values."""
    tables = [_answers_by_finding(record), *(_scores(record, kind) for kind in get_args(ScoreKind)), _hits(record)]
    return tuple(table for table in tables if table is not None)


def _answers_by_finding(record: ModelComparisonRecord) -> ComparisonTable | None:
    """Format recognition, reliance and localisation over all phrases and for each finding."""
    found = {
        (each.score, each.finding): each
        for each in record.differences
        if each.averaging == "micro" and each.score in _THREE_ANSWERS and each.method in {COSINE, record.method}
    }
    findings = sorted({finding for _, finding in found if finding is not None})
    if not found:
        return None
    rows = [
        TableRow(
            name=text("models.all_findings") if finding is None else finding,
            is_reference=False,
            cells=tuple(_difference_cell(found.get((score, finding))) for score in _THREE_ANSWERS),
        )
        for finding in (None, *findings)
    ]
    columns = (text(f"models.answer_column.{kind}") for kind in ("recognition", "reliance", "localisation"))
    return laid_out("models-answers", columns, tuple(rows), of_rows="finding", few=FEW_PATIENTS)


def _scores(record: ModelComparisonRecord, kind: ScoreKind) -> ComparisonTable | None:
    """Format every score of one kind over all phrases."""
    chosen = [each for each in record.differences if each.kind == kind and each.finding is None]
    if not chosen:
        return None
    several = len({each.method for each in chosen}) > 1
    rows = tuple(TableRow(name=_name(each, several=several), is_reference=False, cells=_cells(each)) for each in chosen)
    columns = (*(text(f"models.column.{name}") for name in ("first", "second", "difference", "better", "cases")),)
    return laid_out(f"models-{kind}", columns, rows, of_rows="score")


def _name(each: ModelDifference, *, several: bool) -> str:
    name = score_name(each.score)
    if several:
        name = text("models.of_method", score=name, method=method_name(each.method))
    return text("models.macro", score=name) if each.averaging == "macro" else name


def _cells(each: ModelDifference) -> tuple[Cell, ...]:
    digits = digits_of(max(abs(each.first), abs(each.second)))
    return (
        Cell(text=format_number(each.first, digits)),
        Cell(text=format_number(each.second, digits)),
        _difference_cell(each),
        Cell(text=_better(each)),
        Cell(text=f"{each.cases:,}", beside=_alone(each)),
    )


def _alone(each: ModelDifference) -> str:
    """Say how many phrases only one of the models was scored on."""
    return text("models.alone", first=each.unpaired[0], second=each.unpaired[1]) if any(each.unpaired) else ""


def _difference_cell(each: ModelDifference | None) -> Cell:
    if each is None or each.difference is None:
        return Cell(text="–")
    digits = digits_of(each.difference.estimate)
    beside = range_of(each.difference.low, each.difference.high, digits)
    return Cell(text=signed(each.difference.estimate, digits), beside=beside, is_strong=_winner(each) is not None)


def _winner(each: ModelDifference) -> str | None:
    """Return the model that is better with the whole interval of the difference; None where neither is."""
    if each.difference is None:
        return None
    for model, higher in (("B", not each.lower_is_better), ("A", each.lower_is_better)):
        if excels(each.difference, higher_is_better=higher):
            return model
    return None


def _better(each: ModelDifference) -> str:
    if each.difference is None:
        return "–"
    if each.patients < FEW_PATIENTS:
        return text("common.too_few")
    return _winner(each) or text("models.neither")


def _hits(record: ModelComparisonRecord) -> ComparisonTable | None:
    """Format the phrases won and lost, with the exact test of McNemar."""
    chosen = [
        each
        for each in record.differences
        if each.won is not None and each.method == record.method and each.score == POINTING
    ]
    if not chosen:
        return None
    rows = tuple(
        TableRow(
            name=text("models.all_findings") if each.finding is None else each.finding,
            is_reference=False,
            cells=(
                *(Cell(text=f"{count:,}") for count in (each.won, each.lost, each.cases, each.patients)),
                Cell(text=format_p(each.mcnemar)),
            ),
        )
        for each in chosen
    )
    columns = (*(text(f"models.column.{name}") for name in ("won", "lost", "cases", "patients", "mcnemar")),)
    return laid_out("models-hits", columns, rows, of_rows="finding")


# Gallery ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The phrases won, or those lost."""

    key: str
    title: str
    pairs: tuple[GalleryPair, ...]
    more: str  # how many have no pictures; empty if all have


def _galleries(record: ModelComparisonRecord, pairs: Sequence[GalleryPair]) -> tuple[Gallery, ...]:
    found = []
    for place, change in enumerate(("won", "lost")):
        shown = tuple(pair for pair in pairs if isinstance(pair.phrase, ChangedPhrase) and pair.phrase.change == change)
        total = _count(record.changed, change)
        if not total:
            continue
        studies = counted("study", record.changed_studies[place])
        found.append(
            Gallery(
                key=change,
                title=text(f"models.gallery.{change}", phrases=counted("phrase", total), studies=studies),
                pairs=shown,
                more="" if len(shown) == total else text("models.more", phrases=counted("phrase", total - len(shown))),
            )
        )
    return tuple(found)


def _count(changed: Sequence[ChangedPhrase], change: str) -> int:
    return sum(each.change == change for each in changed)
