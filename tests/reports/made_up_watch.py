"""Series of audits with made-up charts, in every state that a trend page shows."""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
from made_up_records import MODEL, MOMENT

from audit.watching.quantities import QUANTITIES
from reports.protocol_record import StopRule
from reports.watch_page import render_watch
from reports.watch_record import StopDecision, WatchedAudit, WatchedQuantity, WatchPoint, WatchRecord

REFERENCES = 4
SCALES = {
    "reliance": (2.0, 0.4),
    "cosine": (0.31, 0.02),
    "share on markers": (0.03, 0.01),
    "heat on markers": (0.003, 0.001),
}


def make_watch(audits: int = 10, *, fallen: int = 0, rule: StopRule | None = None, **changes: object) -> WatchRecord:
    """Make a series in which the hits of the last ``fallen`` audits fall, and the model changed before them."""
    first = date(2026, 9, 7)
    beyond = tuple(range(audits - fallen, audits))
    quantities = tuple(_quantity(name, audits, beyond if name == "hit rate" else ()) for name in QUANTITIES)
    named = ("hit rate",)
    fields: dict[str, object] = {
        "created": MOMENT,
        "state": "stopped" if fallen > 1 else "signal" if fallen else "in control",
        "method": "m2ib",
        "model": MODEL,
        "period": None,
        "references": REFERENCES,
        "tests": 20,
        "audits_a_false_alarm": 240,
        "audits": tuple(
            WatchedAudit(
                label=str(first + timedelta(days=7 * place)),
                day=first + timedelta(days=7 * place),
                studies=100,
                is_reference=place < REFERENCES,
                changed=("model", "settings", "version") if fallen and place == audits - fallen else (),
                signals=named if place in beyond else (),
            )
            for place in range(audits)
        ),
        "quantities": quantities,
        "not_measured": (),
        "stop": StopDecision(
            rule=rule,
            audits_in_a_row=2,
            protocol_sha256=None if rule is None else "d" * 64,
            alarms=beyond,
            fired=audits - fallen + 1 if fallen > 1 else None,
        ),
        "left_out": (),
        "phantom_images": True,
        "patient_data_shown": False,
        "software": "0.1.0",
    }
    return WatchRecord.model_validate(fields | changes)


def _quantity(name: str, audits: int, beyond: tuple[int, ...]) -> WatchedQuantity:
    kind = QUANTITIES[name][0]
    generator = np.random.default_rng(len(name))
    centre, spread = SCALES.get(name, (0.86, 0.04) if kind == "mean" else (3.0, 1.0))
    values = centre + spread * generator.normal(size=audits).clip(-2.0, 2.0)
    values[list(beyond)] -= 10.0 * spread
    low, high = (centre - 4.0 * spread, centre + 4.0 * spread) if kind == "mean" else (0.0, centre + 4.0 * spread)
    points = tuple(
        WatchPoint(audit=place, value=float(value), low=low, high=high, cases=170, patients=75)
        for place, value in enumerate(values)
    )
    averages = tuple(
        point.model_copy(update={"value": centre + (point.value - centre) / 3.0, "low": centre - spread})
        for point in points[REFERENCES:]
    )
    return WatchedQuantity(
        name=name,
        kind=kind,
        centre=centre if kind == "mean" else None,
        points=points,
        ewma=averages if kind == "mean" else (),
        signals=beyond,
        changed=beyond[0] if beyond else None,
    )


def watch_pages() -> Iterator[tuple[str, str]]:
    """Give the name and the HTML of a trend page in each state."""
    yield "trend in control", render_watch(make_watch())
    yield "trend with a signal", render_watch(make_watch(fallen=1, left_out=("a folder: it is not a finished run",)))
    below = StopRule(metric="hit rate", alarm="below", limit=0.5, audits_in_a_row=2)
    yield "trend that stopped", render_watch(make_watch(fallen=3, rule=below))
    above = StopRule(metric="share on markers", alarm="above", limit=0.05, audits_in_a_row=2)
    few = make_watch(3, rule=above, state="too few audits", not_measured=("reliance",))
    yield "trend of too few audits", render_watch(few)
