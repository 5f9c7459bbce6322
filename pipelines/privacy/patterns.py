"""Patterns of dates, numbers and addresses in a report, and the normal form in which words are compared."""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["Masked", "folded", "normal_form", "number_mask", "patterns_in"]

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\u02b9\u0060\u00b4\u2032\u05f3"), "'")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u00ad\u058a\u30a0"), "-")
_PLAIN = _APOSTROPHES | _DASHES | {0x00AD: None, 0x034F: None, 0x2044: "/", 0x2215: "/"}


def normal_form(text: str) -> str:
    """Compose letters with their marks, convert full-width forms, and remove invisible characters.

    Typographic apostrophes and dashes become ASCII. Plain ASCII is unchanged.

    Source: Unicode Standard Annex 15, form NFKC; general category Cf (format characters).
    """
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFKC", text.translate(_PLAIN))
    return "".join(char for char in composed.translate(_PLAIN) if unicodedata.category(char) != "Cf")


def folded(text: str) -> str:
    """Convert letters to lower case, one to one, so that positions in the text are preserved."""
    return text.lower() if text.isascii() else "".join(low if len(low := char.lower()) == 1 else char for char in text)


Masked = tuple[int, int, str]
"""Start and end of a masked range, and its mask."""

_ITS_NUMBER = r"(?:id|number|no|nr|code)"
_NUMBERED = (
    r"(?:mrn|pid|accession|acc|acct|account|patient id|bed|room|ward|suite|floor|bay|serial|device serial|lot|sn|s/n|"
    r"policy|member|licen[sc]e|medical record|ssn|nhs|npi|insurance|id|pager|phone|tel|telephone|mobile|cell|fax|"
    r"extension|extn?|beeper|callback|call|zip|apt|apartment|visit|encounter|record|chart|box)"
    rf"(?:[ \t]+(?:{_ITS_NUMBER}|at|on|is|was))?\.?[ \t]*[:#=]?[ \t]*"
)
_MAYBE_NUMBERED = (
    r"(?:exam|study|case|file|unit|order|device|hospital|patient|film)[ \t]*"
    rf"(?:{_ITS_NUMBER}\b[ \t.:#=]*|[:#=][ \t]*|(?=[ ]\d{{3}}) )"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\b"
)
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL = r"(?:st|nd|rd|th)?"
_SPOKEN_DAY = (
    r"(?:(?:twenty|thirty)[- ])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|tenth|eleventh|twelfth|"
    r"\w{3,6}teenth|twentieth|thirtieth"
)
# A number with its unit is a measurement, and is kept.
_UNIT = (
    r"(?:mm|cm|ml|cc|l|mg|mgy|mas|kvp?|hu|g|kg|%|percent|degrees?|french|fr|weeks?|days?|months?|years?|hours?|views?|"
    r"(?:milli|centi)met(?:er|re)s?)(?![^\W\d_])"
)
_NO_UNIT = rf"(?![\d.,]*(?:[ ]*[-x][ ]*\d[\d.,]*)*[ -]*{_UNIT})"
_STREET = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|square|terrace|parkway|highway|"
    r"close|crescent)"
)
_VERBS = (
    r"(?:represent|reflect|be|also|indicate|suggest|relate|have|cause|simply|still|not|correspond|correlate|well|require|"
    r"need|obscure)"
)

_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)"

