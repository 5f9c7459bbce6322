"""A study whose record is not the one that the audit log names is not reviewed, and no salt is needed to tell."""

from pathlib import Path

import pytest
from made_up_review import entry_of, three_studies

from audit.logbook import AUDIT_LOG, AuditLog
from audit.logbook.chain import DONE, OPENED
from audit.review.exporting import export
from audit.review.studies import ReviewedStudies
from pipelines.errors import DamagedError
from reports.reading import file_checksum

ONE, TWO, FOUR = three_studies()
SALT = b"a salt that reviewers do not have"


def record_of(out: Path, key: str) -> Path:
    return out / "studies" / key / "record.json"


def log_done(out: Path, *keys: str) -> None:
    sums = {key: file_checksum(record_of(out, key)) for key in keys}
    AuditLog(out, SALT).append_all([(DONE, {"study": key, "record_sha256": sums[key]}) for key in keys])


def change(out: Path, key: str) -> None:
    path = record_of(out, key)
    path.write_text(path.read_text().replace('"seed":', '"seed":1', 1))


@pytest.fixture
def logged(out: Path) -> Path:
    log_done(out, *(made.record.key for made in (ONE, TWO, FOUR)))
    return out


def test_a_changed_record_has_no_page_takes_no_entry_and_stops_no_other(serve_here, logged):
    change(logged, TWO.record.key)
    server = serve_here(logged)
    client = server.client()
    refused = client.ask(f"/studies/{TWO.record.key}/index.html")
    assert refused.status == 503
    assert str(logged) not in refused.body.decode()
    assert "cannot be relied on (its record was changed since it was written)" in server.warnings[0]
    assert client.post(entry_of(TWO, 1)).status == 422
    assert client.ask(f"/studies/{ONE.record.key}/index.html").status == 200
    assert client.post(entry_of(ONE, 1)).status == 200


def test_entries_on_a_study_whose_record_was_changed_since_are_not_exported(serve_here, logged):
    client = serve_here(logged).client()
    assert client.post(entry_of(TWO, 1)).status == 200
    assert client.post(entry_of(ONE, 2)).status == 200
    change(logged, TWO.record.key)
    found = export(logged)
    assert len(found.rows) == 1
    (damaged,) = found.damaged
    assert "was changed since it was written" in damaged


def test_a_study_that_is_audited_again_meanwhile_is_reviewed_as_it_is_now(logged):
    studies, key = ReviewedStudies(logged), TWO.record.key
    AuditLog(logged, SALT).append(OPENED, study=key)
    change(logged, key)
    assert studies.study(key).record.key == key  # it is about to be logged
    log_done(logged, key)
    assert studies.study(key).record.key == key
    change(logged, key)
    with pytest.raises(DamagedError, match="was changed since it was written"):
        studies.study(key)


def test_what_no_log_vouches_for_is_reviewed_and_said(logged):
    assert ReviewedStudies(logged).doubt is None
    log = logged / AUDIT_LOG
    log.write_bytes(log.read_bytes().replace(b'"n":2', b'"n":7'))
    assert "is broken at line 2" in str(ReviewedStudies(logged).doubt)
    log.unlink()
    studies = ReviewedStudies(logged)
    assert studies.doubt == "it has no audit log"
    assert studies.study(TWO.record.key).record.key == TWO.record.key
