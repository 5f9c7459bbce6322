"""The tables of the check of methods: randomised models, repeatability and max-sensitivity."""

from collections.abc import Iterator, Sequence

from reports.comparison_cells import Cell, ComparisonTable, TableRow, laid_out, range_of
from reports.outcomes import method_name
from reports.page import format_number
from reports.sanity_record import MethodSanity, SampleMean
from reports.texts import named, text

__all__ = ["check_tables", "mean_cell"]

_DIGITS = 2
_REPEATED = ("ssim", "spearman", "peak_px")


def check_tables(checked: Sequence[MethodSanity]) -> Iterator[ComparisonTable]:
    """Yield the tables of the check; none where no method was checked."""
    if not checked:
        return
    first = checked[0]
    places = [(stage.tower, stage.blocks, stage.of) for stage in first.stages]
    if places:
        columns = (
            text("sanity.random_pairs"),
            *(text("sanity.stage", tower=named("tower", tower), blocks=blocks, of=of) for tower, blocks, of in places),
            *(text("sanity.verdict", tower=named("tower", tower)) for tower in _towers(checked)),
        )
        rows = tuple(_row(method, _stage_cells(method, _towers(checked))) for method in checked)
        yield laid_out("randomised", columns, rows, rule=text("sanity.rule"))
    changes = [repeated.change for repeated in first.repeatability]
    columns = (
        *(
            text("sanity.repeated", change=named("repeated", change), measure=named("similarity", measure))
            for change in changes
            for measure in _REPEATED
        ),
        text("sanity.max_sensitivity"),
    )
    rows = tuple(_row(method, _repeated_cells(method)) for method in checked)
    yield laid_out("repeated", columns, rows, draws=first.draws, epsilon=f"{first.epsilon:g}")


def _towers(checked: Sequence[MethodSanity]) -> list[str]:
    return list(dict.fromkeys(stage.tower for method in checked for stage in method.stages))


def _row(method: MethodSanity, cells: tuple[Cell, ...]) -> TableRow:
    return TableRow(name=method_name(method.method), is_reference=False, cells=cells)


def _stage_cells(method: MethodSanity, towers: Sequence[str]) -> tuple[Cell, ...]:
    verdicts = {verdict.tower: verdict for verdict in method.verdicts}
    found = (verdicts.get(tower) for tower in towers)  # type: ignore[call-overload] # names of towers
    return (
        mean_cell(method.reference),
        *(mean_cell(stage.ssim) for stage in method.stages),
        *(
            Cell(text="–")
            if verdict is None
            else Cell(
                text=text("sanity.passes") if verdict.passes else text("sanity.fails"),
                beside="" if verdict.is_clear else text("sanity.overlap"),
                is_strong=verdict.passes and verdict.is_clear,
            )
            for verdict in found
        ),
    )


def _repeated_cells(method: MethodSanity) -> tuple[Cell, ...]:
    return (
        *(mean_cell(getattr(repeated, measure)) for repeated in method.repeatability for measure in _REPEATED),
        mean_cell(method.max_sensitivity),
    )


def mean_cell(mean: SampleMean | None) -> Cell:
    """Format a mean with its interval."""
    if mean is None:
        return Cell(text="–")
    return Cell(text=format_number(mean.estimate, _DIGITS), beside=range_of(mean.low, mean.high, _DIGITS))
