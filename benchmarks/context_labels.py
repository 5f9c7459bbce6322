"""Contexts that a reader gave to sentences of OpenI's reports, beside those that the code gives."""

import csv
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.study import Report
from pipelines.text.phrases import phrases_in_sentence, sentences_of
from pipelines.text.reports import ReportTable, read_reports
from pipelines.text.sections import sections_of

__all__ = [
    "LABELS",
    "Judged",
    "Label",
    "Tally",
    "fetch_wheel",
    "judge",
    "openi_reports",
    "read_labels",
    "sentences_by_number",
    "tallies",
]

LABELS = Path(__file__).parents[1] / "tests" / "text" / "context_labels.csv"
WHEEL = "torchxrayvision==1.5.7"
ARCHIVE = "NLMCXR_reports.tgz"
COMPARED = "compared with prior"
_HASH_LETTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a reader says about one finding of one sentence. The sentence itself may not be passed on."""

    report: str
    sentence: int  # from 1, over findings and impression
    sha256_start: str  # of the sentence, so that another cut into sentences is noticed
    finding: str
    context: str
    compared_with_prior: bool
    half: str  # "tune" or "held out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A label with what the code says."""

    label: Label
    context: str | None  # None where the code finds no such finding
    compared_with_prior: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often the code names a class rightly. Precision and recall are None where there is nothing to divide by."""

    name: str
    labelled: int
    named: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of what the code names so that the reader names so too."""
        return self.right / self.named if self.named else None

    @property
    def recall(self) -> float | None:
        """Share of what the reader names so that the code names so too."""
        return self.right / self.labelled if self.labelled else None


def read_labels(path: Path = LABELS) -> tuple[Label, ...]:
    """Read the table of labels."""
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(
            Label(
                report=row["report"],
                sentence=int(row["sentence"]),
                sha256_start=row["sha256_start"],
                finding=row["finding"],
                context=row["context"],
                compared_with_prior=row["compared_with_prior"] == "1",
                half=row["half"],
            )
            for row in csv.DictReader(stream)
        )


def fetch_wheel(folder: Path) -> Path:
    """Fetch the wheel of torchxrayvision from the package index, without what it depends on (28 MB)."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return next(folder.glob("torchxrayvision-*.whl"))


def openi_reports(wheel: Path) -> ReportTable:
    """Read the reports that the wheel of torchxrayvision carries."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as packed:
            name = next(name for name in packed.namelist() if name.endswith(ARCHIVE))
            with packed.open(name) as stream, tarfile.open(fileobj=stream, mode="r:gz") as archive:
                archive.extractall(folder, filter="data")
        return read_reports(Path(folder))


def sentences_by_number(report: Report) -> Mapping[int, str]:
    """Number the sentences of a report's findings and impression from 1."""
    sentences = (sentence for section in sections_of(report.text) for sentence in sentences_of(section.text))
    return dict(enumerate(sentences, start=1))


def judge(labels: Iterable[Label], reports: Iterable[Report]) -> Iterator[Judged]:
    """Put the code's answer beside each label.

    Raises:
        ValueError: a sentence is another than the one that was labelled.
    """
    by_name = {report.stem: report for report in reports}
    for label in labels:
        sentence = sentences_by_number(by_name[label.report])[label.sentence]
        if not hashlib.sha256(sentence.encode()).hexdigest().startswith(label.sha256_start):
            raise ValueError(f"sentence {label.sentence} of {label.report} was another when it was labelled")
        found = next((phrase for phrase in phrases_in_sentence(sentence) if phrase.finding == label.finding), None)
        yield Judged(
            label=label,
            context=None if found is None else found.context.value,
            compared_with_prior=found is not None and found.compared_with_prior,
        )


def tallies(judged: Sequence[Judged], contexts: Iterable[str]) -> Iterator[Tally]:
    """Count each context, and then what is compared with an earlier film, whatever its context."""
    for name in contexts:
        yield Tally(
            name=name,
            labelled=sum(each.label.context == name for each in judged),
            named=sum(each.context == name for each in judged),
            right=sum(each.context == name == each.label.context for each in judged),
        )
    yield Tally(
        name=COMPARED,
        labelled=sum(each.label.compared_with_prior for each in judged),
        named=sum(each.compared_with_prior for each in judged),
        right=sum(each.compared_with_prior and each.label.compared_with_prior for each in judged),
    )
