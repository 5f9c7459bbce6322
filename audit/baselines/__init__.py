"""What maps that never look, and other readers, score on a file of boxes alone."""

from audit.baselines.label_file import Baselines, baselines_of
from audit.baselines.listing import text_table
from audit.baselines.of_file import BaselinesOfFile, baselines_of_file

__all__ = ["Baselines", "BaselinesOfFile", "baselines_of", "baselines_of_file", "text_table"]
