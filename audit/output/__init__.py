"""The folder OUT: its allowed contents, its lock, its event log, and the reuse of earlier results."""
