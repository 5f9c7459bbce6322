"""Planning: how many patients a question needs, the protocol that fixes the questions, and their answers."""

from collections.abc import Mapping
from typing import Final

__all__ = ["DEFAULT_MARGINS"]

DEFAULT_MARGINS: Final[Mapping[str, float]] = {
    "precision": 0.05,
    "superiority": 0.0,
    "non-inferiority": 0.10,
    "subgroup gap": 0.15,
}
"""The four questions, each with its half-width, margin or gap."""
