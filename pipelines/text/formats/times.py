"""When a version of a report was issued, as DICOM, HL7 and FHIR write it."""

import re
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["issued_at"]

_TIME = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d\d)?-?(?P<day>\d\d)?"
    r"[T ]?(?P<hour>\d\d)?:?(?P<minute>\d\d)?:?(?P<second>\d\d)?(?:\.(?P<fraction>\d{1,6})\d*)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?\Z"
)


def issued_at(written: str) -> datetime | None:
    """Read "20240131235959.5+0100" or "2024-01-31T23:59:59+01:00"; None where it is no time.

    A time without zone is taken as UTC: times are only compared among the versions of one report, which one system
    wrote.

    Source: HL7 v2.5.1, 2.A.22 (DTM); FHIR R4, dateTime; PS3.5 6.2 (DT).
    """
    match = _TIME.match(written.strip())
    if match is None:
        return None
    zone = match["zone"]
    offset = timedelta()
    if zone not in {None, "Z"}:
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    try:
        return datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            min(int(match["second"] or 0), 59),  # a leap second is a time too
            int((match["fraction"] or "0").ljust(6, "0")),
            tzinfo=timezone(offset),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
