"""What a run leaves for those who ask afterwards: events as they happened, and a chain of entries that shows changes.

``OUT/log.jsonl`` says what went on, a JSON line an event. ``OUT/audit.jsonl`` says what was done, each line with the
checksum of the one before it. Neither holds patient data, host names, user names or paths, with ``--show-phi`` or
without: studies and files stand there under their salted keys.
"""

from audit.logbook.chain import AUDIT_LOG, AuditLog
from audit.logbook.events import EVENT_LOG, EventLog, recorded_logging
from audit.logbook.verify import Verification, verify

__all__ = ["AUDIT_LOG", "EVENT_LOG", "AuditLog", "EventLog", "Verification", "recorded_logging", "verify"]
