"""Describes image files from tables, because the files state neither patient nor study nor view.

The paths of public sets say some of it too: see :mod:`pipelines.images.layouts`. What neither says stays unknown. Of a
DICOM file only the view is taken from a table, if its header states none: VinDr-CXR removed it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from math import isfinite
from pathlib import Path

from pipelines.dicom.headers import date_in
from pipelines.dicom.view import view_in_words
from pipelines.errors import InputError
from pipelines.images.finder import ImageFinder, is_one_file
from pipelines.images.layouts import GENERIC, LAYOUTS, Layout, layout_of_columns, layout_of_path, path_within_set
from pipelines.limits import MAX_TEXT_BYTES
from pipelines.quoting import counted
from pipelines.study import DICOM, Exclusion, Image, View
from pipelines.text.table import BadRow, Row, Table, columns_of, describe_columns, parse_table, plain_stem
from pipelines.text_files import read_packed_text

__all__ = ["DescribedImages", "describe_images"]

_ENDINGS = re.compile(r"\.(?:csv|tsv|tab)(?:\.gz|\.zip)?\Z", re.IGNORECASE)
_AGE = re.compile(r"(\d{1,3})(?:\.0+)?\s*([DWMY]?)\Z", re.IGNORECASE)
_YEARS_PER_UNIT = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_OLDEST = 130.0  # years
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_EMPTY = frozenset({"", "nan", "none", "null", "n/a"})
_STAGE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedImages:
    """The images with what tables and paths say of them."""

    images: tuple[Image, ...]
    left_out: tuple[Exclusion, ...]  # rows that cannot be used
    tables: frozenset[str]  # paths of the tables that were used
    sentences: tuple[str, ...]  # which public set the files look like, and what is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a row says of an image; None where it says nothing."""

    patient: str | None = None
    study: str | None = None
    accession: str | None = None
    view: View | None = None
    view_source: str | None = None
    sex: str | None = None
    age_years: float | None = None
    study_date: date | None = None
    manufacturer: str | None = None
    people: tuple[str, ...] | None = None
    spacing_mm: tuple[float, float] | None = None  # (row, column), of the original
    original_shape: tuple[int, int] | None = None

    def joined(self, other: "_Facts") -> "_Facts | None":
        """Add the facts of another row; None if the two contradict each other."""
        found = {}
        for each in fields(self):
            own, others = getattr(self, each.name), getattr(other, each.name)
            if own is not None and others is not None and own != others and each.name != "view_source":
                return None
            found[each.name] = others if own is None else own
        return _Facts(**found)


def describe_images(images: Sequence[Image], candidates: Iterable[Path], given: Iterable[Path] = ()) -> DescribedImages:
    """Add patient, study, view, sex, age and spacing to image files, and the view to DICOM images without one.

    Args:
        images: the images of a folder.
        candidates: files that may be tables of images, for example all other files of the folder; others are ignored.
        given: tables that the user named.

    Raises:
        InputError: a table that the user named cannot be read, or is not a table of images.
    """
    pictures = [image for image in images if image.file_format != DICOM or image.view is View.UNKNOWN]
    tables = [(path, *_given_table(path)) for path in given]
    if not pictures:
        return DescribedImages(images=tuple(images), left_out=(), tables=frozenset(), sentences=())
    tables += [(path, *found) for path in candidates if (found := _table_in(path)) is not None]
    names = {plain_stem(image.path.name).casefold() for image in pictures}
    left_out: list[Exclusion] = []
    rows = [
        (path, layout, reference, row)
        for path, layout, table in tables
        for reference, row in _rows_of(path, layout, table, names, left_out)
    ]
    finder = ImageFinder(pictures, (reference for _, _, reference, _ in rows))
    facts: dict[Image, _Facts | None] = {}
    described: dict[str, set[Image]] = defaultdict(set)
    unclear: Counter[Path] = Counter()
    for path, layout, reference, row in rows:
        fits = finder.images_of(reference)
        if not is_one_file(fits):
            unclear[path] += 1
            continue
        image = fits[0]
        known = facts.get(image, _Facts())
        facts[image] = None if known is None else known.joined(_facts_of(layout, row))
        described[layout.name].add(image)
    contradicted = sum(found is None for found in facts.values())
    left_out += [_unclear(path, count) for path, count in unclear.items()]
    if contradicted:
        left_out.append(_contradicted(tables[0][0], contradicted))
    completed = _with_studies([_completed(image, facts.get(image) or _Facts()) for image in images])
    return DescribedImages(
        images=tuple(completed),
        left_out=tuple(left_out),
        tables=frozenset(str(path) for path, _, _ in tables),
        sentences=tuple(_sentences(pictures, described)),
    )


