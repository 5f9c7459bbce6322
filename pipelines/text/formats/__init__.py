"""Formats in which reports come, one file each: a recogniser by content, and a reader that says what it left out."""
