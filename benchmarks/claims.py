"""All claims that a reader read in a sentence, compared with all that the code reads in it.

The labels of :mod:`benchmarks.context_labels` ask for one finding of a sentence. Here a finding that the code misses,
or that it names though the sentence does not, counts as an error too.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context_labels import Tally, sentences_by_number
from pipelines.study import Report
from pipelines.text.phrases import phrases_in_sentence

__all__ = ["HARD", "OPENI", "ReadSentence", "claim_tallies", "hard_sentences", "openi_sentences", "wrong_claims"]

_TABLES = Path(__file__).parents[1] / "tests" / "text"
OPENI = _TABLES / "openi_claims.csv"
"""Sentences drawn at random from OpenI's reports, by number: their text may not be passed on."""
HARD = _TABLES / "hard_sentences.csv"
"""Sentences written for this table, by kind of difficulty."""
_NOT_COUNTED = "not counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSentence:
    """A sentence with the context that a reader gives to each finding in it."""

    part: str  # of the table: "tune", "held out", ...
    kind: str  # of difficulty; "" where the sentence was drawn at random
    text: str
    claims: Mapping[str, str]  # finding: context, or "not counted" where readers may differ


def hard_sentences(path: Path = HARD) -> tuple[ReadSentence, ...]:
    """Read the sentences that were written for their difficulty."""
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple(
            ReadSentence(part=row["written"], kind=row["kind"], text=row["sentence"], claims=_claims_of(row["claims"]))
            for row in csv.DictReader(stream)
        )


def openi_sentences(reports: Iterable[Report], path: Path = OPENI) -> Iterator[ReadSentence]:
    """Look up the sentences that were drawn from OpenI's reports.

    Raises:
        ValueError: a sentence is another than the one that was labelled.
    """
    by_name = {report.stem: report for report in reports}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            text = sentences_by_number(by_name[row["report"]])[int(row["sentence"])]
            if not hashlib.sha256(text.encode()).hexdigest().startswith(row["sha256_start"]):
                raise ValueError(f"sentence {row['sentence']} of {row['report']} was another when it was labelled")
            yield ReadSentence(part=row["half"], kind="", text=text, claims=_claims_of(row["claims"]))


def wrong_claims(sentence: ReadSentence) -> dict[str, tuple[str | None, str | None]]:
    """Give each finding that the code reads otherwise, with the reader's context and the code's (None: not named)."""
    named = _named(sentence)
    counted = {finding: context for finding, context in sentence.claims.items() if context != _NOT_COUNTED}
    pairs = {finding: (counted.get(finding), named.get(finding)) for finding in [*counted, *named]}
    return {finding: (read, code) for finding, (read, code) in pairs.items() if read != code}


def claim_tallies(sentences: Sequence[ReadSentence], contexts: Iterable[str]) -> Iterator[Tally]:
    """Count the claims of each context; a claim is a finding with its context in one sentence."""
    read = [
        (index, *claim)
        for index, each in enumerate(sentences)
        for claim in each.claims.items()
        if claim[1] != _NOT_COUNTED
    ]
    named = [(index, *claim) for index, each in enumerate(sentences) for claim in _named(each).items()]
    for name in contexts:
        own, code = ({claim for claim in claims if claim[2] == name} for claims in (read, named))
        yield Tally(name=name, labelled=len(own), named=len(code), right=len(own & code))


def _named(sentence: ReadSentence) -> dict[str, str]:
    return {
        phrase.finding: phrase.context.value
        for phrase in phrases_in_sentence(sentence.text)
        if phrase.finding is not None and sentence.claims.get(phrase.finding) != _NOT_COUNTED
    }


def _claims_of(cell: str) -> dict[str, str]:
    return dict(claim.split("=", maxsplit=1) for claim in cell.split("; ") if claim)
