"""One card per method of a comparison: what it is, what it costs, how well it does, and whether it can be trusted."""

from collections.abc import Iterator
from dataclasses import dataclass

from reports.comparison_cells import Cell, is_better, range_of, signed
from reports.comparison_record import ComparedMethod, ComparedScore, ComparisonRecord
from reports.method_checks import mean_cell
from reports.outcomes import method_name, reference_name
from reports.page import format_number
from reports.sanity_record import MethodSanity, Repeatability, TowerVerdict
from reports.score_catalogue import (
    FEW_PATIENTS,
    POINTING,
    WORD_REFERENCES,
    WORDS_AS_LEFT_OUT,
    WORDS_ON_FINDING,
    WORDS_ON_PLACE,
    WORDS_RANK,
    method_behind,
    score_name,
)
from reports.texts import all_texts, counted, named, text

__all__ = ["MethodCard", "method_cards"]

_DIGITS = 2
_WORDS = (WORDS_ON_FINDING, WORDS_ON_PLACE, WORDS_RANK, WORDS_AS_LEFT_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """One method in a few lines."""

    name: str
    about: str  # what it is; empty for a method that the texts do not describe
    facts: tuple[tuple[str, str], ...]  # what was measured, and the figures


def method_cards(record: ComparisonRecord) -> tuple[MethodCard, ...]:
    """Make a card for each method that explains the model, in the order of the comparison."""
    checked = {each.method: each for each in record.sanity}
    return tuple(
        MethodCard(
            name=method_name(method.name),
            about=text(f"about.{method.name}") if f"about.{method.name}" in all_texts() else "",
            facts=(
                (text("card.cost"), _cost(method)),
                *_scores(record, method.name),
                *_checks(checked.get(method.name)),
            ),
        )
        for method in record.methods
        if method.refused is None
    )


def _cost(method: ComparedMethod) -> str:
    if method.seconds_with_words is None:
        return text("card.seconds", seconds=format_number(method.seconds_image, _DIGITS))
    return text(
        "card.seconds_with_words",
        seconds=format_number(method.seconds_image, _DIGITS),
        with_words=format_number(method.seconds_with_words, _DIGITS),
    )


def _scores(record: ComparisonRecord, method: str) -> Iterator[tuple[str, str]]:
    overall = [score for score in record.scores if (score.finding, score.averaging) == (None, "micro")]
    found = {(score.method, score.score): score for score in overall if score.estimate is not None}
    pointing = found.get((method, POINTING))
    if pointing is not None:
        own = [score for (name, of), score in found.items() if of == POINTING and _is_made_from(method, name)]
        beside = [_reference(reference_name(score.method), score) for score in own]
        yield score_name(POINTING), "; ".join([_pointing(pointing), *beside])
    for name in _WORDS:
        score = found.get((method, name))
        if score is not None:
            references = [found[each, name] for each in WORD_REFERENCES if (each, name) in found]
            figures = (_reference(method_name(each.method), each) for each in references)
            yield score_name(name), "; ".join([_figure(score), *figures])


def _figure(score: ComparedScore) -> str:
    return _with_range(format_number(score.estimate, _DIGITS), range_of(score.low, score.high, _DIGITS))


def _is_made_from(method: str, reference: str) -> bool:
    behind = method_behind(reference)
    return behind is not None and behind[1] == method


def _reference(name: str, score: ComparedScore) -> str:
    return text("card.reference", name=name, estimate=format_number(score.estimate, _DIGITS))


def _with_range(estimate: str, ends: str) -> str:
    return text("card.with_interval", estimate=estimate, range=ends) if ends else estimate


def _pointing(score: ComparedScore) -> str:
    difference = score.to_reference
    if difference is None:
        return _figure(score)
    figures = {
        "reference": reference_name(difference.reference),
        "difference": signed(difference.estimate, _DIGITS),
        "range": range_of(difference.low, difference.high, _DIGITS),
    }
    if difference.patients < FEW_PATIENTS:
        over = text("card.few", patients=counted("patient", difference.patients), **figures)
    elif is_better(difference):
        over = text("card.better", **figures)
    else:
        over = text("card.not_better", **figures)
    return f"{_figure(score)}; {over}"


def _checks(method: MethodSanity | None) -> Iterator[tuple[str, str]]:
    if method is None:
        return
    for verdict in method.verdicts:
        yield (
            text("card.randomised", tower=named("tower", verdict.tower)),
            _verdict(verdict, mean_cell(method.reference)),
        )
    for repeated in method.repeatability:
        yield named("repeated", repeated.change), _repeated(repeated)
    yield text("sanity.max_sensitivity"), _cell(mean_cell(method.max_sensitivity))


def _verdict(verdict: TowerVerdict, reference: Cell) -> str:
    figures = {"ssim": _cell(mean_cell(verdict.ssim)), "reference": _cell(reference)}
    said = text("card.passes", **figures) if verdict.passes else text("card.fails", **figures)
    return said if verdict.is_clear else f"{said}; {text('sanity.overlap')}"


def _repeated(repeated: Repeatability) -> str:
    ssim, spearman, peak = (_cell(mean_cell(each)) for each in (repeated.ssim, repeated.spearman, repeated.peak_px))
    return text("card.repeated", ssim=ssim, spearman=spearman, peak=peak)


def _cell(cell: Cell) -> str:
    return _with_range(cell.text, cell.beside)
