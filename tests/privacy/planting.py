"""Identifiers planted wherever a hospital's files may hold them."""

import json
from base64 import b64encode
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid

from pipelines.phantom.cohort import make_cohort

# Of each place one word that occurs nowhere else. Letters are kept apart from any word of ours.
IN_HEADERS = {
    "PatientName": "Kowalczykowa^Zdzislawa",
    "PatientBirthDate": "19510314",
    "PatientAddress": "Mulberrystrasse 17, Quxhaven",
    "PatientTelephoneNumbers": "+48 601 772 913",
    "OtherPatientNames": "Brzeczyszczykiewicz^Z",
    "PatientBirthName": "Wojciechowszczak",
    "PatientMotherBirthName": "Szczepaniakowa",
    "PatientComments": "sister of Tarantulska",
    "PatientID": "PIDQ-4482913",
    "AccessionNumber": "ACCQ-771904",
    "StudyID": "SIDQ-55810",
    "InstitutionName": "Quillfeather Infirmary",
    "InstitutionAddress": "3 Vinegarhill Lane",
    "InstitutionalDepartmentName": "Wardenclyffe Unit",
    "StationName": "STNQ-88123",
    "ReferringPhysicianName": "Oglethorpowski^Bartholomew",
    "PhysiciansOfRecord": "Ravenscroftova",
    "NameOfPhysiciansReadingStudy": "Hollingberryk",
    "OperatorsName": "Featherstonehaughk",
    "DeviceSerialNumber": "DSNQ-90712-X",
    "StudyDescription": "CXR for Pumpernickelson",
    "SeriesDescription": "PA Zugzwangowicz",
    "ImageComments": "see chart of Quetzalcoatlova",
    "ProtocolName": "Thistlewaitek protocol",
    "RequestedProcedureDescription": "asked by Umberlandic",
    "AdditionalPatientHistory": "brother of Yellowhammerk",
    "Manufacturer": "Xylographmanski works",
    "ManufacturerModelName": "Modelowskaya",
    "PhotometricInterpretation": "MONOCHROME2",
}
IN_REPORT = {
    "titled": "Dr. Vandermeerschk",
    "quoted": '"Prof. Jabberwockyk"',
    "untitled patient": "KOWALCZYKOWA",
    "untitled physician": "Bartholomew Oglethorpowski",
    "date": "14/03/2021",
    "birth": "DOB 03/14/1951",
    "phone": "(601) 772-9133",
    "record": "MRN 99471123",
    "mail": "z.kow@quillfeather.example",
    "link": "https://pacs.quillfeather.example/view?p=77",
    "signed": "signed by Ignatiusowicz",
}
IN_BOXES = {"reader": "Readeropolski", "label": "spot of Labelmanski", "phrase": "nodule of Phrasemanski"}
IN_NAMES = {
    "folder": "Folderowska_Jan",
    "file": "Filenameczyk-Ewa",
    "orphan": "Orphanczyk_Adam",
    "suffix": "Suffixman",
    "picture": "Picturowska_Ola",
}
IN_TABLE_OF_IMAGES = {
    "patient_name": "Tableimagowicz^Ewa",
    "patient_id": "TPIDQ-55190",
    "study_id": "TSIDQ-88041",
    "accession_number": "TACCQ-3391",
    "manufacturer": "Makermanski",
}
PRIVATE, GRAPHIC, OVERLAY, SR_TEXT = "Privateczyk", "Graphicsmanski", "Overlaymanska", "Structuredczyk"
HL7_NAME, FHIR_NAME, TABLE_HEAD = "Hlsevenczyk", "Fhirmanska", "Tableheadczyk"


REPORTED = (
    *("Vandermeerschk", "Jabberwockyk", "Oglethorpowski", "14/03/2021", "03/14/1951", "772-9133", "99471123"),
    *("z.kow@quillfeather", "pacs.quillfeather", "Ignatiusowicz", "Kowalczykowa"),
)


