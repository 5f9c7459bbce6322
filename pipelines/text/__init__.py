"""Report files become reports, and reports become phrases."""
