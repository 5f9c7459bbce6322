"""Frontal films drawn with rectangles, and the tables that public sets publish with theirs."""

from pathlib import Path

import numpy as np
from PIL import Image

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_ROWS = (
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,",
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143,",
    "00000002_000.png,No Finding,0,2,081Y,M,PA,2500,2048,0.171,0.171,",
)
CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT_ROWS = (
    "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    "CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg,Female,83,Frontal,AP,,,,1.0,,,-1.0,,,,,,1.0,",
    "CheXpert-v1.0-small/train/patient00002/study1/view2_lateral.jpg,Female,83,Lateral,,,,,1.0,,,-1.0,,,,,,1.0,",
)
MIMIC_HEADER = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
MIMIC_NAME = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
MIMIC_ROWS = (f"{MIMIC_NAME},10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,,,Erect",)
PADCHEST_HEADER = (
    "ImageID,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "Manufacturer_DICOM,Rows_DICOM,Columns_DICOM,Report,Labels"
)
PADCHEST_ROWS = (
    (
        "20536686640136348236148679891455886468_k6ga29.png,20140915,20536686640136348236148679891455886468,8398604,1930.0,"
        "F,POSTEROANTERIOR,PA,ImagingDynamicsCompanyLtd,2682,2749,sin hallazg,['normal']"
    ),
    (
        "135803415504923515076821959678074435083_fzis7d.png,20150914,135803415504923515076821959678074435083,3135727,"
        "1929.0,M,LATERAL,L,ImagingDynamicsCompanyLtd,3296,3236,cambi cronic,\"['pulmonary fibrosis', 'kyphosis']\""
    ),
)


def drawn_film(rows: int = 160, columns: int = 128) -> np.ndarray:
    """Draw a mediastinum brighter than the lungs on both of its sides, from 0 to 1."""
    film = np.full((rows, columns), 0.5)
    film[rows // 5 : 4 * rows // 5, columns // 8 : 7 * columns // 8] = 0.1
    film[:, 3 * columns // 7 : 4 * columns // 7] = 0.9
    return film


def saved_film(path: Path, display: np.ndarray | None = None, mode: str = "L", **options: object) -> Path:
    """Save a film as 8-bit greys, converted to one of Pillow's modes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = drawn_film() if display is None else display
    Image.fromarray(np.round(values * 255).astype(np.uint8)).convert(mode).save(path, **options)
    return path


def saved_table(path: Path, header: str, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n")
    return path
