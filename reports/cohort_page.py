"""The cohort page: charts, the score table, and differences to references with the outcome in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from reports.absence import absence_headings, absence_rows, absence_summary
from reports.cases import CaseLists
from reports.grounding import cosine_rows, grounding_rows, grounding_summary, recall_sentence, sample_sentence
from reports.orientations import TurnedImages
from reports.outcomes import best_reference, cohort_summary, method_name, reference_name
from reports.page import render_page
from reports.planned import planned_view
from reports.record import StudyRecord
from reports.run_record import RunRecord, ScoreDifference, ScoreSummary
from reports.score_catalogue import (
    BLIND_METHODS,
    FEW_PATIENTS,
    FEW_PHRASES,
    HUMAN,
    POINTING,
    SCORES,
    WORD_REFERENCES,
    excels,
    kind_of,
    names_on_pages,
    score_name,
)
from reports.study_table import StudyTable
from reports.subgroup_table import subgroup_rows, subgroup_tests
from reports.texts import counted, text
from reports.verdicts import (
    control_rows,
    evidence_sentences,
    faithfulness_rows,
    shortcut_rows,
    verdict_views,
)
from reports.word_tables import word_score_rows

__all__ = ["DifferenceRow", "DifferenceTable", "difference_table", "render_cohort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """One score of the audited method, and its difference to each reference."""

    name: str
    summary: ScoreSummary
    cells: tuple[ScoreDifference | None, ...]  # one a reference; None where no phrase has both
    outcome: str  # in words
    is_above: bool  # over every content-blind reference
    higher_is_better: bool

    def excels(self, difference: ScoreDifference) -> bool:
        """Return True if the method is better than a reference beyond chance."""
        return excels(difference, higher_is_better=self.higher_is_better)


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceTable:
    """Every score over all phrases against every reference."""

    references: tuple[str, ...]  # as a sentence names them
    rows: tuple[DifferenceRow, ...]
    has_reader: bool  # among the references


def difference_table(run: RunRecord) -> DifferenceTable | None:
    """Return a run's differences as a table; None if it has none."""
    own = [
        summary
        for summary in run.summaries
        if (summary.method, summary.finding, summary.averaging) == (run.method, None, "micro")
        and kind_of(summary.score) == "localisation"
        and summary.differences
    ]
    references = tuple(dict.fromkeys(each.reference for summary in own for each in summary.differences))
    if not references:
        return None
    return DifferenceTable(
        references=tuple(reference_name(reference) for reference in references),
        rows=tuple(_row(summary, references) for summary in own),
        has_reader=HUMAN in references,
    )


def _row(summary: ScoreSummary, references: Sequence[str]) -> DifferenceRow:
    by_reference = {difference.reference: difference for difference in summary.differences}
    blind = [difference for difference in summary.differences if difference.reference in BLIND_METHODS]
    higher = SCORES[summary.score].higher_is_better
    unbeaten = [reference_name(each.reference) for each in blind if not excels(each, higher_is_better=higher)]
    fewest = min((difference.patients for difference in blind), default=0)
    if blind and fewest < FEW_PATIENTS:
        outcome = text("difference.few", patients=counted("patient", fewest))
    elif not blind:
        outcome = text("difference.no_reference")
    elif unbeaten:
        outcome = text("difference.not_above", references=", ".join(unbeaten))
    else:
        outcome = text("difference.above")
    return DifferenceRow(
        name=SCORES[summary.score].label if higher else f"{SCORES[summary.score].label} ↓",
        summary=summary,
        cells=tuple(by_reference.get(reference) for reference in references),
        outcome=outcome,
        is_above=bool(blind) and not unbeaten,
        higher_is_better=higher,
    )


