"""Progress on stderr: one bar per stage with rate and remaining time, or a line per tenth of a stage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["format_rate", "progress_bar"]


class _RateColumn(ProgressColumn):
    """Column with the items per second."""

    def render(self, task: Task) -> Text:
        """Render the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else format_rate(speed), style="progress.data.speed")


class _CountColumn(ProgressColumn):
    """Column with the number of finished items and the total."""

    def render(self, task: Task) -> Text:
        """Render both numbers."""
        total = "?" if task.total is None else f"{task.total:,.0f}"
        return Text(f"{task.completed:,.0f} of {total}", style="progress.download")


def format_rate(per_second: float) -> str:
    """Format a rate with two significant figures: "130,000 a second", "2.4 a second", "8 a minute"."""
    if per_second >= 1:
        return f"{_to_two_figures(per_second)} a second"
    return f"{_to_two_figures(60 * per_second)} a minute"


def _to_two_figures(value: float) -> str:
    if value < 10:
        return f"{value:.1f}"
    step = 10 ** (len(str(round(value))) - 2)
    return f"{round(value / step) * step:,}"


@contextmanager
def progress_bar(*, lines: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (stage, done, total) that updates the stage's bar.

    Args:
        lines: print a line at each tenth of a stage if stderr is not a terminal, instead of nothing.
    """
    console = Console(stderr=True)
    if lines and not console.is_terminal:
        yield _tenths(lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _CountColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def move(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield move


def _tenths(print_line: Callable[[str], None]) -> Callable[[str, int, int], None]:
    printed: dict[str, int] = {}

    def move(stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > printed.get(stage, 0):
            printed[stage] = tenth
            print_line(f"{stage} {done:,} of {total:,}")

    return move
