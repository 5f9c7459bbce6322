"""Scoring stored heat again: against other boxes, or by a newer version's scores; without a model and without DICOM."""

from audit.rescoring.rescoring import Rescored, rescore

__all__ = ["Rescored", "rescore"]