def _given_table(path: Path) -> tuple[Layout, Table]:
    text = read_packed_text(path, at_most=MAX_TEXT_BYTES, failure=InputError).text
    columns = columns_of(text.lstrip())
    layout = layout_of_columns(columns)
    if layout is None:
        raise InputError(
            f"{path} is not a table of images: {describe_columns(columns)}; give a CSV with the column image (file "
            "name or path) and any of patient, study, view, sex, age, spacing_mm, or the table of a public set: "
            f"{', '.join(dict.fromkeys(f'{each.name} ({each.table})' for each in LAYOUTS))}"
        )
    return layout, parse_table(text)


def _table_in(path: Path) -> tuple[Layout, Table] | None:
    """Read a file that may be a table of images; None if it is something else, which its own reader reports."""
    if not _ENDINGS.search(path.name):
        return None
    try:
        return _given_table(path)
    except InputError:
        return None


def _rows_of(
    path: Path, layout: Layout, table: Table, names: set[str], left_out: list[Exclusion]
) -> Iterator[tuple[str, Row]]:
    """Yield the rows about one of the images, with the reference to it; rows that cannot be read are counted."""
    column = layout.column(table.columns, "image") or ""
    bad: list[BadRow] = []
    for row in table.rows:
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        if plain_stem(row.cells[column]).casefold() in names:
            yield path_within_set(row.cells[column]), row
    if bad:
        reason = (
            f"{counted(len(bad), 'row')} of the table of images cannot be read; the first is row {bad[0].number}: "
            f"{bad[0].reason}"
        )
        left_out.append(Exclusion(source=str(path), stage=_STAGE, reason=reason, failed=True))


def _facts_of(layout: Layout, row: Row) -> _Facts:
    def cell(name: str) -> str | None:
        column = layout.column(row.cells, name)
        text = "" if column is None else row.cells[column].strip()
        return None if text.casefold() in _EMPTY else text

    views = [name for name in layout.view if name in row.cells] or [layout.column(row.cells, "view") or ""]
    stated = " ".join(row.cells.get(name, "") for name in views).strip()
    view = layout.every_view or layout.views.get(stated.upper()) or view_in_words(stated)
    source = (
        f"{layout.name}, {' and '.join(views)}" if layout.every_view is None else f"{layout.name} has no other view"
    )
    shape = tuple(_positive(cell(name)) for name in ("original_rows", "original_columns"))
    people = tuple(row.cells[name].replace("^", " ") for name in _people(layout, row) if row.cells[name])
    return _Facts(
        patient=_identifier(cell("patient")),
        study=_identifier(cell("study")),
        accession=_identifier(cell("accession")),
        view=view,
        view_source=None if view is None else source,
        sex=_SEXES.get((cell("sex") or "").casefold()),
        age_years=_age(cell),
        study_date=date_in((cell("taken_on") or "").replace("-", "")),
        manufacturer=cell("manufacturer"),
        people=people or None,
        spacing_mm=_spacing(cell),
        original_shape=None if None in shape else (int(shape[0] or 0), int(shape[1] or 0)),
    )


def _people(layout: Layout, row: Row) -> list[str]:
    wanted = {name.replace("_", "") for name in layout.people}
    return [name for name in row.cells if re.sub(r"[^a-z]", "", name.casefold()) in wanted]


def _identifier(text: str | None) -> str | None:
    """Return "50414267" for "50414267.0", as pandas writes the numbers of a column with missing values."""
    return None if text is None else re.sub(r"\A(\d+)\.0\Z", r"\1", text)


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if isfinite(value) and value > 0 else None


def _age(cell: Callable[[str], str | None]) -> float | None:
    """Read "57", "057Y" or "11M", or else compute the age from the year of birth and the date of the image."""
    stated = _AGE.match(cell("age") or "")
    if stated is not None:
        age = int(stated[1]) * _YEARS_PER_UNIT[stated[2].upper()]
    else:
        born, taken = _positive(cell("birth_year")), (cell("taken_on") or "")[:4]
        if born is None or not taken.isdigit():
            return None
        age = int(taken) - born
    return age if 0.0 <= age <= _OLDEST else None


