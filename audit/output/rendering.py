"""Renders the pages of a run again from its stored results, and logs this."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from audit.logbook import AuditLog
from audit.logbook.chain import BEGUN_OVER, result_checksums
from audit.logbook.known import read_log_state
from audit.privacy.pseudonyms import load_salt
from audit.storage.folder import clean_finished
from reports.results_folder import RenderedFolder, damaged_tables, read_run, render_pages, study_folders

__all__ = ["render_again"]


def render_again(out: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> RenderedFolder:
    """Render every page again, without model or DICOM. Damaged or changed studies are excluded.

    Returns:
        What was rendered, and a message for each damaged study or table.

    Raises:
        OutputError: ``run.json`` is missing, damaged or changed, OUT was written with another salt, or it cannot be
            written now.
    """
    run, salt = read_run(out), load_salt(outside=out)
    known = read_log_state(out, salt)
    known.check_run()
    clean_finished(out)
    log = AuditLog(out, salt)
    log.append_all(
        [
            *([] if known.is_there else [(BEGUN_OVER, {"studies": len(study_folders(out))})]),
            ("pages are made again", {}),
        ]
    )
    found = render_pages(out, run, progress=progress, check=known.check, known=known.pages())
    log.append("pages made again", studies=found.studies, pages_sha256=result_checksums(out)["pages_sha256"])
    return replace(found, damaged=(*found.damaged, *damaged_tables(out, run)))
