"""One Orthanc and one audited cohort of phantoms for all tests of a process."""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from making import SALT, results_of
from orthanc import Orthanc, running_orthanc
from pydicom.dataset import Dataset
from run_configs import run_config

from audit.execution.run import run
from audit.privacy.pseudonyms import SALT_VARIABLE, Pseudonyms
from pipelines.images.scan import scan_folder
from pipelines.phantom.cohort import make_cohort
from reports.dicom_out import Result, read_source
from reports.results_folder import StudyFolder, read_study, study_folders


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(orthanc_server: Orthanc, monkeypatch: pytest.MonkeyPatch, cohort: Path) -> Orthanc:
    """An Orthanc that holds the cohort and nothing else; the settings lead nowhere yet."""
    for name in [name for name in os.environ if name.startswith(("M2IB_AUDIT_DICOMWEB", "M2IB_AUDIT_DIMSE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(cohort.parent))  # no settings of who runs the tests
    orthanc_server.clear()
    for path in sorted((cohort / "dicom").iterdir()):
        orthanc_server.ask("/instances", path.read_bytes(), "POST")
    return orthanc_server


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms: the third is MONOCHROME1, the fourth JPEG 2000."""
    folder = tmp_path_factory.mktemp("pacs") / "cohort"
    make_cohort(folder, count=4, seed=7, columns=256)
    return folder


@pytest.fixture(scope="session")
def audited(cohort: Path) -> Path:
    """The OUT of the last two phantoms."""
    out, reports = cohort.parent / "OUT", cohort.parent / "reports"
    reports.mkdir()
    for number in (3, 4):
        shutil.copy(cohort / "reports" / f"phantom-{number:05d}.txt", reports)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SALT_VARIABLE, SALT)
        run(
            run_config(
                dicom_dir=cohort / "dicom",
                reports=reports,
                boxes=(cohort / "boxes.csv",),
                out=out,
                model="phantom",
                device="cpu",
                steps=2,
                samples=2,
                controls=0,
            )
        )
    return out


@pytest.fixture(scope="session")
def studies(audited: Path) -> list[StudyFolder]:
    return [read_study(folder) for folder in study_folders(audited)]


@pytest.fixture(scope="session")
def sources(cohort: Path) -> dict[str, Dataset]:
    """The originals' headers by the key of the image."""
    keys = Pseudonyms(SALT.encode())
    images = scan_folder(cohort / "dicom").images
    return {keys.key("image", image.sop_instance_uid): read_source(image.path) for image in images}


@pytest.fixture(scope="session")
def results(audited: Path, studies: list[StudyFolder], sources: dict[str, Dataset]) -> dict[str, list[Result]]:
    """All results by the study's key."""
    return {study.record.key: results_of(study, sources, audited) for study in studies}


@pytest.fixture(scope="session")
def dciodvfy() -> Callable[[Path], list[str]]:
    """David Clunie's validator: gives its errors of a file."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.fail("no dciodvfy: run .ci/debian-packages (dicom3tools)")

    def errors(path: Path) -> list[str]:
        run = subprocess.run([program, "-new", path], capture_output=True, text=True, check=False)
        lines = (run.stdout + run.stderr).splitlines()
        assert lines, "it says nothing, not even the class"
        return [line for line in lines if line.startswith("Error")]

    return errors


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """Collect the sockets that pynetdicom's nodes leave before the next file's tests, where they would warn."""
    yield
    gc.collect()
