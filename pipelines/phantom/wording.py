"""Statements about a phantom in radiologists' wording: claims, their truth, sentences and whole reports."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from pipelines.phantom.lesions import PHANTOM_FINDINGS, Lesion
from pipelines.phantom.render import Phantom
from pipelines.study import Side, Zone

__all__ = ["CLAIMS", "Claim", "claims_of", "holds", "masked_sentence", "report_of", "sentence_of", "sentences_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement about one finding; ``None`` leaves side or zone unspecified."""

    finding: str
    side: Side | None = None
    zone: Zone | None = None
    absent: bool = False


def _all_claims() -> tuple[Claim, ...]:
    claims = []
    for finding in PHANTOM_FINDINGS:
        claims += [Claim(finding=finding), Claim(finding=finding, absent=True)]
        if finding == "cardiomegaly":
            continue
        claims += [Claim(finding=finding, side=side) for side in Side]
        if finding != "pleural effusion":
            zones = (Zone.UPPER, Zone.LOWER) if finding == "pneumothorax" else tuple(Zone)
            claims += [
                Claim(finding=finding, side=side, zone=zone) for side, zone in product((Side.LEFT, Side.RIGHT), zones)
            ]
    return tuple(claims)


CLAIMS = _all_claims()

_NAMES = {
    "consolidation": ("consolidation", "airspace consolidation", "focal consolidation"),
    "nodule": ("nodule", "pulmonary nodule", "lung nodule"),
    "pleural effusion": ("pleural effusion", "effusion"),
    "pneumothorax": ("pneumothorax",),
}
_PLURALS = {
    "consolidation": "consolidations",
    "nodule": "nodules",
    "pleural effusion": "pleural effusions",
    "pneumothorax": "pneumothoraces",
}
_OPEN = ("There is a {name}.", "{name} is present.", "{name} is seen.", "{name}.", "Findings show a {name}.")
_SIDED = (
    "There is a {side} {name}.",
    "{side} {name} is present.",
    "There is a {name} on the {side}.",
    "{side}-sided {name}.",
    "{side} {name}.",
)
_ZONED = {
    "lung": (
        "There is a {name} in the {side} {zone} lung.",
        "{name} in the {side} {zone} zone.",
        "{side} {zone} zone {name}.",
        "There is a {side} {zone} lung {name}.",
    ),
    "pneumothorax": (
        "There is a {side} {zone} pneumothorax.",
        "{side} {zone} pneumothorax is present.",
        "{side} {zone} pneumothorax.",
    ),
}
_BOTH = ("There are bilateral {names}.", "Bilateral {names}.", "Bilateral {names} are present.")
_HEART = (
    "The heart is enlarged.",
    "There is cardiomegaly.",
    "Cardiomegaly is present.",
    "The cardiac silhouette is enlarged.",
    "Enlarged heart.",
    "Cardiomegaly.",
)
_ABSENT = ("No {name}.", "There is no {name}.", "No evidence of {name}.", "No {name} is seen.")
_HEART_ABSENT = ("The heart is not enlarged.", "No cardiomegaly.", "There is no cardiomegaly.")
_ZONE_WORDS = {Zone.UPPER: "upper", Zone.MID: "mid", Zone.LOWER: "lower"}
_AIR_WORDS = {Zone.UPPER: "apical", Zone.LOWER: "basal"}


def _templates(claim: Claim) -> Sequence[str]:
    if claim.finding == "cardiomegaly":
        return _HEART_ABSENT if claim.absent else _HEART
    if claim.absent:
        return _ABSENT
    if claim.side is Side.BILATERAL:
        return _BOTH
    if claim.zone is not None:
        return _ZONED["pneumothorax" if claim.finding == "pneumothorax" else "lung"]
    return _SIDED if claim.side else _OPEN


def sentences_of(claim: Claim) -> tuple[str, ...]:
    """Return every wording of a claim."""
    zones = _AIR_WORDS if claim.finding == "pneumothorax" else _ZONE_WORDS
    zone = zones[claim.zone] if claim.zone else ""
    side = claim.side.value if claim.side else ""
    names = _NAMES.get(claim.finding, ("",))
    sentences = (
        template.format(name=name, names=_PLURALS.get(claim.finding, ""), side=side, zone=zone)
        for template in _templates(claim)
        for name in names
    )
    sentences = (sentence for sentence in sentences if "lung lung" not in sentence)
    worded = (re.sub(r"\ba (?=[aeiou])", "an ", sentence) for sentence in sentences)
    return tuple(dict.fromkeys(sentence[0].upper() + sentence[1:] for sentence in worded))


def sentence_of(claim: Claim, rng: np.random.Generator) -> str:
    """Draw one wording of a claim at random."""
    return str(rng.choice(sentences_of(claim)))


