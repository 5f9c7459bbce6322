"""Dates, times, ages, places and contact data that are known by their form, whatever words they are made of."""

import re
from collections.abc import Iterator

__all__ = ["Masked", "patterns_in"]

Masked = tuple[int, int, str]
"""Where what is masked begins and ends, and its mask."""

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
# A number with its unit is a measurement, and stays.
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

# In this order: what is masked whole stands before what would mask a part of it.
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
        # Above 89 an age identifies, and below it helps.
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
    """Find what is masked for its form. What is found may overlap."""
    for mask, pattern in _RULES:
        for found in pattern.finditer(text):
            if found.end() > found.start():
                yield found.start(), found.end(), mask
    for found in _AFTER_WORD.finditer(text):
        yield found.start(1), found.end(1), "number"
