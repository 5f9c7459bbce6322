"""Words that affirm, doubt or deny a finding, or place it in the past, and the range to which each applies.

To add a wording, add it to its group; ``benchmarks/bench_context.py`` measures the effect on sentences that were
labelled by hand.
"""

import re

from pipelines.text.clauses import BE, SEEN
from pipelines.text.trigger_parts import (
    ADVERBS,
    APPARENT,
    BACK,
    CHANGE,
    CLAUSE_END,
    CLINICALLY,
    DEGREE,
    DOUBTED,
    EARLIER_FILM,
    MAY_BE_NONE,
    NEITHER_EXCLUDED,
    NOT_YET_EXCLUDED,
    OF_SIGNS,
    ON_EARLIER_FILM,
    OTHER_SIDE_NONE,
    PAST_DISEASE,
    SEE,
    SOME_IS_LEFT,
    UNABLE,
    WELL,
    Meaning,
    Reach,
)

__all__ = ["PATTERNS"]

# Tried in this order; later triggers do not see text that an earlier one has matched. A space is any white space.
_TRIGGERS: tuple[tuple[Meaning, Reach, tuple[str, ...]], ...] = (
    (Meaning.HISTORY, Reach.FORWARD, (r"(?:known |prior |previous |remote )?history of", r"h/o", r"hx of")),
    (Meaning.UNCERTAIN, Reach.EARLIER, (MAY_BE_NONE,)),
    (Meaning.UNCERTAIN, Reach.BACKWARD, (rf"(?:neither|none)(?: of (?:these|those|them|which))? {NOT_YET_EXCLUDED}",)),
    (Meaning.UNCERTAIN, Reach.INSIDE, (NEITHER_EXCLUDED,)),
    (Meaning.UNCERTAIN, Reach.AROUND, (r"(?:more|less) likely than",)),
    (Meaning.HISTORY, Reach.FORWARD, (rf"\Aon (?:an? |the )?{EARLIER_FILM}",)),
    (
        Meaning.HISTORY,
        Reach.NEAR,
        (
            r"(?:status post|s/p|(?:is|are) post)",
            # A past disease leaves scars; an old fracture itself is still visible.
            (
                rf"(?:prior|previous|old|remote|past)(?= (?:\w+ ){{0,2}}{PAST_DISEASE})"
                r"(?! (?:\w+ ){0,3}(?:calcif\w+|scar\w*|granulomas?|nodul\w+|fractur\w+)\b)"
            ),
            r"(?:prior|previous)(?= (?:\w+ ){0,2}(?:repair|replacement|placement|resection|surgery))",
        ),
    ),
    (
        Meaning.HISTORY,
        Reach.BACKWARD,
        (
            rf"(?:was|were) {SEEN}? ?(?:previously )?(?:on|in) (?:an? |the |his |her )?{EARLIER_FILM}",
            rf"(?:was|were) previously {SEEN}{CLAUSE_END}",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.BACKWARD,
        (
            rf"(?:can ?not|can't|could not|couldn't) {ADVERBS}be {ADVERBS}(?:excluded|ruled out|assessed|evaluated)",
            (
                rf"(?:difficult|hard|impossible|not possible) to (?:\w+ )?(?:exclude|evaluate|assess|"
                rf"rule out)(?: \w+ly)?{CLAUSE_END}"
            ),
            r"(?:remains? )?(?:to|should|must|ought to|needs? to|has to) (?:first )?be (?:excluded|ruled out)",
            rf"(?:would|might|may) (?:well )?not (?:necessarily |always )?be (?:\w+ )?{SEEN}",
            rf"(?:difficult|hard|impossible) to (?:detect|see|identify|visuali[sz]e|appreciate|discern){CLAUSE_END}",
            r"neither \w+ nor (?:excluded|ruled out)",
            r"neither (?:excluded|ruled out) nor \w+",
            rf"(?:{BE} )?not (?:\w+ ){{0,2}}(?:excluded|ruled out|excludable)",
            rf"(?:{BE} )?not {WELL}[\s-](?:{SEEN}|assessed|evaluated)",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.FORWARD,
        (
            rf"{UNABLE} {ADVERBS}(?:exclud(?:e|ing)|rul(?:e|ing) out)",
            r"not (?:\w+ )?excluding",
            r"(?:neither|not) \w+ n?or (?:excludes?|rules? out)",
            r"not (?:\w+ )?excluded (?:is|are)",
            (
                r"(?:possibl[ey]|probabl[ey]|likely),? (?:but|though|although) not "
                r"(?:definite|certain|convincing|proven)(?:ly)?"
            ),
            rf"(?:difficult|hard|impossible) to {SEE}",
            r"may or may not be",
            r"(?:not|cannot be|can't be) (?:certain|sure) (?:that )?there (?:is|are) no",
            r"not (?:\w+ly )?(?:convinced|confident|persuaded)(?: (?:that )?there (?:is|are))?",
            r"(?:\A|(?<=[;,]\s))any(?= (?:\w+ ){1,4}?(?:is|are|must|would|will|should|has|have)\b)",
            r"should there be",
            APPARENT,
            (
                r"if(?= [^.,;]{1,60} (?:is|are|remains?) (?:\w+ )?(?:suspected|considered|of concern|a concern|"
                r"questioned|clinically))"
            ),
            r"to (?:\w+ )?(?:exclude|rule[ -]out|(?:assess|evaluate|look|check) for)",
            r"please exclude",
            r"rule[ -]out",
            r"r/o",
            r"(?:not|no) (?:clear|certain|sure) (?:if|whether)",
        ),
    ),
    (
        Meaning.NOTHING,
        Reach.FORWARD,
        (
            (
                rf"(?:no|not|nor|neither|nil|without|little) (?:{OF_SIGNS} )?(?:{BE} )?(?:any )?(?:{DEGREE} ){{0,3}}"
                rf"{CHANGE}(?: (?:or|nor) (?:\w+ly )?{CHANGE})?(?: (?:in|of|from|since|to)\b)?"
            ),
            (
                rf"(?:no|without) (?:{OF_SIGNS} )?(?:(?:{DEGREE}) ){{0,3}}(?:enlargement|growth) of"
                r"(?: the (?:known|previous(?:ly)?|existing)\b)"
            ),
            r"(?:no|without) (?:further|interval|new|significant|appreciable) (?:interval )?enlargement of",
            r"(?:no|without) (?:new|other|further|additional|acute) (?:abnormalit(?:y|ies)|findings?)(?= ?[.,;])",
            rf"(?:neither|none of)(?= (?:[\w-]+ ){{1,3}}(?:has|have|is|are) (?:{DEGREE} )?{CHANGE})",
            r"quer(?:y|ied) (?:the )?(?:cause|a?etiology|significance|nature)",
            rf"(?:it|this) (?:is|was) not (?:\w+ly )?{SEEN} (?:on|in) (?:the )?(?:other|lateral|frontal|pa|ap)",
            r"not only",
            r"not (?:un)?usual\w*",
            r"not (?:well )?(?:positioned|optimally \w+)",
            r"non[- ]?resolving",
            (
                r"(?:no|without|beyond|not in) (?:(?:any|a|all|reasonable|serious) )*(?:(?:reason|cause) to )?"
                r"(?:doubt|question)"
            ),
            r"no longer (?:enlarging|increasing|growing|progressing)",
            r"with (?:or|and) without",
            r"not (?:been )?(?:\w+ )?(?:resolved|cleared|removed|withdrawn|gone|disappeared)",
            r"(?:removed|withdrawn|pulled back|retracted|repositioned) (?:in)?to(?! the ward)",
            r"withdrawn (?:by|slightly|approximately|\d)",
            (
                r"(?:nearly|almost|part(?:ial)?ly|incompletely|largely|mostly|substantially) (?:completely |entirely )?"
                r"(?:resolved|cleared|disappeared|gone)"
            ),
            (
                r"(?:partial|incomplete|(?:near(?:ly)?|almost)[\s-](?:complete|total)|some|ongoing|continued|"
                r"progressive) (?:interval )?"
                r"(?:resolution|clearing|clearance)(?: of)?"
            ),
            r"(?:allow|ensure|document|confirm|demonstrate|verify|until) (?:\w+ )?(?:resolution|clearing)",
            r"likely (?:unchanged|stable)",
            rf"(?:not (?:\w+ )?{SEEN}|absent) (?:\w+ )?{ON_EARLIER_FILM}",
            rf"not (?:previously|formerly) {SEEN}?",
            OTHER_SIDE_NONE,
            # "Large right effusion; none on the left" does not deny the right one.
            rf"(?:(?<=[,;]\s)|(?<=\bbut\s)|(?<=\band\s))(?:none|nil) (?:{SEEN} )?(?:on|at|in) (?:the )?(?:left|right)",
        ),
    ),
    (
        Meaning.ABSENT,
        Reach.BACKWARD,
        (
            rf"(?:{BE} |has |have )?(?:not|no longer|never) (?:{BE} )?(?:\w+ly )?{SEEN}",
            rf"(?:{BE} |has |have |does |do |did )?(?:not|never) (?:{BE} )?(?:\w+ly )?{BACK}",
            rf"(?:{BE} |now |taken |come |pulled )*out{CLAUSE_END}",
            r"nil(?= ?(?:[.,;)]|\Z))",
            rf"{BE} (?:now |both |all |also )*(?:absent|negative|nil)",
            rf"{BE} no longer (?:there|in (?:place|situ|position))",
            rf"{BE} not (?:a |an? \w+ )(?:feature|finding|concern)",
            rf"{BE} (?:not|no longer|no more)(?= ?(?:[.,;)]|\Z))",
            (
                r"(?:can ?not|can't|could not|couldn't) (?:now |longer |clearly |definitely )?be (?:\w+ly )?"
                r"(?:seen|identified|visuali[sz]ed|demonstrated|detected|appreciated|found)"
            ),
            (
                rf"(?:appears?|{BE}) (?:\w+ )?(?:within (?:limits of normal|(?:the )?normal (?:limits|range))|"
                rf"normal{CLAUSE_END})"
            ),
            (
                r"(?:has|have|had) (?:now |since |also |completely |entirely |fully |all )*(?:resolved|cleared|"
                rf"disappeared|gone|subsided|settled|abated|re[\s-]?expanded){SOME_IS_LEFT}"
            ),
            rf"{BE} (?:now |since |completely |fully |both )*(?:resolved|cleared|gone|removed|ruled out|excluded)",
            (
                r"(?:has|have) been (?:\w+ )?(?:removed|ruled out|excluded|withdrawn|evacuated|drained|extubated)"
                rf"{SOME_IS_LEFT}"
            ),
            rf"(?:removed|resolved|cleared|gone|absent){CLAUSE_END}",
            rf"none(?: {SEEN})?(?! of)",
        ),
    ),
    (Meaning.ABSENT, Reach.LAST, (r"(?:removal|extraction|explantation)(?! of)",)),
    (
        Meaning.UNCERTAIN,
        Reach.BACKWARD,
        (
            (
                rf"(?:(?:{BE}|seems?|remains?|felt to be|considered|thought to be) )*(?:un|less |more |most |very )"
                rf"likely{CLAUSE_END}"
            ),
            rf"(?:{BE}|seems?|remains?) (?:also |most |quite |a )*{DOUBTED}{CLAUSE_END}",
            rf"(?:likely|probably|possibly|presumably|perhaps) (?:also )?{SEEN}",
            (
                r"(?:should|could|can|may|might|must|needs? to|ought to) (?:also |not |always )*(?:be )?"
                r"(?:considered|present|there|suspected|"
                r"a consideration)"
            ),
            r"(?:is|are) (?:also |again |still )?(?:raised|queried|questioned|suggested)",
            rf"(?:{BE}|remains?) in the differential",
            r"suggested(?= (?:on|in|by|at)\b)",
            r"(?:could|may|might|can) (?:also )?(?:have|give|produce|cause|mimic|explain|account for)",
            (
                r"(?:could|may|might|can|would) (?:\w+ )?(?:be (?:\w+ )?(?:missed|overlooked|hidden|masked|obscured)|"
                r"go undetected|escape detection)"
            ),
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.AROUND,
        (
            r"(?:if|whether) (?:there (?:is|are) any|any|present|at all|real|there)(?! (?:is|are))",
            r"(?:or|vs\.?|versus) (?:\w+ )?(?:artefact|artifact)",
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.LAST,
        (
            rf"(?<![,;]\s){CLINICALLY}",
            rf"(?<!if\s)(?<!clinically\s)(?:suspected|questioned|queried){CLAUSE_END}",
            r"(?:versus|vs)(?! (?:the )?(?:prior|previous|earlier|last))",
            (
                r"or (?:\w+ ){0,2}(?:nipple|skin|artefact|artifact|vessels?|vascular|superimpos\w+|overlap\w*|"
                r"summation|confluence|shadows?|technique|technical)"
            ),
        ),
    ),
    (
        Meaning.UNCERTAIN,
        Reach.FORWARD,
        (
            CLINICALLY,
            r"(?:versus|vs)(?! (?:the )?(?:prior|previous|earlier|last))",
            r"doubt(?:ful(?:ly)?|ed|s)?",
            r"quer(?:y|ied|ies|ying)",
            r"perhaps",
            r"conceivabl[ey]",
            (
                r"may(?! (?:be )?(?:helpful|obtain|useful|of|also be (?:useful|helpful)|\d|compare|consider|"
                r"correlate|help))"
                r"(?= [a-z])"
            ),
            r"(?:unclear|uncertain)(?: (?:if|whether|for))?",
            r"possib(?:le|ly|ility(?: of)?)",
            r"probab(?:le|ly|ility)",
            r"(?:un|less |more |most )?likely",
            r"might",
            r"could",
            r"can (?:represent|reflect|be seen)",
            r"suggest(?:s|ed|ing|ive|ions?)?(?: of)?",
            r"suspicious (?:for|of)",
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
            r"(?:if|whether) there (?:is|are)",
            r"(?:raises?|raising) (?:the )?(?:question|possibility|suspicion)(?: of)?",
        ),
    ),
    (
        Meaning.ABSENT,
        Reach.FORWARD,
        (
            rf"(?:can ?not|can't|could not|couldn't|unable to) (?:\w+ )?{SEE}",
            r"(?:no|not|without|nor|neither|never|none of|nil|w/o|nothing (?:to|of|for))",
            r"(?:negative|neg|unremarkable) for",
            r"(?:fail(?:s|ed|ure)?) to (?:show|demonstrate|reveal|identify)",
            r"absent(?= \w)",
            r"(?:absence|lack|free|devoid|clear|clearing|clearance|resolution|disappearance) of",
            r"free from",
            r"resolved",
            r"cleared(?! (?:from|in|on|at|of))",
            r"(?:rules? out|excludes?)",
            r"removal of",
        ),
    ),
)


def _compiled(triggers: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(triggers)})(?!\w)".replace(" ", r"\s+").replace(r"\s+?", r"\s*"))


PATTERNS = (
    (Meaning.UNCERTAIN, Reach.LAST, re.compile(r"\s*\(?\?\)?(?=\s*(?:[.,;)]|\Z))")),
    *((meaning, reach, _compiled(triggers)) for meaning, reach, triggers in _TRIGGERS),
)
"""Compiled triggers for a lower-case sentence, in the order in which they are tried, after the answers."""
