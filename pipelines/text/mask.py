"""Names, dates and numbers of a report are masked before it is shown."""

import re

from pipelines.study import Identifiers

__all__ = ["mask_identifiers", "mask_known"]

_TITLE = r"(?:Dr|DR|Mr|MR|Mrs|MRS|Ms|MS|Prof|PROF|Doctor|Professor|Miss|Nurse|Sister)\b"
_NAME_WORD = rf"(?!{_TITLE})(?:(?:(?:van|von|der|den|de|la|del|di|da|bin|al)[ \t]+){{0,3}}(?:[A-Z]\.|[A-Z][\w'’-]*))"
_NAMES = rf"{_NAME_WORD}(?:[ \t]+{_NAME_WORD}){{0,3}}"
_NO_NAME = r"(?!(?i:chest|image|imaging|system|film|study|angiogra\w+|examination|scan)\b)"  # "DR chest", "MR imaging"
_ROLE = r"(?:(?:attending|referring|ordering|resident)[ \t]+)?(?:physician|radiologist|provider|clinician|technologist)"
_DONE_BY = (
    r"(?:dictated|signed|read|reviewed|interpreted|reported|verified|transcribed|approved|performed|requested|ordered|"
    r"referred|attested|discussed|communicated|relayed|paged|notified)[ \t]+(?:in[ \t]+person[ \t]+)?(?:by|with|to)"
)
_NUMBERED = (
    r"(?:mrn|accession|acc|account|patient id|exam id|ssn|nhs|insurance|id|"
    r"pager|phone|tel|telephone|fax|extension|beeper)"
)
_DEGREE = r"(?:,?[ \t]+(?:M\.?D|D\.O|Ph\.?D|FRCR|MBBS)|,[ \t]*(?:RN|NP|PA|DO))"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\b"
)
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_ORDINAL = r"(?:st|nd|rd|th)?"
# A number with its unit is a measurement, and stays.
_UNIT = r"(?:mm|cm|ml|cc|l|mg|mgy|mas|kvp?|hu|g|kg|%|percent|degrees?|french|fr)\b"


def _rule(mask: str, pattern: str, *, any_case: bool = True) -> tuple[re.Pattern[str], str]:
    """A pattern and what replaces it; its groups "before" and "after" stay as they are."""
    kept_before = r"\g<before>" if "(?P<before>" in pattern else ""
    kept_after = r"\g<after>" if "(?P<after>" in pattern else ""
    return re.compile(pattern, re.IGNORECASE if any_case else 0), f"{kept_before}[{mask}]{kept_after}"


