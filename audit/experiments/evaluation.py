"""Samples pairs from a table, measures them row by row and averages; an interrupted run can be resumed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from audit.attribution.engine import Method
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.execution.prepare import device_name, fit_of, pick_device, software_versions
from audit.experiments.evaluation_pairs import (
    CUT_CAPTION,
    STRETCHED,
    LoadedPair,
    Measurement,
    append,
    load_pair,
    measure,
    read_measurements,
    rewrite,
)
from audit.experiments.evaluation_settings import EvaluationConfig, check_methods, methods_of, text_mask_of
from audit.experiments.evaluation_summary import Mean, as_csv, summarise
from audit.experiments.pair_table import PairRow, PairTable, read_pair_table
from audit.faithfulness.confidence import TextMask
from audit.privacy.messages import Message
from pipelines.errors import InputError, OutputError
from reports.writing import write_text_atomically

__all__ = ["EvaluationResult", "evaluate_table"]

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""

_PAIRS_AT_ONCE = {"cpu": 8, "cuda": 128}  # read, then explained together


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The result of an evaluation."""

    means: tuple[Mean, ...]
    text_mask: TextMask  # how the heat of words became their weights
    model: str
    terms: str  # under which the model may be used; a phantom encoder's say that it knows no patients
    table_rows: int
    pairs: int  # drawn
    failed: tuple[Measurement, ...]  # one a pair and method
    cut_captions: int  # longer than the model's context
    stretched: int  # pictures of more than 8 bits, which were stretched over their own range
    kept: int  # rows of an earlier run that were not computed again

    @property
    def messages(self) -> tuple[Message, ...]:
        """One message per pair that could not be measured, with row, image and reason as in the results."""
        pairs = {row.row: row for row in self.failed}.values()
        sentences = [f"row {row.row} ({row.image or 'no image'}): {row.error}" for row in pairs]
        return tuple(Message(masked=sentence, for_owner=sentence) for sentence in sentences)


