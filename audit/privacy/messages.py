"""Messages about excluded inputs, in two forms: masked, and for the owner of the files on a terminal.

The owner's form names files, columns of tables and labels of boxes, because the owner has to correct them. Neither form
contains report text, words of DICOM headers or cells of a table. docs/PRIVACY.md says which form is printed where.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import failure_records, foreign_name
from pipelines.quoting import OF_LABELS, printable, requoted_for_owner
from pipelines.study import Exclusion
from reports.results_folder import is_study_key
from reports.run_record import FailureRecord

__all__ = ["Message", "messages_of", "owned_failures", "study_messages"]

_LABELS_AT_MOST = 5  # public sets have dozens of labels that name no finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A sentence about one excluded input, with its source."""

    masked: str  # as in OUT
    for_owner: str = field(repr=False)


def owned_failures(
    left_out: Iterable[Exclusion], folders: Sequence[Path], keys: Pseudonyms
) -> tuple[FailureRecord, ...]:
    """Return the exclusions with file names, relative to the input folder."""
    return tuple(
        each.model_copy(update={"reason": requoted_for_owner(each.reason)})
        for each in failure_records(left_out, folders, keys, show_phi=True)
    )


def messages_of(
    left_out: Iterable[Exclusion], folders: Sequence[Path], keys: Pseudonyms, *, show_phi: bool
) -> tuple[Message, ...]:
    """Return messages about inputs to correct: failures, and box labels that name no known finding.

    Args:
        left_out: all exclusions; those by rule are ignored.
        folders: the inputs.
        keys: pseudonyms for file names in the masked form.
        show_phi: mask nothing in either form.
    """
    listed = list(left_out)
    labels = [item for item in listed if not item.failed and item.reason.startswith(OF_LABELS)]
    wrong = [*(item for item in listed if item.failed), *labels[:_LABELS_AT_MOST]]
    masked = failure_records(wrong, folders, keys, show_phi=show_phi)
    owned = masked if show_phi else owned_failures(wrong, folders, keys)
    messages = [
        Message(masked=f"{shown.source}: {shown.reason}", for_owner=f"{own.source}: {own.reason}")
        for shown, own in zip(masked, owned, strict=True)
    ]
    if len(labels) > _LABELS_AT_MOST:
        more = f"{len(labels) - _LABELS_AT_MOST:,} more labels name no known finding: `m2ib-audit check` lists them"
        messages.append(Message(masked=more, for_owner=more))
    return tuple(messages)


def study_messages(sentences: Iterable[str], out: Path, keys: Pseudonyms | None) -> tuple[Message, ...]:
    """Return messages about studies of OUT. A folder there whose name is not a study key may be named after a patient.

    Args:
        sentences: may contain the paths of such folders.
        out: the folder, as written in the sentences.
        keys: pseudonyms for such folders in the masked form; without them the name is removed.
    """
    studies = out / "studies"
    foreign = [folder.name for folder in studies.iterdir() if not is_study_key(folder.name)] if studies.is_dir() else []
    longest_first = sorted(foreign, key=len, reverse=True)

    def masked(sentence: str) -> str:
        for name in longest_first:
            sentence = sentence.replace(f"{studies}/{name}", f"{out}/{foreign_name(f'studies/{name}', keys)}")
        return sentence

    return tuple(Message(masked=masked(sentence), for_owner=printable(sentence)) for sentence in sentences)
