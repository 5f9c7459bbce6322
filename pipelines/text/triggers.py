"""Words that affirm, doubt or deny a finding, or put it into the past, and how far each reaches.

To teach the tool a wording, add it to its group; ``benchmarks/bench_context.py`` says what that does to sentences that
were labelled by hand.
"""

import re
from enum import Enum

__all__ = ["PATTERNS", "Meaning", "Reach"]


class Reach(Enum):
    """Which words of a sentence a trigger speaks of."""

    FORWARD = "forward"
    BACKWARD = "backward"
    NEAR = "near"  # forward, and no further than the words of one finding


class Meaning(Enum):
    """What a trigger says about the findings that it reaches."""

    NOTHING = "nothing"  # looks like a trigger and is none
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    HISTORY = "history"  # speaks of the patient's past, not of this image


_BE = r"(?:is|are|was|were|be|been)"
_SEEN = (
    r"(?:seen|identified|visuali[sz]ed|demonstrated|noted|appreciated|evident|apparent|present|detected|observed|found|"
    r"visible|suggested|shown)"
)
_DEGREE = (
    r"(?:significant|interval|appreciable|substantial|definite|real|acute|obvious|further|gross|radiographic|evident|"
    r"relevant|major|other|convincing|marked|discernible|detectable|short|term|or)"
)
_CHANGE = (
    r"(?:changed?|increase[ds]?|decrease[ds]?|progression|improve(?:ment|d)|worsen(?:ing|ed)|differen(?:t|ce)|growth)"
)
_ADVERBS = r"(?:\w+ ){0,2}"
_WELL = r"(?:well|fully|clearly|adequately|optimally|definitely)"
_UNABLE = (
    r"(?:can ?not|can't|could not|couldn't|unable to|(?:difficult|hard|impossible|not possible) to|"
    r"(?:does|do|would) not|without)"
)
_DOUBTED = r"(?:possible|likely|suspected|question(?:ed|able)|favou?red|probable|possibility|consideration)"
_PAST_DISEASE = (
    r"(?:granulomat\w+|tubercul\w+|histoplasm\w+|infect\w+|pneumonias?|disease|process|inflammat\w+|o?edema|failure|chf|"
    r"pneumothora\w+)"
)
_EARLIER_FILM = (
    r"(?:prior|previous|old|older|earlier|outside)(?: \w+){0,2} (?:cts?|scans?|stud(?:y|ies)|exam\w*|films?|x-?rays?|"
    r"radiographs?)"
)
_CLAUSE_END = r"(?= ?(?:[.,;)]|\Z)| (?:given|in|on|at|based|but|and|although|however|with)\b)"

