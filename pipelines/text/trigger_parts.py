"""Regular expressions that several triggers share. A space stands for any white space."""

__all__ = [
    "ADVERBS",
    "CHANGE",
    "CLAUSE_END",
    "CLINICALLY",
    "DEGREE",
    "DOUBTED",
    "EARLIER_FILM",
    "OF_SIGNS",
    "ON_EARLIER_FILM",
    "OTHER_SIDE_NONE",
    "PAST_DISEASE",
    "SOME_IS_LEFT",
    "UNABLE",
    "WELL",
]

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
    r"(?:prior|previous|earlier|older?|last|preceding|comparison|baseline|_{2,}|\d))"
)
# "The effusion has been drained, small residual amount only": some of it is still there.
SOME_IS_LEFT = (
    r"(?! ?(?:,|with|and|leaving)(?: (?!no\b|nil\b|without\b|not\b)\w+){0,4} (?:residual|remaining|remnants?|residue|"
    r"remains?) (?:amounts?|components?|volumes?|traces?|only|fluid|air|blunting|thickening|changes?)\b)"
)
# "Right moderate, left none": the denial is one side's.
OTHER_SIDE_NONE = (
    r"(?:left|right) (?!none|nil)(?:[\w-]+ ){0,3}[\w-]+[,;] (?:left|right) (?:none|nil)|"
    r"(?:left|right) (?:none|nil)[,;] (?:left|right) (?!none|nil|no)\w+"
)
CLAUSE_END = r"(?= ?(?:[.,;)]|\Z)| (?:given|in|on|at|based|but|and|although|however|with|than)\b)"
