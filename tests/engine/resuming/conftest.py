"""One finished run over four phantoms; each test goes on with copies."""

import shutil
from pathlib import Path

import pytest
from asking import STUDIES, asked

from audit.attribution.m2ib import M2IB
from audit.execution.run import run
from pipelines.phantom.cohort import make_cohort


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    make_cohort(folder, count=STUDIES, seed=4, columns=64, brief=True)
    return folder


@pytest.fixture(scope="session")
def finished(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        out = tmp_path_factory.mktemp("finished") / "out"
        run(asked(phantoms, out))
    return out


@pytest.fixture
def cohort(phantoms: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantoms, tmp_path / "cohort"))


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def pairs_asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were put to the model in each call."""
    real, calls = M2IB.explain_batch, list[int]()

    def counted(self, encoder, requests, **options):
        calls.append(len(requests))
        return real(self, encoder, requests, **options)

    monkeypatch.setattr(M2IB, "explain_batch", counted)
    return calls
