"""Records as a run leaves them, with made-up values: what the pages are tested and looked at with."""

import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from model_input import to_model
from PIL import Image

from pipelines.geometry import Fit, Placement
from pipelines.study import Box, Orientation, PixelStep
from reports.record import ModelRecord, Score, ScoredBox, ScoredImage, ScoredPhrase, StudyRecord, TokenHeat
from reports.targets import scored_boxes

SCORES = ("pointing game, tau 0", "pointing game, tau 15", "energy in box", "IoU at Otsu")
REFERENCES = {"random": 0.06, "centre": 0.04, "class-mean box": 0.37}
SIZE = 224
GRID = 14
MODEL = ModelRecord(
    name="phantom",
    family="CLIPModel",
    source="embedded",
    sha256="9f2c4d1e8a7b6053f4e2d1c0b9a8978685746352413f2e1d0c9b8a7968574635",
    terms="Apache-2.0; trained on synthetic radiographs, for commissioning only",
    is_phantom=True,
)
SETTINGS = {"beta": 0.1, "variance": 1.0, "image layer": 3, "text layer": 3, "steps": 10, "samples": 10, "fast": True}
SOFTWARE = {"m2ib-audit": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "pydicom": "3.0.2", "numpy": "2.3.4"}
MOMENT = datetime(2026, 3, 4, 9, 12, tzinfo=UTC)


@dataclass
class MadeUp:
    """A study's record with what lies beside it."""

    record: StudyRecord
    heats: dict[str, np.ndarray]
    pictures: dict[str, bytes]


@dataclass
class Claim:
    """One phrase to make up: its words, its finding and where on the image (0 to 1) heat and box lie."""

    text: str = "Small right pleural effusion."
    finding: str | None = "pleural effusion"
    context: str = "present"
    side: str | None = "right"
    zone: str | None = "lower"
    heat_at: tuple[float, float] | None = (0.76, 0.24)  # (row, column); None: a flat map
    boxes: tuple[tuple[float, float, float, float], ...] = ((0.64, 0.12, 0.24, 0.22),)  # (top, left, height, width)
    readers: tuple[str | None, ...] = ()  # without any, boxes name no reader
    reason: str | None = None  # why unscored
    token_nats: tuple[float, ...] = ()
    cosine: float = 0.312


EFFUSION = Claim(token_nats=(3.1, 9.8, 14.2, 21.7))
NODULE = Claim(
    text="There is a 12 mm nodule in the left upper lobe.",
    finding="nodule",
    side="left",
    zone="upper",
    heat_at=(0.55, 0.52),
    boxes=((0.22, 0.66, 0.07, 0.08), (0.235, 0.655, 0.075, 0.07)),
    readers=("R1", "R2"),
    token_nats=(0.4, 0.3, 0.2, 2.2, 1.9, 12.4, 0.6, 0.2, 7.7, 6.1, 3.0),
)
HEART = Claim(
    text="The heart is mildly enlarged, cannot exclude cardiomegaly on this projection.",
    finding="cardiomegaly",
    context="uncertain",
    side=None,
    zone=None,
    heat_at=(0.66, 0.55),
    boxes=(),
    reason="nobody drew a box for cardiomegaly on this image",
    token_nats=(0.3, 6.1, 0.2, 2.0, 4.9, 0.1, 0.8, 9.9, 0.2, 0.1, 0.9),
)
FLAT = Claim(
    text="Median sternotomy wires are noted.",
    finding=None,
    side=None,
    zone=None,
    heat_at=None,
    boxes=(),
    reason="the sentence names no known finding",
    token_nats=(0.0, 0.0, 0.0, 0.0, 0.0),
)


