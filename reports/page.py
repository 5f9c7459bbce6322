"""Renders pages from templates, and formats their numbers; also the help with keys and terms."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.texts import all_texts, counted, marked_up, named, script_texts, text

__all__ = [
    "HelpGroup",
    "data_url",
    "format_heat",
    "format_number",
    "format_p",
    "format_percent",
    "format_percents",
    "format_time",
    "glossary",
    "json_for_script",
    "key_groups",
    "render_page",
]

_GROUPS = ("view", "phrases", "review")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpGroup:
    """Lines of help under one heading: keys or terms with their meaning."""

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
    """Return the keys of a group in the order of the texts."""
    return tuple(key.split(".")[2] for key in all_texts() if key.startswith(f"keys.{group}.") and key.endswith(".key"))


def glossary() -> tuple[tuple[str, str], ...]:
    """List the terms of the pages with their meaning, in the order of the texts."""
    names = [key.split(".")[1] for key in all_texts() if key.startswith("glossary.") and key.endswith(".term")]
    return tuple((text(f"glossary.{name}.term"), text(f"glossary.{name}.means")) for name in names)


_MOST_DECIMALS = 8
_LEAST_P = 1e-4
_JPEG = b"\xff\xd8"

_HERE = Path(__file__).parent


def render_page(
    template: str,
    *,
    script: str,
    data: object,
    context: Mapping[str, object],
    also: Sequence[str] = (),
    has_server: bool = False,
    has_files: bool = False,
    has_keys: bool = False,
) -> str:
    """Fill a template into one HTML file that needs no other file and no network.

    Args:
        template: Name of a file in ``templates``.
        script: Name of the file in ``assets`` that brings the page to life.
        data: What the script works on; written as JSON.
        context: What the template prints.
        also: Names of further files in ``assets``: style sheets and scripts that come after the first ones.
        has_server: Whether the page may speak to the server that it came from.
        has_files: Whether the page may show pictures that lie beside it.
        has_keys: Whether the page takes the keys of a study's page, so that its help lists them.

    Returns:
        The page. Its Content-Security-Policy allows pictures inside the file, its one style sheet and its one script,
        each by hash, and nothing else: text that comes from a report can never run.

    Source: W3C, Content Security Policy Level 3, section 8.3 (hashes) and 4.2.3 (a meta element).
    """
    css = "".join(_asset(name) for name in ("page.css", *also) if name.endswith(".css"))
    scripts = [name for name in ("texts.js", script, *also, "help.js") if name.endswith(".js")]
    javascript = "".join(_asset(name) for name in scripts)
    pictures = "data: 'self'" if has_files else "data:"
    policy = (
        f"default-src 'none'; img-src {pictures}; style-src '{_hash_of(css)}'; script-src '{_hash_of(javascript)}'; "
        "base-uri 'none'; form-action 'none'" + ("; connect-src 'self'" if has_server else "")
    )
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            # Our own files and escaped JSON are the only text that enters a page as it is.
            css=Markup(css),  # noqa: S704
            script=Markup(javascript),  # noqa: S704
            data=json_for_script(data),
            key_groups=key_groups() if has_keys else (),
            glossary=glossary(),
            texts=json_for_script(script_texts(scripts)),
            **context,
        )
    )


def data_url(picture: bytes) -> str:
    """Encode a JPEG or PNG as a data URL."""
    kind = "jpeg" if picture.startswith(_JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")


def format_number(value: float | None, digits: int = 2) -> str:
    """Format a value with fixed decimals and a true minus sign; a dash for None."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return "–"
    text = f"{value:,.{digits}f}"
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


def format_heat(value: float | None, digits: int = 1) -> str:
    """Format an amount of heat with fixed decimals, or two significant figures if all decimals would be 0."""
    if value is None or value != value or value == 0 or abs(value) >= 10.0**-digits:  # noqa: PLR0124 - NaN, as above
        return format_number(value, digits)
    decimals = min(_MOST_DECIMALS, 1 - math.floor(math.log10(abs(value))))
    return format_number(value, decimals)


def format_p(value: float | None) -> str:
    """Format a p-value with four decimals, or as below the smallest of them; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.4f}" if value >= _LEAST_P else f"<\N{NO-BREAK SPACE}{_LEAST_P:.4f}"


def format_percent(value: float | None) -> str:
    """Format a fraction as a whole percentage, with a narrow no-break space before the sign."""
    return "–" if value is None else f"{100 * value:.0f}\N{NARROW NO-BREAK SPACE}%"


def format_percents(low: float, high: float) -> tuple[str, str]:
    """Format the ends of an interval in percent without the sign; with a decimal if they would otherwise be equal."""
    whole, finer = ((f"{100 * low:.{digits}f}", f"{100 * high:.{digits}f}") for digits in (0, 1))
    return finer if whole[0] == whole[1] and finer[0] != finer[1] else whole


def format_time(moment: datetime) -> str:
    """Format a time in UTC to the minute; a time without a zone is not converted."""
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=format_number, heat=format_heat, percent=format_percent, time=format_time, data_url=data_url
    )
    environment.globals.update(t=marked_up, counted=counted, named=named)
    return environment


@cache
def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def json_for_script(data: object) -> Markup:
    """Encode JSON that cannot end its script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704
