"""The document for a board as a DICOM object, so that the archive keeps it beside the results.

The document is about a model on a cohort, not about a patient, and DICOM has no object without one. It is therefore
filed in a study of its own under a patient that is none: the name says so, the identifier has an issuer of its own, and
QualityControlSubject is YES.

Source: PS3.3 A.45.1 (Encapsulated PDF IOD), C.24.1 and C.24.2 (its modules), C.7.1.1 (Patient).
"""

import hashlib
from datetime import UTC
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from pipelines.dicom.headers import OWN_MANUFACTURER
from reports.dicom_out.codes import own_code, own_scheme
from reports.dicom_out.identity import derived_uid, plain_line
from reports.run_record import RunRecord

__all__ = ["encapsulated_pdf"]

_PATIENT_ID: Final = "M2IB-AUDIT"
_PATIENT_NAME: Final = "Audit of models^No patient"
_ISSUER: Final = "m2ib-audit"
_SERIES: Final = 9805


def encapsulated_pdf(pdf: bytes, run: RunRecord, *, title: str, secret: bytes) -> Dataset:
    """Wrap the document of a run in a DICOM object.

    Args:
        pdf: the document.
        run: the run that it is about.
        title: of the document.
        secret: the salt; UIDs are derived from it and from the run, so that a repeated push is stored once.
    """
    audit = f"{run.model.sha256} {run.created.isoformat()}"
    made = (run.rescored or run.finished).astimezone(UTC)
    day, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    found.SOPClassUID = EncapsulatedPDFStorage
    found.SOPInstanceUID = derived_uid(secret, "board", audit, hashlib.sha256(pdf).hexdigest())
    found.InstanceCreationDate, found.InstanceCreationTime = day, time
    found.TimezoneOffsetFromUTC = "+0000"

    found.PatientName, found.PatientID, found.IssuerOfPatientID = _PATIENT_NAME, _PATIENT_ID, _ISSUER
    found.PatientBirthDate = found.PatientSex = ""
    found.QualityControlSubject = "YES"

    begun = run.created.astimezone(UTC)
    found.StudyInstanceUID = derived_uid(secret, "board study", audit)
    found.StudyDate, found.StudyTime = begun.strftime("%Y%m%d"), begun.strftime("%H%M%S")
    found.StudyID = "AUDIT"
    found.AccessionNumber = found.ReferringPhysicianName = ""
    found.StudyDescription = plain_line(title)

    found.Modality = "DOC"
    found.SeriesInstanceUID = derived_uid(secret, "board series", audit)
    found.SeriesNumber = _SERIES
    found.SeriesDescription = "m2ib-audit document (not for diagnosis)"
    found.Manufacturer = OWN_MANUFACTURER
    found.ManufacturerModelName = plain_line(f"{run.method} of {run.model.name}")
    found.SoftwareVersions = plain_line(run.software.get("m2ib-audit", "unknown"))
    found.ConversionType = "WSD"

    found.InstanceNumber = 1
    found.ContentDate, found.ContentTime, found.AcquisitionDateTime = day, time, ""
    found.BurnedInAnnotation = "NO"
    found.DocumentTitle = plain_line(title)
    found.ConceptNameCodeSequence = [own_code("audit-report", "Report of an audit")]
    found.CodingSchemeIdentificationSequence = [own_scheme()]
    found.VerificationFlag = "UNVERIFIED"
    found.MIMETypeOfEncapsulatedDocument = "application/pdf"
    found.EncapsulatedDocumentLength = len(pdf)
    found.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)

    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return found
