"""Miniatures of public sets: files and tables named and laid out as published, with pictures of our own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.mask import encode
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from pipelines.phantom.render import render, sample_phantom

__all__ = ["SETS"]

MIMIC_IMAGES = {
    "p10/p10000032/s50414267": "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014",
    "p10/p10000764/s57375967": "096052b7-d256dc40-453a102b-fa7d01c6-1b22c6b4",
    "p11/p11000011/s51029426": "55cc8ddf-fbdbf6ea-32f2f1ec-b9f3d5a1-0c2f1f14",
}
"""Studies and images: the last has no box."""
VINDR_IMAGES = (
    "9a5094b2563a1ef3ff50dc5c7ff71345",
    "051132a778e61a86eb147c7c6f564dfe",
    "50a418190bc3fb1ef1633bf9678929b3",
)
CHEXPERT_LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
VINDR_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)


def _film(number: int) -> np.ndarray:
    """Render a synthetic chest with greys from 0 to 1."""
    return render(sample_phantom(np.random.default_rng([18, number])), columns=160).image


def _saved_picture(path: Path, number: int, size: tuple[int, int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.round(_film(number) * 255).astype(np.uint8))
    (picture if size is None else picture.resize(size)).save(path)


def _saved_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def make_nih(folder: Path) -> None:
    """NIH ChestX-ray14: square PNG; boxes on two of four images, in pixels of 1,024 x 1,024."""
    names = ("00000001_000", "00000002_000", "00000003_000", "00000004_000")
    for number, name in enumerate(names):
        _saved_picture(folder / f"NIH/images/{name}.png", number, (160, 160))
    _saved_text(
        folder / "NIH/Data_Entry_2017_v2020.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]",
        "00000001_000.png,Atelectasis|Effusion,0,1,58,M,PA,2682,2749,0.143,0.143",
        "00000002_000.png,Infiltration,0,2,61,F,AP,2500,2048,0.168,0.168",
        "00000003_000.png,Mass,0,3,74,M,PA,2048,2500,0.168,0.168",
        "00000004_000.png,No Finding,0,4,33,F,PA,2048,2500,0.168,0.168",
    )
    _saved_text(
        folder / "NIH/BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Atelectasis,225.084745762712,547.019216763771,186.779661016949,179.186440677966,,,",
        "00000001_000.png,Effusion,686.101694915254,575.019216763771,178.983050847458,222.372881355932,,,",
        "00000002_000.png,Infiltrate,221.830508474576,317.530395136778,155.986440677966,216.949152542373,,,",
    )


def make_ms_cxr(folder: Path) -> None:
    """MS-CXR with the JPEG files of MIMIC-CXR-JPG and the reports of MIMIC-CXR; two of three images have boxes."""
    reports = (
        "FINDINGS: There is a small right pleural effusion. No pneumothorax.",
        "FINDINGS: Left lower lobe consolidation.\n\n IMPRESSION: Left lower lobe consolidation.",
        "FINDINGS: Mild cardiomegaly.",
    )
    rows = []
    for number, ((study, name), report) in enumerate(zip(MIMIC_IMAGES.items(), reports, strict=True)):
        _saved_picture(folder / f"MIMIC/files/{study}/{name}.jpg", 10 + number)
        _saved_text(folder / f"reports/files/{study}.txt", " " * 33 + "FINAL REPORT", f" {report}")
        patient, number_of_study = study.split("/")[1:]
        rows.append(
            f"{name},{patient[1:]},{number_of_study[1:]},CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,,,"
        )
    orphan = "p12/p12000000/s59999999"  # the archive of reports holds those of images that were not downloaded
    _saved_text(folder / f"reports/files/{orphan}.txt", " FINDINGS: Right pleural effusion.")
    _saved_text(
        folder / "MIMIC/mimic-cxr-2.0.0-metadata.csv",
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
        "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning",
        *rows,
    )
    boxes = (
        ("Pleural Effusion", "small right pleural effusion", "300,1900,600,500"),
        ("Consolidation", "Left lower lobe consolidation", "1500,1700,500,600"),
    )
    _saved_text(
        folder / "MS_CXR_Local_Alignment_v1.1.0.csv",
        "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split",
        *(
            f"{name},{category},{text},files/{study}/{name}.jpg,{box},2544,3056,test"
            for (study, name), (category, text, box) in zip(MIMIC_IMAGES.items(), boxes, strict=False)
        ),
    )


def make_vindr(folder: Path) -> None:
    """VinDr-CXR of PhysioNet: DICOM files whose data set has lost every identifier; three readers an image."""
    for number, name in enumerate(VINDR_IMAGES):
        _saved_vindr_dicom(folder / f"VinDr/train/{name}.dicom", 20 + number)
    boxes, labels = [], []
    for number, name in enumerate(VINDR_IMAGES):
        for reader in (8, 9, 10):
            shift = 2 * reader
            found = {0: "Pleural effusion", 1: "Cardiomegaly"}.get(number)
            box = "" if found is None else f"{30 + shift}.5,{60 + shift},{90 + shift},{120 + shift}.25"
            boxes.append(f"{name},R{reader},{found or 'No finding'},{box or ',,,'}")
            present = {found or "No finding"}
            labels.append(
                f"{name},R{reader}," + ",".join(str(int(each in present)) for each in VINDR_LABELS.split(","))
            )
    _saved_text(
        folder / "VinDr/annotations/annotations_train.csv", "image_id,rad_id,class_name,x_min,y_min,x_max,y_max", *boxes
    )
    _saved_text(folder / "VinDr/annotations/image_labels_train.csv", f"image_id,rad_id,{VINDR_LABELS}", *labels)


def _saved_vindr_dicom(path: Path, number: int) -> None:
    """Write the elements that VinDr's de-identification keeps; the hash of the UID is in the file meta information.

    Source: de-identification/anonymize.py and tags.csv of github.com/vinbigdata-medical/vindr-cxr.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.round(_film(number) * 4095).astype("<u2")
    dataset = Dataset()
    dataset.PatientSex, dataset.PatientAge = "M", "061Y"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    dataset.PixelSpacing = [1.9, 1.9]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.PixelData = values.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.ImplementationClassUID = "1.2.3.4"
    with disable_value_validation():  # the hash is no valid UID
        dataset.file_meta.MediaStorageSOPInstanceUID = path.stem
        dataset.save_as(path, enforce_file_format=False)