# In this order; what one trigger has taken, the later ones do not see. A space is any white space.
_TRIGGERS: tuple[tuple[Meaning, Reach, tuple[str, ...]], ...] = (
    (Meaning.HISTORY, Reach.FORWARD, (r"(?:known |prior |previous |remote )?history of", r"h/o", r"hx of")),
    (Meaning.HISTORY, Reach.FORWARD, (rf"\Aon (?:an? |the )?{_EARLIER_FILM}",)),
    (
        Meaning.HISTORY,
        Reach.NEAR,
        (
            r"(?:status post|s/p|(?:is|are) post)",
            # A disease that is over leaves scars; an old fracture is itself still seen.
            rf"(?:prior|previous|old|remote|past)(?= (?:\w+ ){{0,2}}{_PAST_DISEASE})",
            r"(?:prior|previous)(?= (?:\w+ ){0,2}(?:repair|replacement|placement|resection|surgery))",
        ),
    ),
    (
        Meaning.HISTORY,
        Reach.BACKWARD,
        (rf"(?:was|were) (?:seen|noted|identified|visuali[sz]ed) (?:on|in) (?:an? |the )?{_EARLIER_FILM}",),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.BACKWARD,
        (
            rf"(?:can ?not|can't|could not|couldn't) {_ADVERBS}be {_ADVERBS}(?:excluded|ruled out|assessed|evaluated)",
            r"(?:difficult|hard) to (?:exclude|evaluate|assess)(?= ?(?:[.,;]|\Z))",
            rf"(?:{_BE} )?not (?:\w+ )?(?:excluded|ruled out)",
            rf"(?:{_BE} )?not {_WELL}[\s-](?:{_SEEN}|assessed|evaluated)",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.FORWARD,
        (
            rf"{_UNABLE} {_ADVERBS}(?:exclud(?:e|ing)|rul(?:e|ing) out)",
            r"not (?:\w+ )?excluding",
            r"to (?:\w+ )?(?:exclude|rule out|(?:assess|evaluate) for)",
            r"rule out",
            r"r/o",
        ),
    ),
    (
        Meaning.NOTHING,
        Reach.FORWARD,
        (
            rf"(?:no|not|without) (?:{_DEGREE} ){{0,3}}(?:{_CHANGE}|enlargement of)(?: (?:in|of|from|since|to)\b)?",
            r"not only",
            r"no doubt",
            r"with (?:or|and) without",
            r"not (?:\w+ )?(?:resolved|cleared)",
            r"(?:nearly|almost|part(?:ial)?ly|incompletely|largely|mostly) (?:completely )?(?:resolved|cleared)",
            r"(?:partial|incomplete|near[\s-](?:complete|total)) (?:interval )?(?:resolution|clearing)",
            r"(?:allow|ensure|document|confirm|demonstrate|verify|until) (?:\w+ )?(?:resolution|clearing)",
            r"likely (?:unchanged|stable)",
            rf"not (?:\w+ )?{_SEEN} (?:\w+ )?(?:on|in) (?:an? |the )?(?:prior|previous|earlier|older?)",
        ),
    ),
    (
        Meaning.ABSENT,
        Reach.BACKWARD,
        (
            rf"(?:{_BE} |has |have )?(?:not|no longer|never) (?:{_BE} )?(?:\w+ly )?{_SEEN}",
            rf"{_BE} absent",
            r"(?:has|have|had) (?:now |since |also |completely |entirely )*(?:resolved|cleared|disappeared)",
            rf"{_BE} (?:now |since |completely )*(?:resolved|cleared|gone|removed|ruled out|excluded)",
            r"(?:has|have) been (?:\w+ )?(?:removed|ruled out|excluded|withdrawn|evacuated|drained)",
            rf"resolved{_CLAUSE_END}",
            rf"none(?: {_SEEN})?",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.BACKWARD,
        (
            rf"(?:(?:{_BE}|seems?|remains?|felt to be|considered|thought to be) )*(?:un|less )likely{_CLAUSE_END}",
            rf"(?:{_BE}|seems?|remains?) (?:also |most |quite |a )*{_DOUBTED}{_CLAUSE_END}",
            r"(?:should|could|can) (?:also )?be considered",
            rf"{_BE} in the differential",
            r"suggested(?= (?:on|in|by|at)\b)",
            r"(?:could|may|might|can) (?:also )?(?:have|give|produce|cause|mimic)",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.FORWARD,
        (
            r"possib(?:le|ly|ility(?: of)?)",
            r"probab(?:le|ly|ility)",
            r"(?:un|less |more |most )?likely",
            # "May" alone is also a month.
            rf"may {_ADVERBS}(?:be|represent|reflect|relate|indicate|suggest|have|correspond|account)\w*",
            r"might",
            r"could",
            r"can (?:represent|reflect|be seen)",
            r"suggest(?:s|ed|ing|ive)?(?: of)?",
            r"suspicious for",
            r"suspicion",
            r"suspect(?:s|ed)?",
            r"concern(?:ing|s|ed)? (?:for|of|about)",
            r"worrisome for",
            r"question(?:able|ed|s|ing)?(?: of)?",
            r"equivocal",
            r"presum(?:ed|ably|ptive)",
            r"differential",
            r"consider(?:ation (?:of|for))?",
            r"borderline",
            r"potential(?:ly)?",
            r"rather than",
            r"favou?r(?:ed|s|ing)?",
            r"(?:evaluat|assess|correlat|surveill)\w* (?:\w+ )?for",
            r"if there (?:is|are)",
        ),
    ),
    (
        Meaning.ABSENT,
        Reach.FORWARD,
        (
            r"(?:no|not|without|nor|neither|never|none of)",
            r"negative for",
            r"(?:absence|lack|free|devoid|clear|clearing|resolution) of",
            r"free from",
            r"resolved",
            r"(?:rules? out|excludes?)",
            r"removal of",
        ),
    ),
)


def _compiled(triggers: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(triggers)})(?!\w)".replace(" ", r"\s+").replace(r"\s+?", r"\s*"), re.IGNORECASE)


PATTERNS = tuple((meaning, reach, _compiled(triggers)) for meaning, reach, triggers in _TRIGGERS)
"""Compiled triggers, in the order in which they are tried."""
