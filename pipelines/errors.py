"""Every expected failure of m2ib-audit, in one tree.

::

    AuditError                    expected: a file, a flag or an installation is not as it should be
    ├── InputError                something the user handed in
    │   ├── DicomError            a file that is no readable chest radiograph
    │   ├── ReportError           a report file or row that cannot be used
    │   ├── BoxError              an annotation file or row that cannot be used
    │   └── CohortError           nothing to audit: empty folder, nothing joins
    ├── ModelError                weights missing, incomplete or of an unknown family
    ├── OutputError               OUT cannot be written, or belongs to another run
    │   └── DamagedError          a file of OUT is not what a run wrote
    ├── PacsError                 the archive cannot be reached, refuses, or is not set up
    └── WorkerError               a process that works on a study ended again and again before it was done

Each message names the thing, the value and the mend. The library raises these; the command line prints the message as
one line and exits with status 1. A mistake of our own code is a ``ValueError`` or ``TypeError`` and keeps its trace.
"""

__all__ = [
    "AuditError",
    "BoxError",
    "CohortError",
    "DamagedError",
    "DicomError",
    "InputError",
    "ModelError",
    "OutputError",
    "PacsError",
    "ReportError",
    "WorkerError",
]


class AuditError(Exception):
    """An expected failure whose message names the thing, the value and the mend."""


class InputError(AuditError):
    """Something the user handed in cannot be used."""


class DicomError(InputError):
    """A file that is no readable chest radiograph."""


class ReportError(InputError):
    """A report file or row that cannot be used."""


class BoxError(InputError):
    """An annotation file or row that cannot be used."""


class CohortError(InputError):
    """Nothing to audit: an empty folder, or nothing joins."""


class ModelError(AuditError):
    """Weights are missing, incomplete or of an unknown family."""


class OutputError(AuditError):
    """The output folder cannot be written or belongs to another run."""


class DamagedError(OutputError):
    """A file of OUT is missing, unreadable or not what a run wrote; the study it belongs to must be audited again."""


class PacsError(AuditError):
    """The archive cannot be reached, refuses, or is not set up."""


class WorkerError(AuditError):
    """A process that works on a study ended again and again before it was done."""