# In this order: patterns for a whole identifier come before those for a part of it.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (mask, re.compile(pattern, 0 if mask == "name" else re.IGNORECASE))
    for mask, pattern in (
        ("e-mail", r"[\w.+%'-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"),
        ("link", r"\b(?:[a-z][a-z0-9+]{1,9}://|www\.)\S+"),
        (
            "link",
            r"(?<![\w.])(?:[a-z0-9-]{1,63}\.){1,5}(?:com|org|net|edu|gov|local|lan|example|de|fr|uk|eu|info|health|hospital)\b(?:/\S*)?",
        ),
        ("link", r"\\\\[\w.-]+\\\S+|(?<![\w/])/(?:\w[\w.-]*/){2,}\S*|\b[a-z]:\\\S+"),
        ("number", r"(?<![\w.:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"),
        # 14:30, 2:30:05 p.m., 3 pm, 1430 hours, 14h30.
        ("time", r"\b\d{1,2}[:.h]\d{2}(?::\d{2}(?:\.\d+)?)?[ \t]*(?:[ap]\.m\.|[ap]m\b|h(?:ou)?rs?\b|uhr\b|z\b)"),
        ("time", r"\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\b|\b\d{1,2}[ \t]?h[ \t]?\d{2}(?:[ \t]?min)?\b"),
        ("time", r"\b\d{1,2}[ \t]*(?:[ap]\.m\.|[ap]m\b|o'?clock\b)"),
        ("time", r"\b\d{3,4}[ \t]*h(?:(?:ou)?rs?)?\b"),
        # 2019-03-12T10:00:00, 12 March '19, March 12th, 2019, 2019Mar12, the twelfth of March, March 2019.
        ("date", rf"\b{_YEAR}[-/.]{_DAY}[-/.]{_DAY}(?!\d)(?:T[\d:.]+Z?)?"),
        ("date", rf"\b{_YEAR}[-/. ]?{_MONTH[:-2]}[-/. ]?\d{{1,2}}\b"),
        (
            "date",
            (
                rf"\b{_DAY}{_ORDINAL}(?:[ \t]+of)?[ \t./-]*{_MONTH[:-2]}(?:[ \t,./-]*(?:{_YEAR}|'?\d\d))?"
                rf"(?![^\W_])(?![ ]+{_VERBS}\b)"
            ),
        ),
        ("date", rf"\b{_MONTH}[ \t./-]*{_DAY}{_ORDINAL}\b(?![ ]*{_UNIT})(?:[ \t,.'-]+(?:{_YEAR}|\d\d)\b)?"),
        ("date", rf"\b{_MONTH}[ \t,./'-]*(?:of[ \t]+)?{_YEAR}\b|\b{_MONTH}[ ]?'\d\d\b"),
        (
            "date",
            rf"\b(?:{_SPOKEN_DAY})[ ]+(?:of[ ]+|day[ ]+of[ ]+)?{_MONTH}|\b{_MONTH}[ ]+(?:the[ ]+)?(?:{_SPOKEN_DAY})\b",
        ),
        (
            "date",
            (
                r"(?<![\w.])(?<!ribs )(?<!rib )(?<!levels )\d{1,2}[ ]?[-/.][ ]?\d{1,2}[ ]?[-/.][ ]?(?:\d{4}|'?\d{2})"
                r"(?!\w|\.\d|[ ]*(?:mm|cm)\b|[ ]+ribs?\b)"
            ),
        ),
        ("date", rf"\b(?:1[0-2]|0?[1-9])[-/.]{_YEAR}\b|\b{_YEAR}[-/.](?:1[0-2]|0[1-9])\b|\b(?:q[1-4][ /-]?){_YEAR}\b"),
        ("date", rf"(?<![\w.,/:-]){_YEAR}(?:[-/](?:{_YEAR}|\d\d))?(?![\w-]|[.,:]\d|[ ]*{_UNIT})"),
        ("date", r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day(?:'s)?\b"),
        ("date", r"\b(?:january|february|april|june|july|august|september|october|november|december)\b"),
        ("date", r"(?<=\b(?i:in|of) )(?:march|may)\b(?![ ]+(?:be|represent|fracture))"),
        ("date", r"(?<![\w'])'\d\d\b"),
        ("date", r"(?<=\bdob)[ :]+\d[\d ./-]*\d|(?<=\bborn)(?:[ ]on)?[ :]+\d[\d ./-]*\d"),
        ("number", rf"\b{_DIGIT}(?:[ ,-]+{_DIGIT}){{3,}}\b"),
        # Telephone numbers, with or without country code.
        (
            "number",
            (
                rf"(?<![\w.])(?<!ribs )(?:\+\d{{1,3}}[ .-]?)?(?:\(\d{{1,5}}\)[ .-]?)?\d{{2,5}}(?:[ .-]\d{{2,5}}){{2,4}}"
                rf"(?!\w|\.\d|[ ]*{_UNIT}|[ ]+ribs?\b)"
            ),
        ),
        ("number", rf"(?<![\w.])(?:\(?\d{{3}}\)?[ .-]?)?\d{{3}}[ .-]\d{{4}}(?!\w|[ ]*{_UNIT})"),
        ("number", r"(?<!\w)\+\d[\d ()./-]{4,18}\d"),
        # An age above 89 identifies a patient; below, it is useful.
        ("age", r"\b\d{1,3}(?=[ -]?(?:(?:years?|yrs?)[ -]?(?:olds?|of[ -]age)|y\.?[ ]?/?[ ]?o\b\.?|yof\b|yom\b))"),
        ("age", r"(?<=\bage )\d{1,3}\b|(?<=\bage: )\d{1,3}\b|(?<=\baged )\d{1,3}\b|(?<=\bage of )\d{1,3}\b"),
        (
            "age",
            r"\b\d{1,3}(?=[ ]?/?[ ]?[FM]\b(?![^.;\n]{0,16}\b(?:catheter|tube|drain|sheath|pigtail))(?![ ]*[-.]?\d))",
        ),
        (
            "age",
            (
                r"\b(?:ninety|(?:one[- ])?hundred)(?:[- ]\w+)?(?=[- ](?:years?|yr|yo\b|y/o))|"
                r"(?<=\baged )ninety(?:[- ]\w+)?|\bnonagenarian|\bcentenarian"
            ),
        ),
        ("age", r"\b(?:9\d|1[0-2]\d)(?=[ -](?:years?|yrs?)\b)"),
        (
            "address",
            rf"\b\d{{1,5}}[a-z]?[ ]+(?:[\w.'-]+[ ]+){{1,4}}{_STREET}\b\.?(?:,?[ ]+(?:apt|unit|suite|#)\.?[ ]*\w+)?",
        ),
        ("number", r"#[ ]?(?=[\w-]*\d)[\w-]+"),
    )
)
_AFTER_WORD = re.compile(
    rf"\b(?:{_NUMBERED}|{_MAYBE_NUMBERED})((?=[\w/-]*\d){_NO_UNIT}(?!\d{{1,2}}[ ]+[a-z]{{3}})[\w/-]+(?:\.\w+)*)",
    re.IGNORECASE,
)


def patterns_in(text: str) -> Iterator[Masked]:
    """Find text with the form of an identifier. The results may overlap."""
    for mask, pattern in _RULES:
        for found in pattern.finditer(text):
            if found.end() > found.start():
                yield found.start(), found.end(), mask
    for found in _AFTER_WORD.finditer(text):
        yield found.start(1), found.end(1), "number"


_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_MEASURE_UNIT = (
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

# Numbers that may be shown in any context.
_ITSELF = re.compile(
    rf"{_LEVEL}(?:[-/](?:{_LEVEL}|1[0-2]|[1-9]))*|{_NUMBER}(?:[x-]{_NUMBER})*{_MEASURE_UNIT}|h[1-9]n[1-9]|[sp]{{0,2}}[ac]?o2|b12|fev1|"
    r"[23]d|x[1-9]|n95|[1-4](?:v|vws?|views?)|0\.\d{1,3}",
    re.IGNORECASE,
)
# Numbers that may be shown in a context: the number, the words before and the words after it.
_BESIDE = tuple(
    (re.compile(run, re.IGNORECASE), re.compile(rf"(?:{before})\Z", re.IGNORECASE), re.compile(after, re.IGNORECASE))
    for run, before, after in (
        # 3 cm, 3-4 cm, 3 x 4 cm, 3 to 4 weeks
        (rf"{_NUMBER}(?:-{_NUMBER})?", "", rf"(?:{_JOINED}{_NUMBER}){{0,3}}[ -]*(?:{_MEASURE_UNIT}|{_TIME_UNIT})"),
        (r"\d{1,2}(?:\.\d{1,2})?", "", rf"[ ]*(?:x|by|\u00d7)[ ]*{_NUMBER}(?!\w)"),
        (r"\d{1,2}(?:\.\d{1,2})?", rf"{_NUMBER}[ ]*(?:{_MEASURE_UNIT})?[ ]*(?:x|by|\u00d7)[ ]*", ""),
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
_LOOK = 60  # characters before and after that are considered


def number_mask(found: re.Match[str]) -> str | None:
    """Return the mask for a run of letters and digits at its position in a line; None if it may be shown."""
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
    """Return True if a number counts something, or ribs and vertebrae further away, and is not part of a date."""
    if _COUNT.fullmatch(run) and _OPENS_ITEM.search(before):
        return True
    if _OF_DATE.search(before):
        return False
    if run in _FRACTIONS or (_COUNT.fullmatch(run) and int(run) <= _OLDEST):
        return True
    near = _RIBS_BEHIND.match(after) or _RIBS_BEFORE.search(before)
    return near is not None and _OF_RIBS.fullmatch(run) is not None
