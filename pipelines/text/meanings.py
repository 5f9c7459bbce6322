"""What a trigger word says about findings, and which words of the sentence it speaks of."""

from enum import Enum

__all__ = ["Meaning", "Reach"]


class Reach(Enum):
    """Which words of a sentence a trigger speaks of."""

    FORWARD = "forward"
    BACKWARD = "backward"
    NEAR = "near"  # forward, and no further than the words of one finding
    LAST = "last"  # the one finding named before it
    EARLIER = "earlier"  # the last finding named before it, in whichever clause
    INSIDE = "inside"  # the findings between its own words: "neither A nor B can be excluded"
    AROUND = "around"  # the one before it, and forward
    ANSWER = "answer"  # backward over what it answers ("PTX, effusion: none"), and no further than an earlier answer


class Meaning(Enum):
    """What a trigger says about the findings that it reaches."""

    NOTHING = "nothing"  # looks like a trigger and is none
    UNCERTAIN = "uncertain"
    ABSENT = "absent"
    HISTORY = "history"  # speaks of the patient's past, not of this image
