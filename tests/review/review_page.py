"""What tests do on a study page under review, and what the server has kept of it."""

from pathlib import Path

from made_up_review import three_studies
from playwright.sync_api import Page, expect

from audit.review.ledger import LEDGER_NAME, Ledger
from reports.review_record import ReviewEntry

_, TWO, _ = three_studies()
STATE = ".reading:not(.behind) .review-state"


def said(out: Path, **wanted: str) -> list[ReviewEntry]:
    ledger = Ledger(out / LEDGER_NAME)
    try:
        return ledger.latest(**wanted)
    finally:
        ledger.close()


def saved(page: Page) -> None:
    expect(page.locator(STATE)).to_have_text("Saved")


def dock(page: Page):
    return page.locator(".reading:not(.behind) .review")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], image=TWO.record.images[0]) -> None:
    """Drag from one place of the film to another; both in source pixels (x, y)."""
    corners = [on_screen(page, each, image) for each in (start, end)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(sum(x for x, _ in corners) / 2, sum(y for _, y in corners) / 2)
    page.mouse.move(*corners[1])
    page.mouse.up()


def on_screen(page: Page, point: tuple[float, float], image) -> tuple[float, float]:
    """Where a source pixel lies on the screen: the picture fills the stage as far as its shape lets it."""
    stage = page.locator(".reading:not(.behind) .stage").bounding_box()
    scale = min(stage["width"] / image.columns, stage["height"] / image.rows)
    left = stage["x"] + (stage["width"] - image.columns * scale) / 2
    top = stage["y"] + (stage["height"] - image.rows * scale) / 2
    return left + point[0] * scale, top + point[1] * scale