_LIBRARIES = ("vendor/chart.min.js", "vendor/table.min.js")
_SCRIPTS = ("review_storage.js", *_LIBRARIES, "chart.js", "save.js", "sortable.js", "cohort.js")
_MOST_FAILURES = 500  # rows of a list; failures.csv has all


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRow:
    """One method's estimate of one score."""

    name: str
    is_subject: bool
    summary: ScoreSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One score over all phrases, method by method."""

    name: str
    reference: float | None  # the best content-blind estimate
    rows: tuple[ChartRow, ...]
    macro: ScoreSummary | None  # of the audited method


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """The pointing game for one finding."""

    finding: str
    summary: ScoreSummary
    is_few: bool
    blind_name: str | None  # the content-blind reference that scores highest on this finding
    blind: float | None


def render_cohort(
    run: RunRecord,
    studies: Iterable[StudyRecord],
    *,
    thumbnails: Mapping[str, bytes | str] = MappingProxyType({}),
) -> str:
    """Render the cohort page, one HTML file next to the folder ``studies``.

    Args:
        run: The run with its score summaries and all exclusions.
        studies: The studies in the order of the table; read once, one by one, and not stored.
        thumbnails: Small PNG pictures by ``StudyRecord.key``, or the names of their files in the studies' folders; a
            study without an entry has none. An entry must exist when its study is read.
    """
    table, cases, turned = StudyTable(), CaseLists(run), TurnedImages()
    for study in studies:
        table.add(study, thumbnails.get(study.key))
        cases.add(study)
        turned.add(study)
    grounding = grounding_rows(run)
    context = {
        "run": run,
        "method": method_name(run.method),
        "summary": cohort_summary(run, studies=table.studies, phrases=table.phrases),
        "charts": _charts(run),
        "differences": difference_table(run),
        "planned": planned_view(run),
        "verdicts": verdict_views(run),
        "cases_by_reason": cases.by_reason(),
        "cases_by_energy": cases.by_energy(),
        "grounding": grounding,
        "grounding_summary": grounding_summary(grounding),
        "cosine_tests": cosine_rows(run),
        "compared": [sentence for sentence in (sample_sentence(run), recall_sentence(run)) if sentence],
        "absence": absence_rows(run),
        "absence_summary": absence_summary(run),
        "absence_headings": absence_headings(),
        "controls": control_rows(run),
        "evidence": evidence_sentences(run),
        "shortcuts": shortcut_rows(run),
        "faithfulness": faithfulness_rows(run),
        "words": word_score_rows(run),
        "word_references": tuple(method_name(name) for name in WORD_REFERENCES),
        "subgroups": subgroup_rows(run),
        "subgroup_tests": subgroup_tests(run),
        "findings": _finding_rows(run),
        "turned": turned,
        "table": table,
        "most_failures": _MOST_FAILURES,
        "failed": [failure for failure in run.failures if failure.failed],
        "left_out": [failure for failure in run.failures if not failure.failed],
        "seconds": (run.finished - run.created).total_seconds(),
        "few": FEW_PHRASES,
        "few_patients": FEW_PATIENTS,
    }
    return render_page(
        "cohort.html",
        script="review_migration.js",
        data=table.data(),
        context=context,
        also=_SCRIPTS,
        has_files=table.has_files,
    )


def _charts(run: RunRecord) -> tuple[Chart, ...]:
    shown = names_on_pages()
    overall = [each for each in run.summaries if each.finding is None and each.score in shown]
    charts = []
    for score in dict.fromkeys(summary.score for summary in overall):
        micro = [summary for summary in overall if (summary.score, summary.averaging) == (score, "micro")]
        if not micro:
            continue
        best = best_reference(run, score=score)
        macro = [summary for summary in overall if (summary.score, summary.averaging) == (score, "macro")]
        charts.append(
            Chart(
                name=score_name(score),
                reference=None if best is None else best.estimate,
                rows=tuple(_chart_row(summary, run.method) for summary in _subject_first(micro, run.method)),
                macro=next((summary for summary in macro if summary.method == run.method), None),
            )
        )
    return tuple(charts)


def _chart_row(summary: ScoreSummary, subject: str) -> ChartRow:
    return ChartRow(name=method_name(summary.method), is_subject=summary.method == subject, summary=summary)


def _subject_first(summaries: Sequence[ScoreSummary], subject: str) -> list[ScoreSummary]:
    return sorted(summaries, key=lambda summary: (summary.method != subject, summary.method in BLIND_METHODS))


def _finding_rows(run: RunRecord) -> tuple[FindingRow, ...]:
    own = [s for s in run.summaries if s.finding is not None and (s.score, s.method) == (POINTING, run.method)]
    rows = []
    for summary in sorted(own, key=lambda each: (-each.scored, each.finding or "")):
        blind = best_reference(run, finding=summary.finding)
        rows.append(
            FindingRow(
                finding=summary.finding or "",
                summary=summary,
                is_few=summary.scored < FEW_PHRASES,
                blind_name=None if blind is None else method_name(blind.method),
                blind=None if blind is None else blind.estimate,
            )
        )
    return tuple(rows)