# In this order: what is masked whole stands before what would mask a part of it.
_RULES = (
    _rule("e-mail", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    _rule("link", r"\b(?:https?://|www\.)\S+"),
    _rule("number", rf"(?P<before>\b{_NUMBERED}\b(?:[ \t]+(?:number|no|nr))?[ \t.:#]*)(?=[\w-]*\d)[\w-]+"),
    # 2019-03-12 and 2019-03-12T10:00:00; 12.03.2019, 3/12/19; March 2019, 03/2019.
    _rule("date", rf"\b{_YEAR}[-/.]{_DAY}[-/.]{_DAY}(?!\d)(?:T[\d:.]+Z?)?"),
    _rule("date", r"(?<![\w.])\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?!\w|\.\d)"),
    # 12 March, 12-Mar-2019, 12th of March '19; March 12th, 2019.
    _rule("date", rf"\b{_DAY}{_ORDINAL}(?:[ \t]+of)?[ \t.-]*{_MONTH}(?:[ \t,.-]*(?:{_YEAR}|'?\d\d)\b)?"),
    _rule("date", rf"\b{_MONTH}[ \t.-]*{_DAY}{_ORDINAL}\b(?:[ \t,.-]+{_YEAR}\b)?"),
    _rule("date", rf"\b{_MONTH}[ \t,.-]*(?:of[ \t]+)?{_YEAR}\b"),
    _rule("date", rf"(?<![\w/])(?:0?[1-9]|1[0-2])/{_YEAR}\b"),
    # Thirds and halves of a lung are written like days of a month.
    _rule(
        "date",
        r"(?P<before>\b(?:on|from|dated?|since|of|prior|to|and|study)[ \t:]+)(?![12]/[234]\b)\d{1,2}/\d{1,2}(?![\w/])",
    ),
    # 14:30, 2:30:05 p.m., 3 pm, 1430 hours.
    _rule("time", r"\b\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[ \t]*(?:[ap]\.m\.|[ap]m\b|h(?:ou)?rs?\b))?"),
    _rule("time", r"\b\d{1,2}[ \t]*(?:[ap]\.m\.|[ap]m\b)"),
    _rule("time", r"\b\d{3,4}[ \t]*h(?:ou)?rs?\b"),
    # Telephone numbers, with or without country code.
    _rule("number", r"(?<![\w.])(?:\+\d{1,3}[ \t.-]?)?(?:\(\d{2,5}\)[ \t.-]?)?\d{2,5}(?:[ .-]\d{2,5}){2,4}(?!\w|\.\d)"),
    _rule("number", r"(?<![\w.])(?:\(?\d{3}\)?[ .-]?)?\d{3}[ .-]\d{4}(?!\w)"),
    # Above 89 an age identifies.
    _rule("age", r"\b\d{1,3}(?P<after>[ -]?(?:(?:years?|yrs?)[ -]?(?:old|of age)|yo|y/o)\b)"),
    # Names after a title, after a role or a deed, and before a degree. "MR" and "MS" without a full stop are no titles.
    _rule("name", rf"(?P<before>\b(?:Dr|DR|Mr|Mrs|MRS|Ms|Prof)(?:\.[ \t]*|[ \t]+)){_NO_NAME}{_NAMES}", any_case=False),
    _rule("name", rf"(?P<before>\b(?:MR|MS|PROF)\.[ \t]*){_NAMES}", any_case=False),
    _rule("name", rf"(?P<before>\b(?:Doctor|Professor|Miss|Nurse|Sister)[ \t]+){_NAMES}", any_case=False),
    _rule("name", rf"(?P<before>\b(?:dr|mr|mrs|ms)\.?[ \t]+){_NO_NAME}[a-z][\w'’-]+", any_case=False),
    _rule("name", rf"(?P<before>\b(?i:{_DONE_BY})[ \t:]+){_NAMES}", any_case=False),
    _rule(
        "name",
        rf"(?P<before>\b(?i:patient(?:'s)?[ \t]+name|name|patient|attending|resident|{_ROLE})[ \t]*:[ \t]*){_NAMES}",
        any_case=False,
    ),
    _rule("name", rf"\b{_NAMES}(?P<after>{_DEGREE}\b\.?)", any_case=False),
    # Identifiers of letters and digits; "T12", "3rd", "L4-5" and the like are short and stay.
    _rule("number", r"(?<![\w.])(?=(?:[\w-]*\d){4})(?=[\w-]{6,})[A-Za-z]{1,6}[\w-]*\d[\w-]*(?!\w)"),
    _rule("number", r"(?<!\w)\d+(?:\.\d+){3,}(?!\w)"),  # UIDs
    _rule("number", rf"(?<![\w.,])\d[\d,-]*\d{{3,}}(?:-\d+)*(?!\w|\.\d|[ \t]?{_UNIT})"),
)

# No identifier goes over the end of a line. Endless lines are cut at a space, so that hostile text costs no hour.
_PIECE = re.compile(r"[^\n]{1,600}(?:(?=[ \t\n])|\Z)|[^\n]{1,600}|\n")


def mask_identifiers(text: str) -> str:
    """Replace names, dates, times, contact data and long numbers by what they were: "[name]", "[date]", "[number]" ...

    Measurements, vertebrae and ribs stay. Masking a masked text changes nothing. A name is known by its title, its role
    or its degree: one that stands in a sentence like any other word is not found, so a masked text is safer to show and
    is not de-identified.

    Source: HIPAA Safe Harbor, 45 CFR 164.514(b)(2), for what identifies.
    """
    return "".join(map(_masked, _PIECE.findall(text)))


def mask_known(text: str, known: Identifiers) -> str:
    """Replace what the header of a report's images says of people and places, wherever the report repeats it.

    A name is found without title too, in capitals or not; with :func:`mask_identifiers` behind it the rest is masked.
    """
    for mask, values in (("number", known.others), ("name", known.names)):
        if values:
            longest_first = sorted(values, key=len, reverse=True)
            pattern = "|".join(r"\s+".join(map(re.escape, value.split())) for value in longest_first)
            text = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", f"[{mask}]", text, flags=re.IGNORECASE)
    return text


def _masked(piece: str) -> str:
    while (masked := _mask_once(piece)) != piece:  # each round leaves fewer unmasked letters, so this ends
        piece = masked
    return piece


def _mask_once(text: str) -> str:
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