_HEART_WORDS = ("cardiomegaly", "heart", "enlarged")
_MEANING = frozenset(
    {"no", "not", "bilateral", "pneumothorax", "cardiac", "silhouette", *_HEART_WORDS}
)  # words of templates


def masked_sentence(claim: Claim, rng: np.random.Generator, *, mask: str, share: float) -> tuple[str, Claim | None]:
    """Draw a wording of a claim with some words replaced by ``mask``.

    Args:
        claim: what the whole sentence says.
        rng: chooses the wording and the words.
        mask: the word that takes their place.
        share: of the words that say nothing about the image, such as "there", which are replaced too.

    Returns:
        The sentence, and what it still claims: ``claim``, one without its side or zone, or None without its finding.
    """
    template = str(rng.choice(_templates(claim)))
    if claim.finding == "cardiomegaly":
        named = [word for word in re.findall(r"\w+", template) if word.lower() in _HEART_WORDS]
        if rng.random() < 0.5:
            return re.sub(rf"\b{rng.choice(named)}\b", mask, template), None
        return _with_masks(template, {}, rng, mask=mask, share=share), claim
    zones = _AIR_WORDS if claim.finding == "pneumothorax" else _ZONE_WORDS
    names = str(rng.choice(_NAMES[claim.finding])), _PLURALS[claim.finding]
    values = {
        "name": names[0],
        "names": names[1],
        "side": claim.side.value if claim.side else "",
        "zone": zones[claim.zone] if claim.zone else "",
    }
    left: Claim | None = claim
    what = str(rng.choice(("finding", "finding", "side", "zone", "frame")))
    if what == "finding":
        values |= {key: " ".join([*values[key].split()[:-1], mask]) for key in ("name", "names")}
        template, left = template.replace("pneumothorax", mask), None
    elif what == "side" and claim.side is Side.BILATERAL:
        template = re.sub("bilateral", mask, template, flags=re.IGNORECASE)
        left = Claim(finding=claim.finding)
    elif what == "side" and claim.side is not None:
        values["side"], left = mask, Claim(finding=claim.finding, zone=claim.zone)
    elif what == "zone" and claim.zone is not None:
        values["zone"], left = mask, Claim(finding=claim.finding, side=claim.side)
    elif " " in values["name"] and rng.random() < 0.5:
        values["name"] = f"{mask} {values['name'].split()[-1]}"
    return _with_masks(template, values, rng, mask=mask, share=share), left


def _with_masks(template: str, values: dict[str, str], rng: np.random.Generator, *, mask: str, share: float) -> str:
    """Fill in a template, and replace a share of the words that say nothing about the image."""

    def written(part: re.Match[str]) -> str:
        text = part[0]
        if text.startswith("{"):
            return values[text[1:-1]]
        return mask if text != mask and text.lower() not in _MEANING and rng.random() < share else text

    return re.sub(rf"\{{\w+\}}|{re.escape(mask)}|\w+", written, template)


def holds(claim: Claim, lesions: Sequence[Lesion]) -> bool:
    """Return True if a claim is true of the planted findings."""
    same = [lesion for lesion in lesions if lesion.finding == claim.finding]
    if claim.absent:
        return not same
    if claim.side is Side.BILATERAL:
        return {lesion.side for lesion in same} == {"left", "right"}
    return any(
        (claim.side is None or lesion.side == claim.side) and (claim.zone is None or lesion.zone == claim.zone)
        for lesion in same
    )


def claims_of(phantom: Phantom) -> tuple[Claim, ...]:
    """Return a reader's claims about a phantom: one per lesion, with its side and zone, then absent findings."""
    present = dict.fromkeys(
        Claim(finding=lesion.finding, side=Side(lesion.side) if lesion.side else None, zone=lesion.zone)
        for lesion in phantom.lesions
    )
    absent = [Claim(finding=name, absent=True) for name in PHANTOM_FINDINGS if name not in phantom.findings]
    return (*present, *absent)


def report_of(phantom: Phantom, rng: np.random.Generator, *, brief: bool = False) -> str:
    """Write a phantom's report, with the sections of a hospital's report; a ``brief`` one has no findings section."""
    claims = claims_of(phantom)
    present = [sentence_of(claim, rng) for claim in claims if not claim.absent]
    absent = [sentence_of(claim, rng) for claim in claims if claim.absent]
    open_claims = [Claim(finding=name) for name in PHANTOM_FINDINGS if name in phantom.findings]
    impression = " ".join(sentence_of(claim, rng) for claim in open_claims) or "No acute cardiopulmonary process."
    sections = ["EXAMINATION: Chest, frontal view (synthetic phantom)."]
    sections += [] if brief else ["FINDINGS: " + " ".join([*present, *absent])]
    sections.append(f"IMPRESSION: {impression}")
    return "\n\n".join(sections) + "\n"
