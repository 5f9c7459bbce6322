"""Whether a sentence compares a finding with an earlier examination: "unchanged", "new since", "has been removed".

This stands beside the context and not among it: an unchanged effusion is there, a drained one is not, and both are
compared. A word of comparison holds for the findings of its own part of the sentence.
"""

import re
from collections.abc import Sequence

from pipelines.findings import FindingMention

__all__ = ["compared_with_prior"]

_EARLIER = (
    r"(?:the |an? |his |her |patient'?s? )*(?:most recent |last |outside )?(?:prior|previous|preceding|earlier|older|"
    r"old|last|remote|comparison)"
)
_NOT_A_DISEASE = r"(?! (?:granulom|infect|surg|disease|trauma|fractur|tubercul))"
_WORDS = (
    r"unchanged|(?:not|has|have) changed",
    r"(?:no|without) (?:\w+ ){0,3}changes?",
    r"stable|stably|stability",
    r"again(?! recommend)",
    r"redemonstrat\w+",
    r"persist\w*",
    r"continu(?:ed|es|ing)",
    r"remain(?:s|ed|ing)?",
    r"interval(?:ly)?(?! (?:follow|film|imag))",
    r"decreas(?:ed|es|ing)|diminish\w+",
    # "Increased markings" may be more than is normal; what has increased, or is increasing, was less before.
    r"increas(?:es|ing)",
    r"(?:is|are|has|have|been|appears?|slightly|mildly|since|interval) increased",
    r"increased? (?:in|since|from|size|compared|compatible)",
    r"worse(?:n(?:ed|ing|s)?)?|improv\w+|progress(?:ion|ed|ing|ive)",
    r"resol(?:ved|ving|ves|ution)|clear(?:ed|ing)",
    r"remov(?:ed|al)|placement of|withdrawn",
    r"(?<!no )new(?:ly)?|develop(?:ed|ing|ment|s)",
    r"enlarg(?:ing|es)|smaller|larger|no longer|less (?:distinct|prominent|conspicuous)|more (?:prominent|conspicuous)",
    r"similar (?:\w+ ){0,3}to|as before",
    r"(?:compared|comparison|relative) (?:to|with)",
    rf"(?:from|on|since|than|to|in) (?:on |in |at )?{_EARLIER}{_NOT_A_DISEASE}",
    r"since",
    r"previous(?:ly)? (?:seen|noted|described|identified|demonstrated|visualized|present|reported|questioned)",
    r"(?:seen|noted|present|visualized|identified|appreciated) (?:\w+ ){0,2}(?:previously|before)",
)
_COMPARES = re.compile(rf"\b(?:{'|'.join(_WORDS)})(?!\w)", re.IGNORECASE)
# What follows stands on its own. "With no" and "without" deny what a word before them does not compare.
_PART_ENDS = re.compile(
    r"[;]|\.\s|\b(?:but(?!\s+(?:stable|unchanged))|however|although|though|otherwise|whereas|while|with(?:out)?)\b(?!\s+(?:the\s+)?(?:prior|previous|"
    r"comparison))|,\s*(?=no\b|there\b)",
    re.IGNORECASE,
)


def compared_with_prior(sentence: str, mentions: Sequence[FindingMention]) -> tuple[bool, ...]:
    """Say for each mention whether its part of the sentence compares it with an earlier examination."""
    cuts = [0, *(match.start() for match in _PART_ENDS.finditer(sentence)), len(sentence)]
    words = [match.span() for match in _COMPARES.finditer(sentence)]

    def part_of(position: int) -> int:
        return sum(cut <= position for cut in cuts)

    compared = {part_of(start) for start, _ in words}
    return tuple(part_of(mention.start) in compared for mention in mentions)
