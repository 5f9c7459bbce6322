"""Servers that are wrong, hostile or far away."""

import json
from datetime import date
from pathlib import Path

import pytest
from fake_server import Answer, make_certificate, serving
from pydantic import SecretStr

from audit.pacs.archive import FoundSeries, Wanted, find_series, find_studies, is_uid
from audit.pacs.dicomweb import DicomwebArchive
from audit.pacs.pulling import pull
from audit.pacs.settings import DicomwebSettings
from pipelines.errors import PacsError

JSON = {"Content-Type": "application/dicom+json"}
KEYS = {"StudyDate": "20260101", "StudyInstanceUID": ""}
DAY = Wanted(first=date(2026, 1, 1), last=date(2026, 1, 1))


def study(uid: str) -> dict[str, object]:
    return {"0020000D": {"vr": "UI", "Value": [uid]}}


def archive(url: str, **more: object) -> DicomwebArchive:
    return DicomwebArchive(DicomwebSettings(url=url, timeout_s=120, **more))


def test_a_redirect_to_another_server_is_refused_and_it_is_asked_nothing() -> None:
    with serving(lambda _path: (200, JSON, b"[]")) as (other, asked_there):

        def away(path: str) -> Answer:
            return 302, {"Location": f"{other}{path}"}, b""

        with serving(away) as (url, _), archive(url, token=SecretStr("t")) as found:
            with pytest.raises(PacsError, match="redirects to"):
                found.query("STUDY", KEYS)
            assert asked_there == []


def test_a_redirect_within_the_server_is_followed_with_its_credentials() -> None:
    def on(path: str) -> Answer:
        if path.startswith("/old"):
            return 307, {"Location": path.replace("/old", "/new")}, b""
        return 200, JSON, json.dumps([study("1.2")]).encode()

    with serving(on) as (url, asked), archive(f"{url}/old", token=SecretStr("t")) as found:
        assert [d.StudyInstanceUID for d in found.query("STUDY", KEYS)] == ["1.2"]
        assert {given for _, given in asked} == {"Bearer t"}


def test_results_come_page_by_page() -> None:
    def pages(path: str) -> Answer:
        offset = int(path.split("offset=")[1].split("&", maxsplit=1)[0]) if "offset=" in path else 0
        uids = [f"1.2.{number}" for number in range(450)][offset : offset + 200]
        return 200, JSON, json.dumps([study(uid) for uid in uids]).encode()

    with serving(pages) as (url, asked), archive(url) as found:
        assert len(found.query("STUDY", KEYS)) == 450
        assert len(asked) == 3


def test_a_server_that_knows_no_pages_is_asked_no_more_than_twice() -> None:
    body = json.dumps([study(f"1.2.{number}") for number in range(300)]).encode()
    with serving(lambda _path: (200, JSON, body)) as (url, asked), archive(url) as found:
        assert len(found.query("STUDY", KEYS)) == 300
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(401, "refuses the credentials", id="401"),
        pytest.param(403, "refuses what this user asks for", id="403"),
        pytest.param(404, "has no DICOMweb there", id="404"),
        pytest.param(500, "HTTP 500", id="500"),
    ],
)
def test_refusals_give_a_sentence_without_query_and_secret(status: int, said: str) -> None:
    with (
        serving(lambda _path: (status, {}, b"PATIENT^NAME")) as (url, _),
        archive(url, token=SecretStr("s3cr3t")) as found,
    ):
        with pytest.raises(PacsError) as raised:
            found.query("STUDY", KEYS)
        sentence = str(raised.value)
        assert said in sentence
        assert not any(word in sentence for word in ("s3cr3t", "PATIENT", "20260101"))


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"a": 1}', b"[{}", b'[{"0020000D": 5}]'], ids=repr)
def test_what_is_no_dicomweb_gives_a_sentence(body: bytes) -> None:
    with (
        serving(lambda _path: (200, JSON, body)) as (url, _),
        archive(url) as found,
        pytest.raises(PacsError, match="did not answer with DICOMweb"),
    ):
        found.query("STUDY", KEYS)


