"""Sets the document as PDF with typst: fonts that typst brings along, no network, the same bytes from the same run."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import typst

from pipelines.errors import OutputError
from reports import texts
from reports.board.document import BoardDocument

__all__ = ["template_data", "typeset"]

_TEMPLATE: Final = Path(__file__).with_name("board.typ")
_TEXTS: Final = (
    "board.",
    "common.",
    "parts.",
    "grounding.",
    "judgement.",
    "page.",
    "protocol.",
)  # sections that the template uses
_STANDARD: Final = "ua-1"
"""PDF/UA-1: tagged, with a title and a language, so that a screen reader follows it."""


def template_data(document: BoardDocument) -> dict[str, object]:
    """Return all that the template gets: the content, and the texts of the sections that it uses."""
    own = {key: pattern for key, pattern in texts.all_texts().items() if key.startswith(_TEXTS)}
    return {"document": asdict(document), "texts": own}


def typeset(document: BoardDocument, *, made: datetime) -> bytes:
    """Set the document as PDF.

    All texts and values reach the template as strings, which typst shows as they are: nothing in them is markup.

    Args:
        document: the content.
        made: the date of the PDF, which would otherwise be that of the call.

    Raises:
        OutputError: the document cannot be set.
    """
    data = json.dumps(template_data(document), ensure_ascii=False, allow_nan=False)
    compiler = typst.Compiler(
        _TEMPLATE,
        root=_TEMPLATE.parent,
        ignore_system_fonts=True,
        package_path=_TEMPLATE.parent,  # the template imports no package: none is looked for elsewhere
        package_cache_path=_TEMPLATE.parent,
        sys_inputs={"data": data},
    )
    try:
        made_pdf = compiler.compile(format="pdf", timestamp=made.replace(microsecond=0), pdf_standards=_STANDARD)
    except typst.TypstError as error:
        raise OutputError(f"the document cannot be typeset ({error.message}): please report it") from error
    if not isinstance(made_pdf, bytes):
        raise TypeError("typst returned no PDF")
    return made_pdf
