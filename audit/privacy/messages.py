"""What took no part, in two forms: as anybody may read it, and as the owner of the files may on a terminal.

The owner's form names files, columns of tables and labels of boxes, since these are what there is to correct. Neither
form holds report text, words of DICOM headers or cells of a table. Which form is printed, and where, is the rule of
docs/PRIVACY.md.
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
    """One thing that took no part, as a sentence with its source."""

    masked: str  # as OUT has it
    for_owner: str = field(repr=False)


def owned_failures(
    left_out: Iterable[Exclusion], folders: Sequence[Path], keys: Pseudonyms
) -> tuple[FailureRecord, ...]:
    """List what took no part by the names of the files, from the folder that was handed in on."""
    return tuple(
        each.model_copy(update={"reason": requoted_for_owner(each.reason)})
        for each in failure_records(left_out, folders, keys, show_phi=True)
    )


def messages_of(
    left_out: Iterable[Exclusion], folders: Sequence[Path], keys: Pseudonyms, *, show_phi: bool
) -> tuple[Message, ...]:
    """Say what there is to correct: what failed, and labels of boxes that name no known finding.

    Args:
        left_out: all that took no part; what a rule leaves out is passed over.
        folders: what was handed in.
        keys: stand for names of files in the masked form.
        show_phi: nothing is masked, in either form.
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
    """Say what is wrong with studies of OUT. A folder there that has no study's key for a name may be a patient's.

    Args:
        sentences: that may hold the paths of such folders.
        out: the folder, as the sentences have it.
        keys: stand for the names of such folders in the masked form; without them the sentence says no name.
    """
    studies = out / "studies"
    foreign = [folder.name for folder in studies.iterdir() if not is_study_key(folder.name)] if studies.is_dir() else []
    longest_first = sorted(foreign, key=len, reverse=True)

    def masked(sentence: str) -> str:
        for name in longest_first:
            sentence = sentence.replace(f"{studies}/{name}", f"{out}/{foreign_name(f'studies/{name}', keys)}")
        return sentence

    return tuple(Message(masked=masked(sentence), for_owner=printable(sentence)) for sentence in sentences)
