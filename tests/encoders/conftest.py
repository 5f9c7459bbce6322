"""Each family's small model is made once for all the tests that look at it."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up_models import FAMILIES, Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    @cache
    def make(family: str) -> Made:
        return FAMILIES[family](tmp_path_factory.mktemp("models") / family.replace(" ", "-"))

    return make
