"""The folder OUT: what it may hold, its lock, its event log, and the reuse of earlier results."""
