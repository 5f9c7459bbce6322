from pathlib import Path

import pytest
from planting import plant


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A cohort full of identifiers, and the words to search for."""
    folder = tmp_path_factory.mktemp("cohort")
    return folder, plant(folder)
