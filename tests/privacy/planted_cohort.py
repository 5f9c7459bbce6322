"""A cohort of a draw's identifiers: in headers, reports, names of files and folders, a table of boxes and pixels."""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from drawing import Draw
from planting import burned_in
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipelines.phantom.cohort import make_cohort

__all__ = ["PlantedCohort", "plant_draw"]

_COLUMNS = 400  # px: letters of 20 px are legible
_NAMES = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "OperatorsName"),
    *("NameOfPhysiciansReadingStudy", "PerformingPhysicianName"),
)
_PHRASES = (  # about what is put to the model, so they stand in records, tables and pages
    "Left pleural effusion, as Dr. {} saw it on the ward round.",
    "There is a nodule in the right lung, of which {} was told by phone.",
    "Consolidation at the left base (pictures shown to {}).",
    "Right pneumothorax; the drain was placed by {} this morning.",
    "Small effusion, smaller than on the film that {} reported.",
)
_ABOUT_NAMES = (
    "{} came with a cough.",
    "Befund mit {} besprochen.",
    "Opis: {}.",
    "Пациент {} осмотрен.",
    "Informe revisado por {}.",
    "患者 {}。",
    "{} ile görüşüldü.",
    "Ο ασθενής {} εξετάστηκε.",
    "المريض {} حضر.",
)
_ABOUT_WORDS = (
    "Findings discussed with Dr. {}.",
    "Seen by {} in clinic.",
    "Mr. {} has a cough.",
    "Nodule, per Dr. {}, is stable.",
)
_ABOUT_DATES = ("Compared with the film of {}.", "Since {} the effusion has grown.", "Operation on {}; clips are seen.")
_ABOUT_YEARS = ("Born in {}.", "DOB {}.", "The patient, born {}, has an effusion.", "Smoker, born {}.")
_ABOUT_AGES = (
    ("{}-year-old", "{} with a left effusion."),
    ("{}F", "{} with cough; there is a nodule."),
    ("aged {}", "Patient {}, no pneumothorax."),
    ("{} yo", "A {} with fever."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedCohort:
    """A folder of four films that are audited and some that are not."""

    folder: Path
    draw: Draw
    inks: tuple[np.ndarray, ...]  # of each film, its pixels that are letters
    comments: tuple[str, ...]  # for reviewers to type

    @property
    def given(self) -> list[str]:
        """The flags that name it."""
        return [
            *("--dicom-dir", str(self.folder / "dicom"), "--reports", str(self.folder / "reports")),
            *("--boxes", str(self.folder / "boxes.csv")),
        ]


def plant_draw(folder: Path, draw: Draw) -> PlantedCohort:
    """Write the cohort of a draw; that of its control has the same films, reports and UIDs under the same names."""
    make_cohort(folder, count=4, seed=31, columns=_COLUMNS, brief=True)
    dicom, reports = folder / "dicom", folder / "reports"
    films = sorted(dicom.glob("*.dcm"))
    inks = []
    for number, path in enumerate(films):
        dataset = dcmread(path)
        repeated = _fill(dataset, draw)
        dataset.save_as(path)
        text = f"{draw.name('burned in', form='{family}', latin=True)} {draw.serial('burned in')}".upper()
        inks.append(burned_in(path, text, right=draw.pick(below=2) == 1, bottom=draw.pick(below=2) == 1))
        report = reports / f"{path.stem}.txt"
        report.write_text(_report(report.read_text("utf-8"), repeated, draw, number), "utf-8")
    _boxes(folder, draw, [dcmread(path).SOPInstanceUID for path in films])
    _name_files(dicom, reports, films, draw)
    _add_failures(dicom, reports, draw)
    comments = tuple(
        f"{draw.name('comment')} says effusion, as on {draw.date('comment')}; {draw.record('comment')}, "
        f"{draw.institution('comment')}, {draw.email('comment')}, Dr. {draw.word_name('comment')}"
        for _ in range(4)
    )
    return PlantedCohort(folder=folder, draw=draw, inks=tuple(inks), comments=comments)


def _fill(dataset: Dataset, draw: Draw) -> list[str]:
    """Fill a header; give some of its values, which the report repeats."""
    for keyword in _NAMES:
        setattr(dataset, keyword, draw.name(f"header {keyword}", form="{family}^{given}"))
    dataset.ReferringPhysicianName = draw.word_name("header ReferringPhysicianName")
    dataset.PatientID, dataset.AccessionNumber = draw.record("header PatientID"), draw.accession("header")
    dataset.DeviceSerialNumber, dataset.StationName = draw.serial("header"), draw.serial("header StationName")
    dataset.PatientAddress, dataset.InstitutionAddress = draw.address("header"), draw.address("header")
    dataset.InstitutionName = draw.institution("header InstitutionName")
    dataset.InstitutionalDepartmentName = draw.institution("header InstitutionalDepartmentName")
    dataset.RegionOfResidence = draw.place("header RegionOfResidence")
    dataset.PatientTelephoneNumbers = draw.phone("header")
    dataset.PatientComments = f"write to {draw.email('header PatientComments')}"
    dataset.SeriesDescription = f"PA {draw.place('header SeriesDescription')}"
    dataset.ImageComments = f"film of {draw.name('header ImageComments')}"
    dataset.WindowCenterWidthExplanation = draw.name("header WindowCenterWidthExplanation", form="{family}")
    dataset.PatientBirthDate = draw.date("header PatientBirthDate", years=(1922, 1931), dicom=True)
    dataset.StudyDate = dataset.SeriesDate = draw.date("header StudyDate", years=(2022, 2023), dicom=True)
    dataset.PatientAge = draw.age("header PatientAge", "0{}Y")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = draw.uid("header Study"), draw.uid("header Series")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = draw.uid("header SOPInstanceUID")
    dataset.FrameOfReferenceUID = draw.uid("header FrameOfReferenceUID")
    nested = _nested(dataset, draw)
    return [
        *(str(dataset.PatientName).replace("^", " "), dataset.PatientID, dataset.AccessionNumber),
        *(str(dataset.ReferringPhysicianName), dataset.InstitutionName, dataset.RegionOfResidence, *nested),
    ]


def _nested(dataset: Dataset, draw: Draw) -> list[str]:
    asked, other, inner = Dataset(), Dataset(), Dataset()
    asked.ScheduledPerformingPhysicianName = draw.name("nested ScheduledPerformingPhysicianName", form="{family}")
    asked.RequestedProcedureDescription = f"asked for {draw.name('nested RequestedProcedureDescription')}"
    other.PatientID = draw.record("nested OtherPatientIDsSequence")
    dataset.RequestAttributesSequence, dataset.OtherPatientIDsSequence = Sequence([asked]), Sequence([other])
    block = dataset.private_block(0x0099, "Z MAKER", create=True)
    block.add_new(0x01, "LO", draw.name("private", form="{family}"))
    inner.PersonName = draw.name("private and nested", form="{family}^{given}")
    inner.PatientTelephoneNumbers = draw.phone("private and nested")
    block.add_new(0x02, "SQ", Sequence([inner]))
    return [str(asked.ScheduledPerformingPhysicianName), str(block[0x01].value), other.PatientID]


def _report(text: str, repeated: Several[str], draw: Draw, number: int) -> str:
    """Put sentences with identifiers before the phantom's impression; some repeat the header."""
    said = [_PHRASES[(number + place) % len(_PHRASES)].format(draw.name("report, a phrase")) for place in range(3)]
    said.append(f"There is a small nodule, as {repeated[0]} was told.")
    said += [form.format(draw.name("report")) for form in _some(_ABOUT_NAMES, 3, number)]
    said += [draw.word_name("report", form) for form in _some(_ABOUT_WORDS, 1, number)]
    said += [form.format(draw.date("report")) for form in _some(_ABOUT_DATES, 2, number)]
    said.append(draw.year("report", _ABOUT_YEARS[number]))
    age, sentence = _ABOUT_AGES[number]
    said.append(sentence.format(draw.age("report", age)))
    said += [
        f"Transferred from {draw.place('report')}, {draw.institution('report')}.",
        f"MRN {draw.record('report')}. Accession {draw.accession('report')}.",
        f"Lives at {draw.address('report')}. Call {draw.phone('report')}, or write to {draw.email('report')}.",
        f"Detector {draw.serial('report')}; compared with {draw.uid('report')}.",
        f"Effusion, known to {repeated[3]}, of {repeated[4]}, {repeated[5]}; {repeated[6]} and {repeated[7]}.",
        f"Patient {repeated[0]}, {repeated[1]}, {repeated[2]}, {repeated[8]}.",
    ]
    return f"PATIENT: {repeated[0]}\nFINDINGS: {' '.join(said)}\n{text}\nSigned by {draw.name('report, signature')}\n"


def _some(forms: Several[str], count: int, number: int) -> list[str]:
    return [forms[(number * count + place) % len(forms)] for place in range(count)]


def _boxes(folder: Path, draw: Draw, uids: Several[str]) -> None:
    """Add boxes of named readers with names in labels and phrases, a row of a missing image and one with a bad cell."""
    lines = (folder / "boxes.csv").read_text("utf-8").splitlines()
    meant = dict.fromkeys(line.split(",")[0] for line in lines[1:])
    lines = [lines[0], *(_with_uid(line, dict(zip(meant, uids, strict=True))) for line in lines[1:])]
    rows = [
        f'{uids[0]},nodule,5,5,20,20,{draw.name("box reader")},"nodule of {draw.name("box phrase")}"',
        f"{uids[1]},spot of {draw.name('box label')},5,5,20,20,{draw.serial('box reader')},",
        f"{draw.name('box image', form='{family}')},nodule,5,5,20,20,r,",
        f"{uids[2]},nodule,{draw.name('box cell', form='{family}')},5,20,20,r,",
    ]
    table = [f"{lines[0]},phrase", *(f"{line}," for line in lines[1:]), *rows]
    (folder / "boxes.csv").write_text("\n".join(table) + "\n", "utf-8")


def _with_uid(line: str, uids: dict[str, str]) -> str:
    first, _, rest = line.partition(",")
    return f"{uids[first]},{rest}"


def _name_files(dicom: Path, reports: Path, films: Several[Path], draw: Draw) -> None:
    """Name two films, their reports and a folder by people, another by a number."""
    folder = dicom / draw.name("folder", form="{family}_{given}")
    folder.mkdir()
    for film, stem, where in (
        (films[0], draw.name("file", form="{family}-{given}"), folder),
        (films[1], draw.serial("file"), dicom),
        (films[2], draw.name("file", form="{family}, {given}"), dicom),
    ):
        film.rename(where / f"{stem}.dcm")
        (reports / f"{film.stem}.txt").rename(reports / f"{stem}.txt")


def _add_failures(dicom: Path, reports: Path, draw: Draw) -> None:
    """Add what takes no part: a file cut short, one that is no DICOM, a hand, a report without a film, a bad table."""
    whole = next(dicom.glob("phantom-*.dcm"))
    (dicom / f"{draw.name('file, cut short')}.dcm").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (dicom / f"{draw.name('file, no DICOM')}.dcm").write_text("no DICOM")
    other = dcmread(whole)
    other.BodyPartExamined = f"HAND {draw.serial('header BodyPartExamined')}".replace("-", " ")
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = draw.uid("file, left out")
    other.save_as(dicom / f"{draw.name('file, left out', form='{family}')}.dcm")
    orphan = reports / f"{draw.name('report file without a film')}.txt"
    orphan.write_text(f"FINDINGS: nodule of {draw.name('report without a film')}.\n", "utf-8")
    (reports / "people.csv").write_text(f"{draw.name('table head', form='{family}')},x\n1,2\n", "utf-8")
