"""The heat of a phrase's words is shown with words that the shown phrase has, and with no other."""

import pytest

from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor, safe_words
from pipelines.study import Identifiers

Words = list[tuple[str, float]]


def shown(text: str, words: Words, *, show_phi: bool = False, known: Identifiers | None = None) -> Words:
    masked = Redactor(keys=Pseudonyms(b"salt"), show_phi=show_phi).text(text, known or Identifiers())
    return [(token.word, token.nats) for token in safe_words(text, masked, words)]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (
            "Effusion seen by Dr. Jane Smith today.",
            [("Effusion", 1), ("seen", 2), ("by", 3), ("Dr", 4), (".", 5), ("Jane", 6), ("Smith", 7), ("today", 8)],
            [("Effusion", 1), ("seen", 2), ("by", 3), ("Dr", 4), (".", 5), ("[name]", 13), ("today", 8)],
        ),
        # "art" stands in "heart", and the name Art does not become it.
        (
            "Art Long: heart.",
            [("art", 1), ("long", 2), (":", 0), ("heart", 3)],
            [("[name]", 3), (":", 0), ("heart", 3)],
        ),
        # A tokeniser in small letters, and one that joins a name with what stands beside it.
        (
            "SEEN BY KOWALSKI/ICU",
            [("seen", 1), ("by", 1), ("kowalski/icu", 2)],
            [("seen", 1), ("by", 1), ("[name]", 2)],
        ),
        # What the tokeniser writes otherwise cannot be told from a name.
        (
            "Nodule, Müller.",
            [("nodule", 1), ("mu\u0308ller", 2), ("##ler", 1)],
            [("nodule", 1), ("[name]", 2), ("[masked]", 1)],
        ),
        ("Nodule, Smi\u00adth.", [("nodule", 1), ("smith", 2)], [("nodule", 1), ("[name]", 2)]),
        (
            "Seen 3/12 and 4/12.",
            [("3", 1), ("/", 1), ("12", 1), ("and", 1), ("4/12", 1)],
            [("[date]", 3), ("and", 1), ("[date]", 1)],
        ),
    ],
)
def test_words_under_a_mask_give_their_heat_to_it(text: str, words: Words, expected: Words) -> None:
    found = shown(text, words)
    assert found == expected
    assert sum(nats for _, nats in found) == sum(nats for _, nats in words)


def test_a_word_of_a_header_is_masked_in_the_heat_too() -> None:
    known = Identifiers(names=("Young Ann",))
    assert shown("A young lung.", [("a", 1), ("young", 2), ("lung", 3)], known=known)[1] == ("[name]", 2)


def test_with_show_phi_all_words_stay() -> None:
    words = [("seen", 1.0), ("by", 1.0), ("smith", 2.0), ("##ler", 1.0)]
    assert shown("Seen by Smith.", words, show_phi=True) == words
