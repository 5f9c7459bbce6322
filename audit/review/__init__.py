"""Review by radiologists: a server on loopback, their entries in SQLite, and the export of the results."""
