"""The meaning of trigger words for findings, and the words of the sentence to which they apply."""

from enum import Enum

__all__ = [
    "ADVERBS",
    "APPARENT",
    "BACK",
    "CHANGE",
    "CLAUSE_END",
    "CLINICALLY",
    "DEGREE",
    "DOUBTED",
    "EARLIER_FILM",
    "MAY_BE_NONE",
    "NEITHER_EXCLUDED",
    "NOT_YET_EXCLUDED",
    "OF_SIGNS",
    "ON_EARLIER_FILM",
    "OTHER_SIDE_NONE",
    "PAST_DISEASE",
    "SEE",
    "SOME_IS_LEFT",
    "UNABLE",
    "WELL",
    "Meaning",
    "Reach",
]


class Reach(Enum):
    """The words of a sentence to which a trigger applies."""

    FORWARD = "forward"
    BACKWARD = "backward"
    NEAR = "near"  # forward, limited to the words of one finding
    LAST = "last"  # the one finding named before it
    EARLIER = "earlier"  # the last finding named before it, in any clause
    INSIDE = "inside"  # the findings between its own words: "neither A nor B can be excluded"
    AROUND = "around"  # the one before it, and forward
    ANSWER = "answer"  # backward to what it answers ("PTX, effusion: none"), limited by an earlier answer


class Meaning(Enum):
    """The meaning of a trigger for the findings to which it applies."""

    NOTHING = "nothing"  # looks like a trigger but is not one
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    HISTORY = "history"  # the patient's past, not this image


