"""The result of the check of methods as text for a terminal, as CSV and as JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipelines.quoting import counted
from reports.sanity_record import MethodSanity, SampleMean, TowerVerdict
from reports.texts import text
from reports.writing import write_text_atomically

__all__ = ["as_text", "sanity_rows", "write_sanity"]

_STAGE_TITLES = {
    "ssim": "image heat, SSIM",
    "spearman": "image heat, Spearman",
    "words_spearman": "word heat, Spearman",
    "cosine": "cosine",
}
_REPEAT_TITLES = {
    "ssim": "image heat, SSIM",
    "spearman": "image heat, Spearman",
    "peak_px": "distance of peaks, px",
}
_WIDTH = 26


def as_text(methods: Sequence[MethodSanity], *, model: str, seed: int, refused: Mapping[str, str]) -> str:
    """Format the result for a terminal: the verdicts with their figures, then all stages and changes."""
    lines = []
    for method in methods:
        lines += [f"{method.method} on {model}, {counted(method.phrases, 'phrase')}, seed {seed}", ""]
        lines += [*_verdicts(method), "", *_stages(method), "", *_repeatability(method), ""]
    lines += [f"{name} was not checked: {reason}" for name, reason in refused.items()]
    return "\n".join([*lines, text("sanity.rule"), "95 % intervals over patients."])


def _verdicts(method: MethodSanity) -> Iterator[str]:
    reference = f"{_format(method.reference)}, mean SSIM of {counted(method.random_pairs, 'random pair')} of maps"
    if method.reference is None:
        yield "no verdict: random pairs of maps need at least three patients"
    elif not method.verdicts:
        yield "no verdict: the heat is flat when all blocks are random"
    for verdict in method.verdicts:
        sign = "<" if verdict.passes else ">="
        doubt = "" if verdict.is_clear else "; the intervals overlap"
        yield f"{_word(verdict)}  {verdict.tower} tower: {_format(verdict.ssim)} {sign} {reference}{doubt}"


def _word(verdict: TowerVerdict) -> str:
    return "pass" if verdict.passes else "FAIL"


def _stages(method: MethodSanity) -> Iterator[str]:
    if not method.stages:
        return
    yield "similarity to the heat of the trained model while blocks are randomised from the top:"
    yield _row(f"{'tower':<7}{'random':>8}", _STAGE_TITLES.values())
    for stage in method.stages:
        head = f"{stage.tower:<7}{f'{stage.blocks} of {stage.of}':>8}"
        yield _row(head, [_format(getattr(stage, name)) for name in _STAGE_TITLES])


def _repeatability(method: MethodSanity) -> Iterator[str]:
    yield "similarity to the heat of the same image and phrase after a change that should not matter:"
    yield _row(f"{'change':<15}", _REPEAT_TITLES.values())
    for repeated in method.repeatability:
        yield _row(f"{repeated.change:<15}", [_format(getattr(repeated, name)) for name in _REPEAT_TITLES])
    yield (
        f"max-sensitivity {_format(method.max_sensitivity)}: largest relative change of the heat over {method.draws} "
        f"draws of noise of up to {method.epsilon:g} of the display range"
    )


def _row(head: str, cells: Iterable[str]) -> str:
    return f"{head}  {''.join(f'{cell:<{_WIDTH}}' for cell in cells)}".rstrip()


def _format(mean: SampleMean | None) -> str:
    if mean is None:
        return "-"
    if mean.low is None or mean.high is None:
        return f"{mean.estimate:.2f} [too few patients]"
    return f"{mean.estimate:.2f} [{mean.low:.2f}, {mean.high:.2f}]"


def sanity_rows(methods: Sequence[MethodSanity]) -> list[dict[str, object]]:
    """Return one row for each mean: method, what was done, the measure, and the mean with its interval."""
    return [row for method in methods for row in _rows(method)]


def _rows(method: MethodSanity) -> Iterator[dict[str, object]]:
    passes = {(verdict.tower, "ssim"): verdict.passes for verdict in method.verdicts}
    yield _mean_row(method, "random pairs", "ssim", method.reference)
    for stage in method.stages:
        for name in _STAGE_TITLES:
            row = _mean_row(method, f"{stage.tower} tower randomised", name, getattr(stage, name))
            done = stage.blocks == stage.of
            yield row | {"blocks": stage.blocks, "passes": passes.get((stage.tower, name)) if done else None}
    for repeated in method.repeatability:
        for name in _REPEAT_TITLES:
            yield _mean_row(method, repeated.change, name, getattr(repeated, name))
    yield _mean_row(method, "noise", "max-sensitivity", method.max_sensitivity)


def _mean_row(method: MethodSanity, what: str, measure: str, mean: SampleMean | None) -> dict[str, object]:
    values = dict.fromkeys(SampleMean.model_fields) if mean is None else mean.model_dump()
    return {"method": method.method, "change": what, "blocks": None, "measure": measure, **values, "passes": None}


def write_sanity(path: Path, methods: Sequence[MethodSanity]) -> None:
    """Write every mean with its interval: CSV or JSON, as the file's suffix says.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.suffix.casefold() == ".csv":
        write_text_atomically(path, pd.DataFrame(sanity_rows(methods)).to_csv(index=False))
        return
    content = {"rule": text("sanity.rule"), "methods": [method.model_dump(mode="json") for method in methods]}
    write_text_atomically(path, json.dumps(content, indent=1) + "\n")