def secrets(uids: list[str]) -> list[str]:
    """Every word that must not be found."""
    header = [part for key, value in IN_HEADERS.items() if key != "PhotometricInterpretation" for part in _parts(value)]
    report = list(REPORTED)
    boxes = ["Readeropolski", "Labelmanski", "Phrasemanski"]
    table = [value.partition("^")[0] for value in IN_TABLE_OF_IMAGES.values()]
    more = [*table, PRIVATE, GRAPHIC, OVERLAY, SR_TEXT, HL7_NAME, FHIR_NAME, TABLE_HEAD]
    return [*header, *report, *boxes, *IN_NAMES.values(), *more, *uids]


def _parts(value: str) -> list[str]:
    known = {
        "Z",
        "see",
        "chart",
        "of",
        "CXR",
        "for",
        "PA",
        "protocol",
        "asked",
        "by",
        "sister",
        "brother",
        "works",
        "Unit",
    }
    known |= {"Infirmary", "Lane", "17", "3", "+48", "601", "772", "913"}
    words = [word.strip(",") for word in value.replace("^", " ").split()]
    return [value] if value.startswith("+48") else [word for word in words if word not in known]


def plant(folder: Path) -> list[str]:
    """Make a cohort of studies that are audited, fail, are left out and do not join; give the words to search for."""
    make_cohort(folder, count=4, seed=31, columns=160, brief=True)
    uids: list[str] = []
    dicom, reports = folder / "dicom", folder / "reports"
    for path in sorted(dicom.glob("*.dcm")):
        dataset = dcmread(path)
        _fill(dataset)
        uids += [dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID]
        dataset.save_as(path)
        report = reports / f"{path.stem}.txt"
        report.write_text(_report(report.read_text()))
    first, second, third, fourth = sorted(dicom.glob("*.dcm"))
    named = dicom / IN_NAMES["folder"]
    named.mkdir()
    first.rename(named / f"{IN_NAMES['file']}.dcm")
    (reports / f"{first.stem}.txt").rename(reports / f"{IN_NAMES['file']}.txt")
    third.write_bytes(third.read_bytes()[: third.stat().st_size // 2])
    other = dcmread(fourth)
    other.BodyPartExamined = "HAND ZDZISLAWA"
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = uid = generate_uid(entropy_srcs=["left out"])
    uids.append(uid)
    other.save_as(dicom / f"{IN_NAMES['file']}-hand.dcm")
    (dicom / f"{IN_NAMES['orphan']}.dcm").write_text("no DICOM")
    (reports / f"{IN_NAMES['orphan']}.txt").write_text(_report("FINDINGS: There is a nodule in the left lung.\n"))
    (reports / f"letter.{IN_NAMES['suffix']}").write_text("no report")
    (reports / "people.csv").write_text(f"{TABLE_HEAD},Anna\nKowalczykowa,3\n")
    _picture(dicom, reports, fourth)
    uids += _reports_of_other_formats(dicom, reports)
    _boxes(folder, dcmread(second).SOPInstanceUID)
    return secrets(uids)


def _picture(dicom: Path, reports: Path, film: Path) -> None:
    """Add a PNG that is named after a person, a table that says whose it is, and a report that repeats its name."""
    stem, head = IN_NAMES["picture"], ",".join(IN_TABLE_OF_IMAGES)
    Image.fromarray((dcmread(film).pixel_array >> 4).astype(np.uint8)).save(dicom / f"{stem}.png", title=stem)
    (dicom / "images.csv").write_text(f"image,view,{head}\n{stem}.png,PA,{','.join(IN_TABLE_OF_IMAGES.values())}\n")
    family = IN_TABLE_OF_IMAGES["patient_name"].partition("^")[0]
    (reports / f"{stem}.txt").write_text(f"FINDINGS: There is a nodule, as {family} knows; {stem}.\n")


def _fill(dataset: Dataset) -> None:
    for keyword, value in IN_HEADERS.items():
        if keyword != "PhotometricInterpretation":
            setattr(dataset, keyword, value)
    other = Dataset()
    other.PatientID = IN_HEADERS["PatientID"]
    dataset.OtherPatientIDsSequence = Sequence([other])
    dataset.private_block(0x0099, "Z MAKER", create=True).add_new(0x01, "LO", PRIVATE)
    dataset.PresentationLUTShape = "KOWALCZYKOWA"
    dataset.WindowCenterWidthExplanation = "Kowalczykowa"
    dataset.add_new(0x60000022, "LO", OVERLAY)
    graphic, text = Dataset(), Dataset()
    text.UnformattedTextValue = GRAPHIC
    graphic.TextObjectSequence = Sequence([text])
    dataset.GraphicAnnotationSequence = Sequence([graphic])


def _report(text: str) -> str:
    said = list(IN_REPORT.values())
    extra = " ".join(
        f"There is a nodule in the left lung, discussed with {', '.join(said[start : start + 3])} in the ward."
        for start in range(0, len(said), 3)
    )
    return text.replace("FINDINGS:", f"FINDINGS: {extra}", 1) if "FINDINGS:" in text else f"{text}\nFINDINGS: {extra}\n"


def _reports_of_other_formats(dicom: Path, reports: Path) -> list[str]:
    body = f"There is a nodule. Discussed with Dr. {HL7_NAME}."
    (reports / "message.hl7").write_text(
        "MSH|^~\\&|RIS|H|||20260101||ORU^R01|1|P|2.5\r"
        f"PID|1||PIDQ-4482913||{HL7_NAME}^Anna||19510314|F|||Mulberrystrasse 17\r"
        f"OBR|1|ACCQ-999|ACCQ-999|71020||||||||||||Oglethorpowski\rOBX|1|TX|GDT||FINDINGS: {body}||||||F\r"
    )
    resource = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "subject": {"display": FHIR_NAME, "reference": "Patient/PIDQ-4482913"},
        "identifier": [{"value": "ACCQ-771999"}],
        "presentedForm": [{"contentType": "text/plain", "data": b64encode(f"FINDINGS: {body}".encode()).decode()}],
    }
    (reports / "report.json").write_text(json.dumps(resource))
    sr = Dataset()
    sr.file_meta = FileMetaDataset()
    sr.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    sr.SOPClassUID = sr.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    sr.SOPInstanceUID = sr.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["sr"])
    sr.StudyInstanceUID = generate_uid(entropy_srcs=["sr study"])
    sr.PatientName, sr.PatientID, sr.Modality, sr.ValueType = f"{SR_TEXT}^A", "PIDQ-4482913", "SR", "CONTAINER"
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", f"Nodule. Dr. {SR_TEXT}."
    sr.ContentSequence = Sequence([item])
    sr.save_as(reports / "structured.dcm", enforce_file_format=True)
    return [sr.SOPInstanceUID, sr.StudyInstanceUID]


