"""The web application: the pages of one audit, and the entries of a reviewer.

It serves only these: the page over all studies; each study's page, which is rendered from its record on request, with
its reviewer; the next study that the reviewer has not answered; the entries for a study's heat maps; and the
submission of a new entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from audit.review.guard import Guard, Sessions
from audit.review.ledger import Ledger, SupersededError
from audit.review.studies import ReviewedStudies
from pipelines.errors import OutputError
from reports.results_folder import THUMBNAIL, read_run
from reports.review_page import ReviewSession, with_verdicts, without_scores
from reports.review_record import ReviewEntry, Subject, moment_audited, subjects_of
from reports.run_record import RunRecord
from reports.study_page import render_study

__all__ = ["Review", "make_app"]

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The data that the server works on."""

    out: Path
    ledger: Ledger
    studies: ReviewedStudies
    sessions: Sessions
    blind: bool  # reviewers do not see each other's entries
    hide_scores: bool  # a reviewer answers before the scores, boxes and the run's verdict are shown
    clock: Clock  # returns the current time with its zone
    warn: Callable[[str], None]  # called with errors, including paths, that pages do not show


def make_app(review: Review, *, port: int) -> Guard:
    """Create the application; every request passes the :class:`Guard` first.

    Raises:
        OutputError: ``run.json`` cannot be read.
    """
    run = read_run(review.out)
    app = FastAPI(title="m2ib-audit review", docs_url=None, redoc_url=None, openapi_url=None)
    _add_pages(app, review, run)
    _add_entries(app, review)

    @app.exception_handler(OutputError)
    def _unusable(_request: Request, error: Exception) -> Response:
        review.warn(str(error))
        return _error(503, "it could not be written or read: the terminal says why")

    @app.exception_handler(HTTPException)
    def _refused(_request: Request, error: Exception) -> Response:
        return _error(error.status_code, error.detail) if isinstance(error, HTTPException) else _error(500, "")

    @app.exception_handler(RequestValidationError)
    def _malformed(_request: Request, error: Exception) -> Response:
        where = error.errors()[0]["loc"] if isinstance(error, RequestValidationError) else ()
        return _error(422, f"the entry is invalid at {'.'.join(map(str, where))}")

    return Guard(app, sessions=review.sessions, port=port)


def _add_pages(app: FastAPI, review: Review, run: RunRecord) -> None:
    @app.get("/")
    def start() -> Response:
        return RedirectResponse("/index.html", status_code=303)

    @app.get("/index.html")
    def over_all(request: Request) -> Response:
        page = review.out / "index.html"
        if page.is_symlink():
            return _error(404, "the page is a link, which may lead out of the audit")
        try:
            html = page.read_bytes()
        except OSError as error:
            raise OutputError(f"{page} cannot be read ({error.strerror}): run `m2ib-audit render` on OUT") from error
        if review.hide_scores:
            hidden = without_scores(html)
            if hidden is None:
                raise OutputError(
                    f"{page} was written by an older version and cannot hide scores: `m2ib-audit render` OUT first"
                )
            html = hidden
        return HTMLResponse(with_verdicts(html, review.ledger.latest(reviewer=request.scope["reviewer"])))

    @app.get("/scores.csv")
    def table() -> Response:
        path = review.out / "scores.csv"
        if review.hide_scores or path.is_symlink() or not path.is_file():
            return _error(404, "the table of scores is not there, or is hidden from reviewers")
        return FileResponse(path)

    @app.get("/studies/{key}/index.html")
    def study(key: str, request: Request) -> Response:
        if key not in review.studies:
            return _error(404, "this audit has no such study")
        stored = review.studies.study(key)
        session = _session(review, key, reviewer=request.scope["reviewer"])
        page = render_study(stored.record, heats=stored.heats, pictures=stored.pictures, run=run, session=session)
        return HTMLResponse(page)

    @app.get(f"/studies/{{key}}/{THUMBNAIL}")
    def small_picture(key: str) -> Response:
        path = review.studies.folder(key) / THUMBNAIL if key in review.studies else None
        if path is None or path.is_symlink() or not path.is_file():
            return _error(404, "this audit has no such picture")
        return FileResponse(path)

    @app.get("/open-after/{key}")
    def open_after(key: str, request: Request) -> Response:
        if key not in review.studies:
            return _error(404, "this audit has no such study")
        found = _open_after(review, key, reviewer=request.scope["reviewer"])
        return RedirectResponse("/index.html" if found is None else f"{_address(found)}#open", status_code=303)


def _open_after(review: Review, key: str, *, reviewer: str) -> str | None:
    """Find the first study after ``key``, or the first of all, with a phrase without a verdict of the reviewer."""
    answered = {entry.subject for entry in review.ledger.latest(reviewer=reviewer) if entry.verdict is not None}
    keys, start = review.studies.keys, review.studies.place(key) + 1
    for each in (*keys[start:], *keys[:start]):
        if not _heats(review, each) <= answered:
            return each
    return None


def _heats(review: Review, key: str) -> frozenset[Subject]:
    """Return what can be answered in a study; nothing if its record cannot be read, which its page reports."""
    try:
        return frozenset(subjects_of(review.studies.record(key)))
    except OutputError:
        return frozenset()


def _add_entries(app: FastAPI, review: Review) -> None:
    @app.get("/api/studies/{key}")
    def entries_of(key: str, request: Request) -> Response:
        if key not in review.studies:
            return _error(404, "this audit has no such study")
        own = request.scope["reviewer"] if review.blind else None
        audited = moment_audited(review.studies.record(key))
        entries = review.ledger.latest(study=key, reviewer=own)
        return JSONResponse({"entries": [_dumped(entry) for entry in entries if entry.subject.audited == audited]})

    @app.post("/api/entries")
    def take(entry: ReviewEntry, request: Request) -> Response:
        if entry.reviewer != request.scope["reviewer"]:
            return _error(403, "this browser now reviews under another name: load the page again")
        try:
            entry = review.studies.accepted(entry)
        except OutputError as error:
            return _error(422, str(error))
        try:
            kept = review.ledger.append(entry, now=review.clock())
        except SupersededError as superseded:
            latest = superseded.latest
            return JSONResponse({"latest": latest and _dumped(latest)}, status_code=409)
        return JSONResponse({"entry": _dumped(kept)})


def _session(review: Review, key: str, *, reviewer: str) -> ReviewSession:
    place, keys = review.studies.place(key), review.studies.keys
    before, after = keys[:place][::-1], keys[place + 1 :]
    return ReviewSession(
        reviewer=reviewer,
        blind=review.blind,
        hide_scores=review.hide_scores,
        place=place + 1,
        studies=len(keys),
        previous=next((_address(each) for each in before if _heats(review, each)), None),
        following=next((_address(each) for each in after if _heats(review, each)), None),
        unanswered=f"/open-after/{key}",
    )


def _address(key: str) -> str:
    return f"/studies/{key}/index.html"  # a key is a plain name (reports.results_folder)


def _dumped(entry: ReviewEntry) -> dict[str, object]:
    dumped: dict[str, object] = entry.model_dump(mode="json")
    return dumped


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
