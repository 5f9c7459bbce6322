"""Samples pairs from a table, measures them row by row and averages; an interrupted run can be resumed."""

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from audit.attribution.engine import Method
from audit.controls.plan import EveryPhrase
from audit.encoders.protocol import DualEncoder
from audit.encoders.words import CutPhraseWarning
from audit.execution.prepare import Progress, device_name, load_model, software_versions
from audit.experiments.evaluation_pairs import (
    CUT_CAPTION,
    STRETCHED,
    Measurement,
    append,
    measurements_of,
    read_measurements,
    rewrite,
)
from audit.experiments.evaluation_settings import EvaluationConfig, check_methods, methods_of, text_mask_of
from audit.experiments.evaluation_summary import Mean, as_csv, summarise
from audit.experiments.pair_table import PairRow, PairTable, read_pair_table
from audit.faithfulness.confidence import TextMask
from audit.faithfulness.measures import FaithfulnessSettings
from audit.pipeline.explain import ExplainedStudy, Explainer
from audit.pipeline.load import LoadedStudy, load_picture
from audit.privacy.messages import Message
from pipelines.errors import InputError, OutputError
from pipelines.image_file import Picture, read_image
from reports.writing import write_text_atomically

__all__ = ["EvaluationResult", "evaluate_table"]

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
    encoder, device = load_model(settings.model, auto="own")
    methods = methods_of(settings, encoder)
    record = _record(settings, table, encoder, methods, device)
    kept = out.begin(record, resume=settings.resume)
    text_mask, size = text_mask_of(settings), _PAIRS_AT_ONCE.get(device.type, 1)
    explainer = Explainer(
        encoder=encoder,
        methods=methods,
        faithfulness=EveryPhrase(),
        faithfulness_scores=FaithfulnessSettings(curves=(), word_curves=(), road=None, text_mask=text_mask),
        device=device,
        seed=settings.method.seed,
        pairs_a_batch=size,
    )
    done = {row.row for row in kept}
    missing = [row for row in drawn if row.number not in done]
    progress("Evaluating pairs", len(done), len(drawn))
    for start in range(0, len(missing), size):
        rows = missing[start : start + size]
        with _silent_about_captions():
            explained = list(explainer.explained(_load(table, row, encoder) for row in rows))
        append(out.rows, _by_method(rows, explained, explainer))
        progress("Evaluating pairs", len(done) + start + len(rows), len(drawn))
    measurements = read_measurements(out.rows)
    means = summarise(measurements)
    out.end(record, means, measurements)
    return EvaluationResult(
        means=means,
        text_mask=text_mask,
        model=encoder.info.name,
        terms=encoder.info.terms,
        table_rows=table.rows,
        pairs=len(drawn),
        failed=tuple(row for row in measurements if row.error is not None),
        cut_captions=_noted(measurements, CUT_CAPTION),
        stretched=_noted(measurements, STRETCHED),
        kept=len(kept),
    )


def _load(table: PairTable, row: PairRow, encoder: DualEncoder) -> LoadedStudy:
    def read() -> Picture:
        if row.wrong is not None:
            raise InputError(row.wrong)
        path = table.file_of(row)
        try:
            return read_image(path)
        except InputError as error:  # the results name the image as the table does
            raise InputError(str(error).removeprefix(f"{path}: ")) from error

    return load_picture(row.image, [row.caption], read, encoder)


def _by_method(rows: Sequence[PairRow], explained: Sequence[ExplainedStudy], explainer: Explainer) -> list[Measurement]:
    """Return the measurements of a batch, method after method, pairs that could not be explained behind the others."""
    found = [measurements_of(row, study, explainer) for row, study in zip(rows, explained, strict=True)]
    return [
        measurement
        for of_method in zip(*found, strict=True)
        for measurement in sorted(of_method, key=lambda measurement: measurement.error is not None)
    ]


@contextmanager
def _silent_about_captions() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutPhraseWarning)
        yield


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
        """Write the record of the run, and keep the rows of a resumed run.

        A pair with an error, or with rows of only some of the methods, is measured again.
        """
        kept: tuple[Measurement, ...] = ()
        if resume and self.rows.exists():
            self._refuse_other_settings(record)
            measured = [row for row in read_measurements(self.rows) if row.error is None]
            methods = Counter(row.row for row in measured)
            kept = tuple(row for row in measured if methods[row.row] == len(record["settings"]["methods"]))
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
