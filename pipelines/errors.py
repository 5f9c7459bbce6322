"""Every expected failure of m2ib-audit, in one tree.

::

    AuditError                    expected failures: a wrong file, flag or installation
    ├── InputError                an input cannot be used
    │   ├── DicomError            a file is not a readable chest radiograph
    │   ├── ReportError           a report file or row cannot be used
    │   ├── BoxError              an annotation file or row cannot be used
    │   └── CohortError           nothing to audit: empty folder, or nothing could be joined
    ├── ModelError                weights missing, incomplete or of an unknown family
    ├── OutputError               OUT cannot be written, or belongs to another run
    │   └── DamagedError          a file of OUT is not what a run wrote
    ├── PacsError                 the archive cannot be reached, refuses, or is not configured
    └── WorkerError               a worker process ended repeatedly before its study was done

Each message names the object, the value and the remedy. The library raises these errors; the command line prints the
message as one line and exits with status 1. An error in our own code is a ``ValueError`` or ``TypeError`` and keeps
its traceback.
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
    """An expected failure; its message names the object, the value and the remedy."""


class InputError(AuditError):
    """An input of the user cannot be used."""


class DicomError(InputError):
    """A file is not a readable chest radiograph."""


class ReportError(InputError):
    """A report file or row cannot be used."""


class BoxError(InputError):
    """An annotation file or row cannot be used."""


class CohortError(InputError):
    """Nothing to audit: an empty folder, or nothing could be joined."""


class ModelError(AuditError):
    """Weights are missing, incomplete or of an unknown family."""


class OutputError(AuditError):
    """The output folder cannot be written or belongs to another run."""


class DamagedError(OutputError):
    """A file of OUT is missing, unreadable or not what a run wrote; its study must be audited again."""


class PacsError(AuditError):
    """The archive cannot be reached, refuses, or is not configured."""


class WorkerError(AuditError):
    """A worker process ended repeatedly before its study was done."""
