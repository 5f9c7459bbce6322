"""How public sets of radiographs name their image files, and the columns of the tables that describe them.

To add a set, add a :class:`Layout` to :data:`LAYOUTS`.

Source: the tables as published: NIH ChestX-ray14 (Wang et al. 2017), MIMIC-CXR-JPG 2.0 (Johnson et al. 2019), CheXpert
(Irvin et al. 2019), PadChest (Bustos et al. 2020), VinDr-CXR (Nguyen et al. 2022: all of its images are PA views).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pipelines.study import View
from pipelines.text.table import pick_column

__all__ = ["GENERIC", "LAYOUTS", "Layout", "layout_of_columns", "layout_of_path", "path_within_set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A set of image files: their paths, and the columns of its table of images.

    A field of the table is a tuple of column names, of which the first that exists is used (of ``view`` all of them).
    """

    name: str
    table: str  # the file name under which its table is published
    paths: re.Pattern[str] | None = None  # of a path below the folder; its groups: patient, study and view
    needed: tuple[str, ...]  # columns by which its table is recognised
    image: tuple[str, ...]
    patient: tuple[str, ...] = ()
    study: tuple[str, ...] = ()
    accession: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    views: Mapping[str, View] = field(default_factory=lambda: MappingProxyType({}))  # of words that only this set uses
    every_view: View | None = None  # if the set has only one
    sex: tuple[str, ...] = ()
    age: tuple[str, ...] = ()
    birth_year: tuple[str, ...] = ()  # with ``taken_on``, instead of ``age``
    taken_on: tuple[str, ...] = ()  # date of the study
    manufacturer: tuple[str, ...] = ()
    people: tuple[str, ...] = ()  # columns with names of people, all of them
    spacing: tuple[str, ...] = ()  # mm, of the original: down and across
    spacing_down: tuple[str, ...] = ()
    spacing_across: tuple[str, ...] = ()
    original_rows: tuple[str, ...] = ()  # size of the image from which the file was made, if it was resized
    original_columns: tuple[str, ...] = ()

    def column(self, columns: Iterable[str], name: str) -> str | None:
        """Return the column of a field; None if the table lacks it."""
        names: tuple[str, ...] = getattr(self, name)
        return pick_column(columns, names)


