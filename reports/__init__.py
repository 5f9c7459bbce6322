"""Records become pages; no torch in here."""
