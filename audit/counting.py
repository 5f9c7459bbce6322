"""Numbers with what they count."""

__all__ = ["counted"]


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a number and what it counts: "1 study", "2,000 studies"; without ``many`` it is ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