DEGREE = (
    r"(?:significant|interval|appreciable|substantial|definite|real|acute|obvious|further|gross|radiographic|evident|"
    r"relevant|major|other|convincing|marked|discernible|detectable|short|term|or|much|great|measurable|material|clear|"
    r"overall|large|noticeable|demonstrable|new|yet)(?:ly)?"
)
CHANGE = (
    r"(?:changed?|changing|alter(?:ed|ation)|increas(?:ed?|es|ing)|decreas(?:ed?|es|ing)|progress(?:ion|ed|ing)?|"
    r"improv(?:e|es|ement|ed|ing)|worsen(?:ing|ed)?|differen(?:t|ce)|growth|resolution|resolving|clearing|clearance|"
    r"regress(?:ion|ed)|reduc(?:tion|ed)|diminish(?:ed|ing)|evolution|deteriorat(?:ion|ed)|larger|smaller|bigger|worse|"
    r"better|more|less|enlarged since|grown)"
)
OF_SIGNS = r"(?:evidence|sign|signs|suggestion|indication|features) of"
ADVERBS = r"(?:\w+ ){0,2}"
_HOW = r"(?:(?:\w+ly|yet|now|here|also|well) )*"
_EXCLUDED = r"(?:excluded|ruled out|dismissed)"
# After "neither", "nor" or "none of".
NOT_YET_EXCLUDED = (
    rf"(?:(?:can|could|may) {_HOW}be {_HOW}(?:{_EXCLUDED}|assessed|evaluated)|"
    rf"(?:is|are|was|were|has been|have been) {_HOW}{_EXCLUDED})"
)
_SAME_CLAUSE = r"(?:(?!\b(?:is|are|was|were|has|have|but|and|which|that|there)\b)[^.;:]){1,120}?"
# "Not excluded" does not deny a finding.
NEITHER_EXCLUDED = (
    rf"(?:neither|nor|none of) {_SAME_CLAUSE} {NOT_YET_EXCLUDED}|"
    rf"(?:neither|nor) (?:can|could|may|is|are) {_SAME_CLAUSE} (?:be )?{_HOW}{_EXCLUDED}"
)
WELL = r"(?:well|fully|clearly|adequately|optimally)"
UNABLE = (
    r"(?:can ?not|can't|could not|couldn't|unable to|(?:difficult|hard|impossible|not possible) to|"
    r"(?:does|do|would) not|without)"
)
DOUBTED = (
    r"(?:possible|likely|suspected|question(?:ed|able)|favou?red|probable|possibility|consideration|doubtful|doubted|"
    r"presumed|equivocal|indeterminate|uncertain|unclear|in doubt|conceivable)"
)
PAST_DISEASE = (
    r"(?:granulomat\w+|tubercul\w+|histoplasm\w+|infect\w+|pneumonias?|disease|process|inflammat\w+|o?edema|"
    r"failure|chf|"
    r"pneumothora\w+)"
)
EARLIER_FILM = (
    r"(?:prior|previous|old|older|earlier|outside)(?: \w+){0,2} (?:cts?|scans?|stud(?:y|ies)|exam\w*|films?|x-?rays?|"
    r"radiographs?)"
)
CLINICALLY = r"in (?:the|an?) (?:appropriate|right|proper|correct) clinical (?:setting|context|scenario)"
ON_EARLIER_FILM = (
    r"(?:previously|before|earlier|then|last|yesterday|(?:on|in|at|as of) (?:an? |the )?"
    r"(?:(?:most )?(?:recent|immediate) )?"
    r"(?:prior|previous|earlier|older?|last|preceding|comparison|baseline|_{2,}|\d[\w/.-]*))"
)
# "The effusion has been drained, small residual amount only": some of it is still present.
SOME_IS_LEFT = (
    r"(?! ?(?:,|with|and|leaving)(?: (?!no\b|nil\b|without\b|not\b)\w+){0,4} (?:residual|remaining|remnants?|residue|"
    r"remains?) (?:amounts?|components?|volumes?|traces?|only|fluid|air|blunting|thickening|changes?)\b)"
)
_ONE_SIDE = r"(?:on the )?(?:left|right|[lr]t?)"
_GONE = r"(?:none|nil|resolved|gone|cleared)"
# "Right moderate, left none", "small R, none L": the denial applies to one side.
OTHER_SIDE_NONE = (
    rf"(?:left|right) (?!{_GONE})(?:[\w-]+ ){{0,3}}[\w-]+[,;] (?:left|right) {_GONE}|"
    rf"(?:left|right) {_GONE}[,;] (?:left|right) (?!{_GONE}|no)\w+|"
    rf"(?!none|nil|no)\w+ {_ONE_SIDE}[,;] (?:and |but )?(?:none|nil) {_ONE_SIDE}|"
    rf"(?:none|nil) {_ONE_SIDE}[,;] (?:and |but )?(?!none|nil|no)\w+ {_ONE_SIDE}"
)
CLAUSE_END = (
    r"(?= ?(?:[.,;)]|\Z)| (?:given|in|on|at|within|over|behind|beneath|near|along|adjacent|based|but|"
    r"and|although|however|with|than)\b)"
)
_NONE = (
    r"(?:art[ei]factual|art[ei]facts?|nipples?(?: shadows?)?|skin[\s-]?folds?|summation|superimposition|superimposed "
    r"(?:structures|shadows?|tissues?|vessels?)|overlap\w*|overlying (?:structures|tissues?|clothing|bones?|ribs?)|"
    r"confluen\w+|spurious|projectional|positional|rib ends?|bone islands?|vessels?|costal cartilage|not real|clothing)"
)
# "..., but this may just be a skin fold": refers to a finding named before, and says that it may not be one.
MAY_BE_NONE = (
    r"(?:but|although|though|[,;])\s*(?:(?:this|it|these|that|they|which) )?(?:may|might|could|can|possibly|probably|"
    r"perhaps|likely|maybe|is|are|query|\?)(?: (?:probably|possibly|likely|just|only|well|also|simply|merely|both|be|"
    r"represent|reflect|due|to|an?|the|related|secondary|caused|by|purely|solely|partly|spurious))*\s*"
    rf"{_NONE}"
)
# "Apparent nodule is probably a nipple shadow".
APPARENT = rf"apparent(?= [^.;,]{{1,60}} (?:is|are) (?:most )?(?:possibly|probably|likely) (?:an? |the )?{_NONE})"
SEE = r"(?:see|identify|detect|visuali[sz]e|appreciate|demonstrate|find|discern)"
# What has gone has not come back.
BACK = (
    r"(?:recur(?:red)?|re[\s-]?accumulated?|reproduced|confirmed|persist(?:ed)?|return(?:ed)?|re[\s-]?formed|borne out)"
)