def evaluate_table(
    settings: EvaluationConfig, *, progress: Progress = lambda _stage, _done, _total: None
) -> EvaluationResult:
    """Sample pairs from a table, measure each method's confidence drop and increase, and average.

    ``NAME.run.json``, written first, records what was run; ``NAME.summary.json`` and ``.csv``, written last, hold the
    means. Everything that can fail early is checked before anything is written.

    Raises:
        AuditError: the evaluation could not start, or its file could not be written.
    """
    check_methods(settings)
    out = _Files.beside(settings.output_path)
    out.check(settings)
    table = read_pair_table(settings.data_path, image_root=settings.image_root)
    drawn = table.draw(settings.pairs, seed=settings.method.seed)
    _check_drawn(table, drawn)
    device = pick_device(settings.model.device)
    encoder = load_encoder(settings.model.model, device=device, fit=fit_of(settings.model, auto="own"))
    methods = methods_of(settings, encoder)
    record = _record(settings, table, encoder, methods, device)
    kept = out.begin(record, resume=settings.resume)
    work = _Work(
        table=table,
        encoder=encoder,
        methods=methods,
        device=device,
        seed=settings.method.seed,
        text_mask=text_mask_of(settings),
    )
    _measure_all(work, drawn, kept, out.rows, progress)
    measurements = read_measurements(out.rows)
    means = summarise(measurements)
    out.end(record, means, measurements)
    return EvaluationResult(
        means=means,
        text_mask=work.text_mask,
        model=encoder.info.name,
        terms=encoder.info.terms,
        table_rows=table.rows,
        pairs=len(drawn),
        failed=tuple(row for row in measurements if row.error is not None),
        cut_captions=_noted(measurements, CUT_CAPTION),
        stretched=_noted(measurements, STRETCHED),
        kept=len(kept),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One table, one model and its methods."""

    table: PairTable
    encoder: DualEncoder
    methods: tuple[Method, ...]
    device: torch.device
    seed: int
    text_mask: TextMask

    def load(self, row: PairRow) -> LoadedPair | str:
        return load_pair(self.table, row, self.encoder, device=self.device, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """The files of an evaluation, all in one folder."""

    rows: Path
    run: Path
    summary: Path
    summary_table: Path

    @classmethod
    def beside(cls, rows: Path) -> "_Files":
        return cls(
            rows=rows,
            run=rows.with_suffix(".run.json"),
            summary=rows.with_suffix(".summary.json"),
            summary_table=rows.with_suffix(".summary.csv"),
        )

    def check(self, settings: EvaluationConfig) -> None:
        """Refuse a name that is not a table's, a missing folder, and an existing file that is not to be replaced."""
        if self.rows.suffix.casefold() != ".csv":
            raise OutputError(f"--output-path {self.rows}: it is a CSV file; give it the suffix .csv")
        if not self.rows.parent.is_dir():
            raise OutputError(f"--output-path {self.rows}: its folder is not there; make it first")
        if settings.resume and settings.overwrite:
            raise OutputError("--resume goes on and --overwrite begins again: give one of them")
        if self.rows.exists() and not (settings.resume or settings.overwrite):
            raise OutputError(
                f"--output-path {self.rows}: the file is there already; --resume goes on with it, --overwrite replaces "
                "it"
            )

    def begin(self, record: dict[str, Any], *, resume: bool) -> tuple[Measurement, ...]:
        """Write the record of the run, and keep the rows of a resumed run; rows with an error are measured again."""
        kept: tuple[Measurement, ...] = ()
        if resume and self.rows.exists():
            self._refuse_other_settings(record)
            kept = tuple(row for row in read_measurements(self.rows) if row.error is None)
        for old in (self.summary, self.summary_table):
            old.unlink(missing_ok=True)
        write_text_atomically(self.run, json.dumps(record, indent=1) + "\n")
        rewrite(self.rows, kept)
        return kept

    def end(self, record: dict[str, Any], means: Sequence[Mean], measurements: Sequence[Measurement]) -> None:
        """Write the means."""
        content = {
            **record,
            "pairs": len({row.row for row in measurements}),
            "failed": len({row.row for row in measurements if row.error is not None}),
            "means": [asdict(mean) for mean in means],
        }
        write_text_atomically(self.summary, json.dumps(content, indent=1) + "\n")
        write_text_atomically(self.summary_table, as_csv(means))

    def _refuse_other_settings(self, record: dict[str, Any]) -> None:
        try:
            before = dict(json.loads(self.run.read_text(encoding="utf-8"))["settings"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise OutputError(f"{self.run} cannot be read, which says what was run: give --overwrite") from error
        now = record["settings"]
        other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if other:
            raise OutputError(
                f"{self.rows} was made with other settings ({', '.join(other)}): give the same, or --overwrite"
            )


def _noted(measurements: Sequence[Measurement], note: str) -> int:
    """Return the number of pairs with this note."""
    return len({row.row for row in measurements if row.note is not None and note in row.note})


def _record(
    settings: EvaluationConfig,
    table: PairTable,
    encoder: DualEncoder,
    methods: Sequence[Method],
    device: torch.device,
) -> dict[str, Any]:
    """Return the record of the run. A resumed run must have the same ``settings``, but may use another device."""
    return {
        "settings": {
            "table": table.path.name,
            "table sha256": hashlib.sha256(table.text.encode()).hexdigest(),
            "image root": None if settings.image_root is None else str(settings.image_root),
            "samples": settings.pairs,
            "seed": settings.method.seed,
            "model": encoder.info.name,
            "weights sha256": encoder.info.sha256,
            "fit": encoder.preprocessing.fit.value,
            "text mask": text_mask_of(settings).value,
            "methods": {method.name: dict(method.hyperparameters(encoder)) for method in methods},
        },
        "preset": settings.preset,
        "table rows": table.rows,
        "terms": encoder.info.terms,
        "is phantom": encoder.info.is_phantom,
        "device": device_name(device),
        "software": software_versions(),
    }


def _check_drawn(table: PairTable, drawn: Sequence[PairRow]) -> None:
    """Refuse a table without rows, and one none of whose sampled images exists: its root is wrong."""
    if not drawn:
        raise InputError(f"{table.path}: the table has no rows; give one row for each caption and image")
    if not any(table.has_file(row) for row in drawn):
        raise InputError(
            f"{table.path}: none of the {len(drawn)} sampled images exists; relative paths refer to "
            f"{table.image_root}: give their folder with --image-root"
        )


def _measure_all(
    work: _Work, drawn: Sequence[PairRow], kept: Sequence[Measurement], rows: Path, progress: Progress
) -> None:
    """Measure what is missing, and append it to the file batch by batch."""
    done = {(row.row, row.method) for row in kept}
    missing = [row for row in drawn if any((row.number, method.name) not in done for method in work.methods)]
    size = _PAIRS_AT_ONCE.get(work.device.type, 1)
    progress("Evaluating pairs", len(drawn) - len(missing), len(drawn))
    for start in range(0, len(missing), size):
        chunk = missing[start : start + size]
        for measurements in _measure_chunk(work, chunk, done):
            append(rows, measurements)
        progress("Evaluating pairs", len(drawn) - len(missing) + start + len(chunk), len(drawn))


def _measure_chunk(work: _Work, rows: Sequence[PairRow], done: set[tuple[int, str]]) -> Iterator[Sequence[Measurement]]:
    """Yield the rows of one method after the other, so that results are written as soon as they are known."""
    loaded = [work.load(row) for row in rows]
    for method in work.methods:
        wanted = [(row, pair) for row, pair in zip(rows, loaded, strict=True) if (row.number, method.name) not in done]
        pairs = [pair for _, pair in wanted if isinstance(pair, LoadedPair)]
        if pairs:
            yield measure(work.encoder, method, pairs, work.text_mask)
        yield [
            Measurement(row=row.number, image=row.image, method=method.name, error=pair)
            for row, pair in wanted
            if isinstance(pair, str)
        ]