def _spacing(cell: Callable[[str], str | None]) -> tuple[float, float] | None:
    square = _positive(cell("spacing"))
    down, across = _positive(cell("spacing_down")), _positive(cell("spacing_across"))
    return (down, across) if down and across else (square, square) if square else None


def _completed(image: Image, facts: _Facts) -> Image:
    """Add what the path and the table say. A patient or study in the path comes before that of the table."""
    if image.file_format == DICOM:
        if image.view is not View.UNKNOWN or facts.view is None:
            return image
        return replace(image, view=facts.view, view_source=facts.view_source or "")
    path = _groups_of_path(image.sop_instance_uid)
    view, source = facts.view, facts.view_source
    if view is None and "view" in path:
        view, source = view_in_words(path["view"]), "file name"
    scaled = _scaled_spacing(image, facts)
    return replace(
        image,
        patient_id=path.get("patient") or facts.patient or "",
        study_instance_uid=path.get("study") or facts.study or image.study_instance_uid,
        accession_number=facts.accession or "",
        view=view or View.UNKNOWN,
        view_source=source or "",
        sex=facts.sex,
        age_years=facts.age_years,
        study_date=facts.study_date,
        manufacturer=facts.manufacturer,
        people=facts.people or (),
        spacing_mm=scaled,
        spacing_source=None if scaled is None else "table of images",
        original_shape=facts.original_shape,
    )


def _groups_of_path(below: str) -> Mapping[str, str]:
    found = layout_of_path(below)
    return {} if found is None else {name: text for name, text in found[1].groupdict().items() if text}


def _scaled_spacing(image: Image, facts: _Facts) -> tuple[float, float] | None:
    """Convert the spacing of the original to that of the file, which may be smaller."""
    if facts.spacing_mm is None or facts.original_shape is None:
        return facts.spacing_mm
    (down, across), (rows, columns) = facts.spacing_mm, facts.original_shape
    return down * rows / image.rows, across * columns / image.columns


def _with_studies(images: Sequence[Image]) -> Iterator[Image]:
    """Keep studies of two patients apart that have one number: they are then named by patient and number."""
    patients: dict[str, set[str]] = defaultdict(set)
    for image in images:
        patients[image.study_instance_uid].update(filter(None, [image.patient_id]))
    for image in images:
        of_others = len(patients[image.study_instance_uid]) > 1
        if image.file_format != DICOM and image.patient_id and of_others:
            yield replace(image, study_instance_uid=f"{image.patient_id}/{image.study_instance_uid}")
        else:
            yield image


def _unclear(path: Path, count: int) -> Exclusion:
    reason = (
        f"{counted(count, 'row')} of the table of images: several images have the name that is written there; write "
        "their paths below --dicom-dir"
    )
    return Exclusion(source=str(path), stage=_STAGE, reason=reason, failed=True)


def _contradicted(path: Path, count: int) -> Exclusion:
    reason = (
        f"the rows about {counted(count, 'image')} contradict each other in patient, study, view, sex, age or spacing, "
        "and are not used: correct the table of images"
    )
    return Exclusion(source=str(path), stage=_STAGE, reason=reason, failed=True)


def _sentences(pictures: Sequence[Image], described: Mapping[str, set[Image]]) -> Iterator[str]:
    """Name the public sets that the files look like, and the tables that are missing."""
    of = counted(len(pictures), "image file")
    for layout in {layout.name: layout for layout in reversed(LAYOUTS)}.values():
        if layout.paths is None and layout.name not in described:
            continue
        named = 0 if layout.paths is None else sum(map(bool, map(layout.paths.fullmatch, _paths(pictures))))
        in_table = len(described.get(layout.name, ()))
        if not in_table and 2 * named < len(pictures):
            continue
        paths = "" if layout.paths is None else f"{named:,} of {of} are named as it names them; "
        if in_table:
            yield f"This looks like {layout.name}: {paths}its table describes {in_table:,} of {of}."
        else:
            yield (
                f"This looks like {layout.name}: {paths}its table {layout.table} is missing, so that views, sex and "
                "age may be unknown: put it into the folder, or name it with --set inputs.image-tables=FILE."
            )
    if GENERIC.name in described:
        yield f"A table of images describes {len(described[GENERIC.name]):,} of {of}."


def _paths(pictures: Iterable[Image]) -> Iterator[str]:
    return (image.sop_instance_uid for image in pictures)
