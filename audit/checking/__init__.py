"""What would be audited, what would not, and why: before any model is loaded, and without torch."""

from audit.checking.checking import Checked, CheckSettings, check
from audit.checking.rows import CheckRow

__all__ = ["CheckRow", "CheckSettings", "Checked", "check"]
