"""Logs of a run: events as they happen, and a chain of entries that reveals later changes.

``OUT/log.jsonl`` records what happened, one JSON line per event. ``OUT/audit.jsonl`` records what was done; each line
contains the checksum of the previous line. Neither holds patient data, host names, user names or paths, with or without
``--show-phi``: studies and files are identified by their salted keys.
"""

from audit.logbook.chain import AUDIT_LOG, AuditLog
from audit.logbook.events import EVENT_LOG, EventLog, recorded_logging
from audit.logbook.verify import Verification, verify

__all__ = ["AUDIT_LOG", "EVENT_LOG", "AuditLog", "EventLog", "Verification", "recorded_logging", "verify"]
