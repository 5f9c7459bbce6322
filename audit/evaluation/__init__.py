"""Drop and increase of the cosine over a table of captions and images: how M2IB's authors evaluate a method."""

from audit.evaluation.run import EvaluationResult, evaluate_table
from audit.evaluation.settings import PRESETS, EvaluationSettings

__all__ = ["PRESETS", "EvaluationResult", "EvaluationSettings", "evaluate_table"]