def chest_picture(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Paint something chest-like: dark lungs in a grey thorax with spine, heart, ribs and noise; uint8."""
    y, x = np.mgrid[0:rows, 0:columns]
    v, u = (y + 0.5) / rows, (x + 0.5) / columns

    def ellipse(v0: float, u0: float, height: float, width: float, edge: float = 0.12) -> np.ndarray:
        radius = np.sqrt(((v - v0) / height) ** 2 + ((u - u0) / width) ** 2)
        return 1 / (1 + np.exp((radius - 1) / edge * 2))

    body = ellipse(0.62, 0.5, 0.62, 0.46, 0.05)
    lungs = np.maximum(ellipse(0.47, 0.3, 0.34, 0.145), ellipse(0.46, 0.71, 0.33, 0.14))
    picture = 0.06 + 0.62 * body - 0.46 * lungs * body
    picture += 0.2 * np.exp(-(((u - 0.5) / 0.035) ** 2)) * body + 0.25 * ellipse(0.66, 0.57, 0.14, 0.15) * body
    for rib in range(9):
        arc = v - (0.17 + 0.075 * rib) - 0.35 * (np.abs(u - 0.5) - 0.2) ** 2
        picture += 0.055 * np.exp(-((arc / 0.009) ** 2)) * body * (np.abs(u - 0.5) > 0.05)
    picture += 0.2 * ellipse(0.95, 0.3, 0.2, 0.25) * body + 0.18 * ellipse(0.97, 0.72, 0.2, 0.22) * body
    picture += np.random.default_rng(seed).normal(0, 0.012, picture.shape)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def png_of(pixels: np.ndarray) -> bytes:
    """Write an array as PNG bytes."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def heat_on_grid(placement: Placement, at: tuple[float, float] | None, seed: int = 0, grid: int = GRID) -> np.ndarray:
    """Make a bump of heat at a place of the source image (0 to 1 down and across), with some unrest, in nats."""
    if at is None:
        return np.full((grid, grid), 0.25, dtype=np.float32)
    row, column = to_model(placement, at[0] * placement.rows, at[1] * placement.columns)
    centre_row, centre_column = row * grid / placement.size - 0.5, column * grid / placement.size - 0.5
    r, c = np.mgrid[0:grid, 0:grid]
    rng = np.random.default_rng(seed)
    bump = 11.0 * np.exp(-((r - centre_row) ** 2 + (c - centre_column) ** 2) / 3.2)
    return (0.4 + bump + rng.gamma(1.2, 0.5, (grid, grid))).astype(np.float16).astype(np.float32)


def make_image(
    key: str,
    claims: tuple[Claim, ...],
    *,
    rows: int = 1400,
    columns: int = 1150,
    fit: Fit = Fit.LETTERBOX,
    view: str = "PA",
    seed: int = 0,
    lies: Orientation | None = None,
    picture_side: int = 256,
) -> tuple[ScoredImage, dict[str, np.ndarray], bytes]:
    """Make one image's record, its heat by name and its picture."""
    placement = Placement.of(rows, columns, size=SIZE, fit=fit)
    shrink = picture_side / max(rows, columns)
    picture = png_of(chest_picture(round(rows * shrink), round(columns * shrink), seed))
    heats: dict[str, np.ndarray] = {}
    phrases: list[ScoredPhrase] = []
    boxes: list[ScoredBox] = []
    for number, claim in enumerate(claims):
        name = f"{key}-{number}"
        heats[name] = heat_on_grid(placement, claim.heat_at, seed + number)
        own = _boxes(claim, placement)
        boxes += own
        phrases.append(_phrase(claim, name, heats[name], placement, own))
    record = ScoredImage(
        key=key,
        picture=f"{key}.png",
        view=view,
        view_source="ViewPosition",
        rows=rows,
        columns=columns,
        spacing_mm=(0.2, 0.2),
        spacing_source="ImagerPixelSpacing",
        horizontally_flipped=lies is Orientation.UPRIGHT,
        orientation=lies,
        receipt=(
            PixelStep(step="stored values", detail="12 of 16 bits, unsigned, 83 to 4,011"),
            PixelStep(step="modality LUT", detail="none in the header"),
            PixelStep(step="VOI window", detail="LINEAR, centre 2048, width 3400 (first of 2)"),
            PixelStep(step="polarity", detail="inverted once: PhotometricInterpretation is MONOCHROME1"),
        ),
        placement=placement,
        boxes=tuple(boxes),
        phrases=tuple(phrases),
    )
    return record, heats, picture


def make_study(
    key: str = "5b1f0c9e7a3d2460",
    *images: tuple[Claim, ...],
    fit: Fit = Fit.LETTERBOX,
    seed: int = 0,
    picture_side: int = 256,
    rows: int = 1400,
    columns: int = 1150,
    lies: Orientation | None = None,
    **changes: object,
) -> MadeUp:
    """Make a study of one image per tuple of claims; without any, of one image with four phrases.

    Its images appear to lie as ``lies`` says, which is not what their headers say.
    """
    records, heats, pictures = [], {}, {}
    for number, claims in enumerate(images or ((EFFUSION, NODULE, HEART, FLAT),)):
        view = "PA" if number == 0 else "lateral"
        record, own, picture = make_image(
            f"{key[:6]}i{number}",
            claims,
            rows=rows,
            columns=columns,
            fit=fit,
            view=view,
            seed=seed + number,
            lies=lies,
            picture_side=picture_side,
        )
        records.append(record)
        heats |= own
        pictures[record.picture] = picture
    fields: dict[str, object] = {
        "key": key,
        "created": MOMENT,
        "model": MODEL,
        "method": "m2ib",
        "settings": SETTINGS,
        "seed": 7,
        "software": SOFTWARE,
        "phantom_images": True,
        "patient_data_shown": False,
        "report_joined_by": "StudyInstanceUID",
        "images": tuple(records),
    }
    return MadeUp(record=StudyRecord.model_validate(fields | changes), heats=heats, pictures=pictures)


def _boxes(claim: Claim, placement: Placement) -> list[ScoredBox]:
    readers = claim.readers or (None,) * len(claim.boxes)
    drawn = [
        Box(
            x=left * placement.columns,
            y=top * placement.rows,
            width=width * placement.columns,
            height=height * placement.rows,
            label=claim.finding or "",
            reader=reader,
        )
        for (top, left, height, width), reader in zip(claim.boxes, readers, strict=True)
    ]
    return [replace(box, id="") for box in scored_boxes(drawn, placement)]  # as version 0.1.0 recorded them


def _phrase(claim: Claim, name: str, heat: np.ndarray, placement: Placement, boxes: list[ScoredBox]) -> ScoredPhrase:
    source = placement.heat_to_source(heat)
    row, column = np.unravel_index(np.nanargmax(source), source.shape)
    hottest = None if claim.heat_at is None else (float(row) + 0.5, float(column) + 0.5)
    words = claim.text.rstrip(".").replace(",", " ,").split()
    nats = claim.token_nats if len(claim.token_nats) == len(words) else tuple(float(len(word)) for word in words)
    return ScoredPhrase(
        text=claim.text,
        section="findings",
        finding=claim.finding,
        context=claim.context,
        side=claim.side,
        zone=claim.zone,
        cosine=claim.cosine,
        heat=name,
        total_nats=float(heat.sum()),
        peak_nats=float(heat.max()),
        hottest=hottest,
        tokens=tuple(TokenHeat(word=word, nats=value) for word, value in zip(words, nats, strict=True)),
        token_total_nats=float(sum(nats)),
        scores=tuple(_scores(claim, hottest, boxes)),
    )


def _scores(claim: Claim, hottest: tuple[float, float] | None, boxes: list[ScoredBox]) -> list[Score]:
    if not boxes:
        return [
            Score(method=method, score=score, value=None, outcome="unscored", reason=claim.reason)
            for method in ("m2ib", *REFERENCES)
            for score in SCORES
        ]
    inside = hottest is not None and any(
        box.y <= hottest[0] < box.y + box.height and box.x <= hottest[1] < box.x + box.width for box in boxes
    )
    records = [
        Score(method="m2ib", score=score, value=float(inside), outcome="hit" if inside else "miss")
        for score in SCORES[:2]
    ]
    records += [
        Score(method="m2ib", score=score, value=value, outcome="scored")
        for score, value in zip(SCORES[2:], (0.612, 0.344) if inside else (0.081, 0.0), strict=True)
    ]
    for method, rate in REFERENCES.items():
        records += [
            Score(method=method, score=score, value=rate + 0.01 * place, outcome="scored")
            for place, score in enumerate(SCORES)
        ]
    return records
