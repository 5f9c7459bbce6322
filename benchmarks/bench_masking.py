"""How many words of OpenI's 3,955 reports are masked, and whether words of findings, sides and zones are among them."""

import csv
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import command_line, write_section
from benchmarks.openi import reports_of_openi
from pipelines.findings import findings_in
from pipelines.privacy.masking import mask_report
from pipelines.privacy.patterns import normal_form
from pipelines.study import Report
from pipelines.text.sections import sections_of

_PLACEHOLDER = re.compile(r"\S*XXX\S*")  # what the collection itself has masked
_LEFT_OUT = "nodule"
_OF_MEANING = re.compile(
    r"\b(?:no|not|without|negative|denies|left|right|bilateral|unilateral|upper|lower|middle|mid|apical|basilar|basal|"
    r"perihilar|hilar|retrocardiac|lingula)\b",
    re.IGNORECASE,
)
_PLANTED = Path(__file__).parents[1] / "tests" / "text" / "planted_identifiers.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Of some texts."""

    words: int
    masked: int
    of_meaning: int  # words of findings, sides, zones and negation that are masked

    def __str__(self) -> str:
        share = 100 * self.masked / self.words
        return f"{self.words:,} | {self.masked:,} | {share:.2f} % | {self.of_meaning}"


def main() -> None:
    """Mask all reports, print and write the figures."""
    given, table = reports_of_openi(__doc__)
    sources = [*(report.source for report in table.reports), *(left.source for left in table.left_out)]
    files = sorted(Path(source).stem for source in sources)
    lines = list(_measured(table.reports, seen=frozenset(files[::2])))
    print("\n".join(lines))
    if not given.no_write:
        write_section("bench_masking", command=command_line("bench_masking"), lines=lines)


def _measured(reports: Sequence[Report], seen: Collection[str]) -> Iterator[str]:
    """Count in the reports whose unknown words were looked at when the lists were written, and in the others."""
    looked_at = [report for report in reports if Path(report.source).stem in seen]
    others = [report for report in reports if Path(report.source).stem not in seen]
    yield "| reports | text | words | masked | share | of findings, sides, zones, negation |"
    yield "|---|---|---|---|---|---|"
    start = time.perf_counter()
    for half, name in ((looked_at, "half that was looked at"), (others, "half that was not")):
        findings = ["\n".join(section.text for section in sections_of(report.text)) for report in half]
        yield f"| {len(half):,}, {name} | findings and impression | {_count(findings)} |"
        yield f"| {len(half):,}, {name} | all | {_count([report.text for report in half])} |"
    seconds = time.perf_counter() - start
    yield ""
    yield f"All of it in {seconds:.0f} s. {_left_unmasked()}"


def _count(texts: Sequence[str]) -> _Counts:
    words = masked_words = of_meaning = 0
    for text in texts:
        known = normal_form(_PLACEHOLDER.sub(_LEFT_OUT, text))
        masked = mask_report(known)
        words += masked.words
        masked_words += masked.masked_words
        for start, end, _ in masked.spans:
            hidden = known[start:end]
            of_meaning += hidden != _LEFT_OUT and bool(findings_in(hidden) or _OF_MEANING.search(hidden))
    return _Counts(words=words, masked=masked_words, of_meaning=of_meaning)


def _left_unmasked() -> str:
    """Say how many of the planted identifiers are shown."""
    rows = list(csv.DictReader(_PLANTED.read_text().splitlines(), delimiter="|", quoting=csv.QUOTE_NONE))
    hidden = [(row["sentence"], word) for row in rows for word in row["hidden"].split(";")]
    left = sum(_is_shown(sentence, word) for sentence, word in hidden)
    return f"Of {len(hidden)} words planted in {len(rows)} sentences of tests/text/{_PLANTED.name} {left} are shown."


def _is_shown(sentence: str, word: str) -> bool:
    shown = re.sub(r"\[[a-z-]+\]", "\0", mask_report(sentence).text).casefold()
    return re.search(rf"(?<![^\W_]){re.escape(normal_form(word).casefold())}(?![^\W_])", shown) is not None


if __name__ == "__main__":
    main()