def make_chexlocalize(folder: Path) -> None:
    """CheXlocalize: the validation images of CheXpert, their labels, and masks as packed run lengths."""
    paths = (
        "patient64541/study1/view1_frontal",
        "patient64542/study1/view1_frontal",
        "patient64542/study1/view2_lateral",
    )
    for number, path in enumerate(paths):
        _saved_picture(folder / f"CheXpert/val/{path}.jpg", 30 + number)
    _saved_text(
        folder / "CheXpert/val_labels.csv",
        f"Path,Sex,Age,Frontal/Lateral,AP/PA,{CHEXPERT_LABELS}",
        f"CheXpert-v1.0/valid/{paths[0]}.jpg,Male,73,Frontal,AP,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0",
        f"CheXpert-v1.0/valid/{paths[1]}.jpg,Male,70,Frontal,PA,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
        f"CheXpert-v1.0/valid/{paths[2]}.jpg,Male,70,Lateral,,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
    )
    drawn = {paths[0]: ("Cardiomegaly", "Airspace Opacity"), paths[1]: ("Support Devices",)}
    _saved_text(
        folder / "CheXlocalize/gt_segmentations_val.json",
        json.dumps({path.replace("/", "_"): _masks(found) for path, found in drawn.items()}),
    )


def _masks(findings: tuple[str, ...]) -> dict[str, object]:
    mask = np.zeros((195, 160), np.uint8)
    masks = {}
    for number, finding in enumerate(findings):
        mask[:] = 0
        mask[60 + 30 * number : 110 + 30 * number, 50:120] = 1
        packed = encode(np.asfortranarray(mask))
        masks[finding] = {"size": packed["size"], "counts": packed["counts"].decode()}
    return masks


SETS: dict[str, Callable[[Path], None]] = {
    "NIH ChestX-ray14": make_nih,
    "MS-CXR": make_ms_cxr,
    "VinDr-CXR": make_vindr,
    "CheXlocalize": make_chexlocalize,
}
"""Miniatures by the heading under which docs/PUBLIC_SETS.md describes the set; each is made in an empty folder."""
