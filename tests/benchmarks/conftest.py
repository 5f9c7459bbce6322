"""A small model of BiomedCLIP's form, with random weights."""

from pathlib import Path

import pytest
import torch

from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from benchmarks.models import SMALL, write_checkpoint


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("biomedclip")
    write_checkpoint(folder, SMALL)
    return folder


@pytest.fixture(scope="session")
def encoder(folder: Path) -> DualEncoder:
    return load_encoder(str(folder))


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, SMALL.size, SMALL.size, generator=torch.Generator().manual_seed(2))