NIH: Final = Layout(
    name="NIH ChestX-ray14",
    table="Data_Entry_2017.csv",
    paths=re.compile(r"(?:.*/)?(?P<study>(?P<patient>\d{8})_\d{3})\.png", re.IGNORECASE),
    needed=("Image Index", "Patient ID", "View Position"),
    image=("Image Index",),
    patient=("Patient ID",),
    view=("View Position",),
    sex=("Patient Gender", "Patient Sex"),
    age=("Patient Age",),
    # The header is OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]: four columns.
    original_columns=("OriginalImage[Width",),
    original_rows=("Height]",),
    spacing_across=("OriginalImagePixelSpacing[x",),
    spacing_down=("y]",),
)
MIMIC: Final = Layout(
    name="MIMIC-CXR-JPG",
    table="mimic-cxr-2.0.0-metadata.csv",
    paths=re.compile(
        r"(?:.*/)?p(?P<patient>\d{8})/s(?P<study>\d{8})/[0-9a-f]{8}(?:-[0-9a-f]{8}){4}\.(?:jpe?g|png)", re.IGNORECASE
    ),
    needed=("dicom_id", "subject_id", "study_id", "ViewPosition"),
    image=("dicom_id",),
    patient=("subject_id",),
    study=("study_id",),
    view=("ViewPosition",),
)
CHEXPERT: Final = Layout(
    name="CheXpert",
    table="train.csv",
    paths=re.compile(
        r"(?:.*/)?(?P<study>(?P<patient>patient\d+)/study\d+)/view\d+_(?P<view>frontal|lateral)\.(?:jpe?g|png)",
        re.IGNORECASE,
    ),
    needed=("Path", "Frontal/Lateral", "AP/PA"),
    image=("Path",),
    view=("Frontal/Lateral", "AP/PA"),
    sex=("Sex",),
    age=("Age",),
)
PADCHEST: Final = Layout(
    name="PadChest",
    table="PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
    paths=re.compile(r"(?:.*/)?\d{30,}_(?:\w{6}|\d{2}-\d{3}-\d{3})\.png", re.IGNORECASE),
    needed=("ImageID", "StudyID", "PatientID", "Projection"),
    image=("ImageID",),
    patient=("PatientID",),
    study=("StudyID",),
    view=("Projection",),
    views=MappingProxyType({"L": View.LATERAL}),
    sex=("PatientSex_DICOM",),
    birth_year=("PatientBirth",),
    taken_on=("StudyDate_DICOM",),
    manufacturer=("Manufacturer_DICOM",),
    original_rows=("Rows_DICOM",),
    original_columns=("Columns_DICOM",),
)
VINDR: Final = Layout(
    name="VinDr-CXR",
    table="train.csv",
    needed=("image_id", "class_name", "rad_id"),
    image=("image_id",),
    every_view=View.PA,
)
VINDR_SIZES: Final = Layout(
    name="VinDr-CXR",
    table="train_meta.csv",
    needed=("image_id", "dim0", "dim1"),
    image=("image_id",),
    every_view=View.PA,
    original_rows=("dim0",),
    original_columns=("dim1",),
)
GENERIC: Final = Layout(
    name="a table of images",
    table="",
    needed=(),
    image=("image", "image_id", "image_name", "image_index", "image_path", "filename", "file_name", "file", "path"),
    patient=("patient", "patient_id", "subject_id", "subject", "mrn"),
    study=("study_instance_uid", "study_uid", "study_id", "study"),
    accession=("accession_number", "accession"),
    view=("view", "view_position", "projection"),
    sex=("sex", "gender", "patient_sex", "patient_gender"),
    age=("age", "age_years", "patient_age"),
    taken_on=("study_date",),
    manufacturer=("manufacturer",),
    people=("name", "patient_name", "referring_physician", "physician"),
    spacing=("spacing_mm", "pixel_spacing", "spacing"),
    spacing_down=("row_spacing_mm", "spacing_y"),
    spacing_across=("column_spacing_mm", "spacing_x"),
)
LAYOUTS: tuple[Layout, ...] = (NIH, MIMIC, CHEXPERT, PADCHEST, VINDR, VINDR_SIZES)
"""The public sets, in the order in which they are tried."""


def layout_of_path(path: str) -> tuple[Layout, re.Match[str]] | None:
    """Find the set that names its files like this path, with / between folders; None if none does."""
    for layout in LAYOUTS:
        match = None if layout.paths is None else layout.paths.fullmatch(path)
        if match is not None:
            return layout, match
    return None


def path_within_set(path: str) -> str:
    """Return the part of a path that its set determines, without the folders that it was unpacked to.

    "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg" begins at "patient00001"; a path of no known set
    is unchanged.
    """
    written = path.replace("\\", "/")
    found = layout_of_path(written)
    if found is None or "study" not in found[1].re.groupindex:
        return written
    first = min(found[1].start(name) for name in ("study", "patient"))
    return written[written.rfind("/", 0, first) + 1 :]


_DESCRIBED = ("patient", "study", "accession", "view", "sex", "age", "spacing", "spacing_down")


def layout_of_columns(columns: Iterable[str]) -> Layout | None:
    """Recognise a table of images by its columns; None if it is another table."""
    named = tuple(columns)
    for layout in LAYOUTS:
        if all(pick_column(named, (column,)) is not None for column in layout.needed):
            return layout
    if GENERIC.column(named, "image") is None or all(GENERIC.column(named, name) is None for name in _DESCRIBED):
        return None
    return GENERIC
