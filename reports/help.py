"""What the help of a page lists: the keys that it takes, and the terms that it uses."""

from dataclasses import dataclass

from reports.texts import all_texts, text

__all__ = ["HelpGroup", "glossary", "key_groups"]

_GROUPS = ("view", "phrases", "review")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpGroup:
    """Lines of help under one heading: a key or a term each, with what it does or means."""

    title: str
    lines: tuple[tuple[str, str], ...]


def key_groups() -> tuple[HelpGroup, ...]:
    """List the keys of a study's page."""
    return tuple(
        HelpGroup(
            title=text(f"keys.{group}.title"),
            lines=tuple((text(f"keys.{group}.{each}.key"), text(f"keys.{group}.{each}.does")) for each in _in(group)),
        )
        for group in _GROUPS
    )


def _in(group: str) -> tuple[str, ...]:
    """Name the keys of a group in the order in which the texts list them."""
    return tuple(key.split(".")[2] for key in all_texts() if key.startswith(f"keys.{group}.") and key.endswith(".key"))


def glossary() -> tuple[tuple[str, str], ...]:
    """List the terms of the pages with what they mean, in the order of the texts."""
    names = [key.split(".")[1] for key in all_texts() if key.startswith("glossary.") and key.endswith(".term")]
    return tuple((text(f"glossary.{name}.term"), text(f"glossary.{name}.means")) for name in names)
