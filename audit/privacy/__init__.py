"""Pseudonyms for patients, studies and files, and the redaction of what is shown."""
