"""The flow of files, studies and phrases through an audit, with the exclusions at each step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports.board.inputs import BoardInputs
from reports.outcomes import overall_hits
from reports.run_record import FailureRecord, RunRecord
from reports.texts import counted, named, text

__all__ = ["FlowStep", "flow_steps"]

_OF_STUDIES = {"pixels", "burned-in text", "audit", "reading back"}
"""Stages that exclude images of studies whose files were joined before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStep:
    """One step of the flow: what is in it, and what left it before the next step."""

    title: str
    lines: tuple[str, ...]
    excluded: str = ""  # heading of the exclusions; empty where nothing is excluded
    exclusions: tuple[str, ...] = ()


def flow_steps(inputs: BoardInputs) -> tuple[FlowStep, ...]:
    """List the steps from the files that were given to the phrases that were scored.

    Files, reports and boxes that were excluded are counted by stage: their names and the full reasons are in
    ``failures.csv`` only.
    """
    run, counts = inputs.run, inputs.run.counts
    before = [each for each in run.failures if each.stage not in _OF_STUDIES]
    during = [each for each in run.failures if each.stage in _OF_STUDIES]
    return (
        FlowStep(
            title=text("board.flow.given"),
            lines=_of(counts, image_file="files", report="reports", box_row="box rows"),
            excluded=text("board.flow.excluded") if before else "",
            exclusions=_by_stage(before),
        ),
        FlowStep(
            title=text("board.flow.joined"),
            lines=_of(
                counts, study="studies", image="images", phrase="phrases", absent_phrase="absent phrases", box="boxes"
            ),
            excluded=text("board.flow.not_audited") if during or run.not_done else "",
            exclusions=(*_by_stage(during), *_to_go(run)),
        ),
        FlowStep(
            title=text("board.flow.audited"),
            lines=_of(
                counts,
                study="audited",
                image="images audited",
                phrase="phrases audited",
                absent_phrase="absent phrases audited",
            ),
            excluded=text("board.flow.not_scored") if inputs.unscored else "",
            exclusions=tuple(f"{counted('phrase', count)}: {reason}" for reason, count in inputs.unscored.items()),
        ),
        FlowStep(title=text("board.flow.scored"), lines=_scored(run)),
    )


def _of(counts: dict[str, int], **nouns: str) -> tuple[str, ...]:
    """Count what a run has counted; runs of older versions lack some."""
    return tuple(counted(noun, counts[name]) for noun, name in nouns.items() if name in counts)


def _by_stage(failures: Sequence[FailureRecord]) -> tuple[str, ...]:
    stages = Counter(failure.stage for failure in failures)
    return tuple(f"{count:,} × {named('excluded_at', stage)}" for stage, count in stages.most_common())


def _to_go(run: RunRecord) -> tuple[str, ...]:
    return (text("board.flow.to_go", studies=counted("study", run.not_done)),) if run.not_done else ()


def _scored(run: RunRecord) -> tuple[str, ...]:
    own = overall_hits(run)
    if own is None:
        return (counted("scored_phrase", 0),)
    return (
        counted("scored_phrase", own.scored),
        text("board.flow.of_patients", patients=counted("patient", own.patients)),
    )