def _boxes(folder: Path, uid: str) -> None:
    """Add boxes of a named reader, with a label and a phrase that say a name, some of which meet nothing."""
    rows = [
        f'{uid},nodule,5,5,20,20,{IN_BOXES["reader"]},"{IN_BOXES["phrase"]}"',
        f"{uid},{IN_BOXES['label']},5,5,20,20,{IN_BOXES['reader']},",
        f"{IN_NAMES['orphan']},nodule,5,5,20,20,{IN_BOXES['reader']},",
        f"{uid},nodule,{IN_BOXES['reader']},5,20,20,r,",
    ]
    lines = (folder / "boxes.csv").read_text().splitlines()
    table = [f"{lines[0]},phrase", *(f"{line}," for line in lines[1:]), *rows]
    (folder / "boxes.csv").write_text("\n".join(table) + "\n")


def burned_in(path: Path, text: str, *, right: bool = False, bottom: bool = False) -> np.ndarray:
    """Write a text into a corner of a film's pixels, bright on dark; give its letters."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415

    dataset = dcmread(path)
    dataset.decompress() if dataset.file_meta.TransferSyntaxUID.is_compressed else None
    pixels = dataset.pixel_array.copy()
    rows, columns = pixels.shape
    picture = Image.new("L", (columns, rows), 0)
    place = (columns - 6 if right else 6, rows - 6 if bottom else 6)
    anchor = ("r" if right else "l") + ("d" if bottom else "a")
    ImageDraw.Draw(picture).text(place, text, fill=255, font=ImageFont.load_default(size=columns // 20), anchor=anchor)
    ink = np.asarray(picture) > 127
    pixels[ink] = 0 if dataset.PhotometricInterpretation == "MONOCHROME1" else 4095
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path)
    return ink
