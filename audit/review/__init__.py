"""Radiologists answer the pages: a server on loopback, what they say in SQLite, and what comes of it."""