def test_nobody_there_gives_a_sentence() -> None:
    with serving(lambda _path: (200, JSON, b"[]")) as (url, _):
        pass
    with archive(url) as found, pytest.raises(PacsError, match="cannot be reached"):
        found.query("STUDY", KEYS)


def test_a_certificate_is_checked_and_the_hospitals_own_authority_taken(tmp_path: Path) -> None:
    both = make_certificate(tmp_path)
    with serving(lambda _path: (200, JSON, b"[]"), both) as (url, asked):
        with archive(url, token=SecretStr("t")) as found, pytest.raises(PacsError, match="set ca_file"):
            found.query("STUDY", KEYS)
        assert asked == []
        with archive(url, token=SecretStr("t"), ca_file=tmp_path / "cert.pem") as found:
            assert found.query("STUDY", KEYS) == []


def test_neither_netrc_nor_proxies_of_the_environment_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(lambda _path: (200, JSON, b"[]")) as (url, asked), archive(url) as found:
        found.query("STUDY", KEYS)
        assert [given for _, given in asked] == [None]


@pytest.mark.parametrize(
    "uid", ["../../etc/passwd", "1.2/..", "", "1", "1..2", "01.2", "1.2." + "3" * 62, "1.2\n", "١.٢"]
)
def test_what_is_no_uid_makes_no_path(uid: str) -> None:
    assert not is_uid(uid)


def test_hostile_identifiers_are_listed_and_nothing_is_written_outside(tmp_path: Path) -> None:
    def hostile(path: str) -> Answer:
        value: dict[str, object] = {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "0020000E": {"vr": "UI", "Value": ["../../outside"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3"]},
            "00080060": {"vr": "CS", "Value": ["DX"]},
        }
        return 200, JSON, json.dumps([value]).encode()

    with serving(hostile) as (url, asked), archive(url) as found:
        pulled = pull(found, tmp_path / "in", DAY)
        assert not any("instances/" in path for path, _ in asked)
    assert [row[3] for row in pulled.failed] == [
        "the archive sent identifiers that are not UIDs: nothing of this series was fetched"
    ]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "pull-failures.csv"]


def test_an_instance_that_breaks_off_is_listed_and_leaves_nothing(tmp_path: Path) -> None:
    def broken(path: str) -> Answer:
        if "/instances/" in path:
            head = {
                "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
                "X-Claimed-Length": "99999",
            }
            return 200, head, b"--b\r\nContent-Type: application/dicom\r\n\r\nDICM"
        value: dict[str, object] = {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
            "00080060": {"vr": "CS", "Value": ["DX"]},
        }
        return 200, JSON, json.dumps([value]).encode()

    with serving(broken) as (url, _), archive(url) as found:
        pulled = pull(found, tmp_path, DAY)
    ((study_uid, series_uid, uid, reason),) = pulled.failed
    assert (study_uid, series_uid, uid) == ("1.2", "1.2.3", "1.2.3.4")
    assert "broke off" in reason
    assert not list(tmp_path.rglob("*.dcm*"))


def test_a_series_that_the_archive_names_is_found_once() -> None:
    def answers(path: str) -> Answer:
        value: dict[str, object] = {
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
            "00080018": {"vr": "UI", "Value": ["1.2.3.4"]},
            "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.1"]},
            "00080060": {"vr": "CS", "Value": ["DX"]},
        }
        return 200, JSON, json.dumps([value]).encode()

    with serving(answers) as (url, _), archive(url) as found:
        assert find_studies(found, DAY) == ["1.2"]
        assert find_series(found, "1.2", DAY) == [
            FoundSeries(study_uid="1.2", series_uid="1.2.3", instances={"1.2.3.4": "1.2.840.10008.5.1.4.1.1.1"})
        ]
