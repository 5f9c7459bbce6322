"""A cohort of phantoms, made once."""

import shutil
from pathlib import Path

import pytest

from pipelines.phantom.cohort import make_cohort


@pytest.fixture(scope="session")
def phantom_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    make_cohort(folder, count=4, seed=11, columns=160, brief=True)
    return folder


@pytest.fixture
def cohort(phantom_cohort: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom_cohort, tmp_path / "cohort"))
