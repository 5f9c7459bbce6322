"""Which numbers of a report are shown: measurements, levels, counts. Any other may be a date, an age or a record's."""

import re

__all__ = ["number_mask"]

_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_UNIT = (
    r"(?:mm|cm|ml|cc|dl|l|mcg|mg|mgy|mas|kvp?|hu|g|kg|lbs?|pounds?|%|percent|percentile|degrees?|french|fr|gauge|fold|"
    r"inch(?:es)?|in|(?:milli|centi)met(?:er|re)s?|(?:milli)?lit(?:er|re)s?|pack|ppd|times?|\u00b0|mmhg|mhz|msv|bpm)"
    r"(?![^\W\d_])"
)
_TIME_UNIT = r"(?:seconds?|minutes?|mins?|hours?|hrs?|days?|weeks?|wks?|months?|mos?|years?|yrs?|decades?)\b"
_JOINED = r"[ ]*(?:-|to|x|by|and|or|/|through|,|\u00d7)[ ]*"
_LEVEL = r"(?:[TD](?:1[0-2]|[1-9])|[LS][1-6]|C[1-7])"
_ANATOMY = (
    r"(?:ribs?|vertebra\w*|interspaces?|inter-?costal|costal|ics|levels?|thoracic|lumbar|cervical|metatarsals?|"
    r"metacarpals?|digits?|fingers?|toes?|percentile|costochondral|dis[ck]s?|endplates?|spine)\b"
)
_CATHETER = r"[^.;\n]{0,16}?\b(?:catheter|tube|drain|sheath|pigtail)"

# What a number may be of itself.
_ITSELF = re.compile(
    rf"{_LEVEL}(?:[-/](?:{_LEVEL}|1[0-2]|[1-9]))*|{_NUMBER}(?:[x-]{_NUMBER})*{_UNIT}|h[1-9]n[1-9]|[sp]{{0,2}}[ac]?o2|b12|fev1|"
    r"[23]d|x[1-9]|n95|[1-4](?:v|vws?|views?)|0\.\d{1,3}",
    re.IGNORECASE,
)
# What may be shown for what stands before or behind it: the number, the words before and those behind.
_BESIDE = tuple(
    (re.compile(run, re.IGNORECASE), re.compile(rf"(?:{before})\Z", re.IGNORECASE), re.compile(after, re.IGNORECASE))
    for run, before, after in (
        # 3 cm, 3-4 cm, 3 x 4 cm, 3 to 4 weeks
        (rf"{_NUMBER}(?:-{_NUMBER})?", "", rf"(?:{_JOINED}{_NUMBER}){{0,3}}[ -]*(?:{_UNIT}|{_TIME_UNIT})"),
        (r"\d{1,2}(?:\.\d{1,2})?", "", rf"[ ]*(?:x|by|\u00d7)[ ]*{_NUMBER}(?!\w)"),
        (r"\d{1,2}(?:\.\d{1,2})?", rf"{_NUMBER}[ ]*(?:{_UNIT})?[ ]*(?:x|by|\u00d7)[ ]*", ""),
        (r"\d{1,2}f", "", _CATHETER),
        # the 8th rib, 8th lateral rib, ribs 10-11-12
        (r"\d{1,2}(?:st|nd|rd|th)?(?:[-/,]\d{1,2}(?:st|nd|rd|th)?)*", "", rf"[ -]*(?:\w+[ ]+){{0,2}}{_ANATOMY}"),
        (r"\d{1,2}(?:\.\d{1,2})", (r"\b(?:ratio|index|sized?|diameter|thickness|width|height|length|inr|wbc|"
         r"measur\w+|approximately|about)(?:[ ]+(?:of|is|was|at|about|approximately))*[ =:]*"), ""),
        (r"\d{1,2}[a-c]?(?:[-/]\d[a-c]?)?", (r"\b(?:grade|stage|type|class|category|score|rads|nyha|segment|zone|gold|"
         r"phase|group)[ -]*"), ""),
        ("19", "covid-", ""),
    )
)  # fmt: skip
_OF_RIBS = re.compile(r"\d{1,2}(?:st|nd|rd|th)?(?:[-/,]\d{1,2}(?:st|nd|rd|th)?)*", re.IGNORECASE)
_RIBS_BEHIND = re.compile(rf"[^.;:\n]{{0,48}}?\b{_ANATOMY}", re.IGNORECASE)
_RIBS_BEFORE = re.compile(rf"\b{_ANATOMY}[^.;:\n]{{0,40}}\Z", re.IGNORECASE)
_OF_DATE = re.compile(
    r"\b(?:dated?|on|exam\w*|stud(?:y|ies)|radiographs?|films?|x-?rays?|compar\w+(?:[ ]+(?:to|with))?|since|"
    r"(?:from|of|on)[ ]+the|born|dob|seen|prior)[ :]*(?:from|of|on|dated)?[ :]*\Z",
    re.IGNORECASE,
)
_OPENS_ITEM = re.compile(r"(?:\A|[\n.!?:;)])[ \t]*[(#]?\Z")
_FRACTIONS = frozenset({"1/2", "1/3", "2/3", "1/4", "3/4"})
_COUNT = re.compile(r"\d{1,2}")
_DATE_LIKE = re.compile(r"(?:\d+|[^\W\d_]+)[-/.](?:\d+|[^\W\d_]+)(?:[-/.]\d*)?")
_LONGEST_DATE = 11  # characters: 12-Mar-2019
_OLDEST = 89  # years: HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)
_LOOK = 60  # characters before and behind that decide


def number_mask(found: re.Match[str]) -> str | None:
    """Say what masks a run of letters and digits at its place in a line; None where it may be shown."""
    run, text = found[0], found.string
    before, after = text[max(0, found.start() - _LOOK) : found.start()], text[found.end() : found.end() + _LOOK]
    if _is_measured(run, before, after) or _is_counted(run, before, after):
        return None
    return "date" if _DATE_LIKE.fullmatch(run) and len(run) <= _LONGEST_DATE else "number"


def _is_measured(run: str, before: str, after: str) -> bool:
    return _ITSELF.fullmatch(run) is not None or any(
        form.fullmatch(run) and ahead.search(before) and behind.match(after) for form, ahead, behind in _BESIDE
    )


def _is_counted(run: str, before: str, after: str) -> bool:
    """Whether a number counts something, or ribs and vertebrae that stand further off, and is no part of a date."""
    if _COUNT.fullmatch(run) and _OPENS_ITEM.search(before):
        return True
    if _OF_DATE.search(before):
        return False
    if run in _FRACTIONS or (_COUNT.fullmatch(run) and int(run) <= _OLDEST):
        return True
    near = _RIBS_BEHIND.match(after) or _RIBS_BEFORE.search(before)
    return near is not None and _OF_RIBS.fullmatch(run) is not None
