"""What the model found, as a measurement report: one per image, with one group of measurements per phrase.

Source: PS3.16 TID 4019 (Algorithm Identification); see :mod:`reports.dicom_out.measurement_report`.
"""

from highdicom.sr import (
    AlgorithmIdentification,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from reports.dicom_out.codes import AI, COSINE, HEAT_PEAK, HEAT_TOTAL, NO_UNITS, outcome_code, own_code, unit_code
from reports.dicom_out.content import ImageContent, PhraseContent
from reports.dicom_out.identity import SeriesLabel, plain_line
from reports.dicom_out.measurement_report import Group, group, measurement_report
from reports.score_catalogue import SCORES

__all__ = ["REPORTS", "make_report"]

REPORTS = SeriesLabel(name="structured report", number=9803, title="measurements")


def make_report(content: ImageContent, number: int) -> Dataset:
    """Write an image's cosines, heat, pointing games and hottest regions as a Comprehensive 3D SR."""
    return measurement_report(
        content,
        [_group(content, phrase) for phrase in content.phrases],
        ObservationContext(observer_device_context=_observer(content)),
        content.identity.of_object(REPORTS, content.record.key, number, scored=True),
    )


def _observer(content: ImageContent) -> ObserverContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=UID(content.identity.uid("device")),
        name="m2ib-audit",
        manufacturer_name="m2ib-audit",
        model_name=plain_line(f"{content.study.method} of {content.model.name}"),
        serial_number=content.model.sha256[:16] or "0",
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _group(content: ImageContent, phrase: PhraseContent) -> Group:
    """Return the measurements of one phrase, on its hot region, or on the image if the heat points nowhere."""
    return group(
        content,
        phrase,
        None if phrase.region is None else phrase.region.outline,
        algorithm_id=_algorithm(content),
        measurements=_measurements(content, phrase),
        qualitative_evaluations=_evaluations(content, phrase),
    )


def _algorithm(content: ImageContent) -> AlgorithmIdentification:
    study, model = content.study, content.model
    parameters = [
        f"model={plain_line(model.name)}",
        f"model family={plain_line(model.family)}",
        f"model sha256={model.sha256}",
        *(f"{name}={value}" for name, value in sorted(study.settings.items())),
        f"seed={study.seed}",
    ]
    return AlgorithmIdentification(
        name=plain_line(f"{study.method} of {model.name}"),
        version=plain_line(study.software.get("m2ib-audit", "unknown")),
        parameters=parameters,
        family=AI,
        manufacturer="m2ib-audit",
    )


def _measurements(content: ImageContent, phrase: PhraseContent) -> list[Measurement]:
    record, unit = phrase.record, unit_code(content.study.unit)
    values = [
        (COSINE, record.cosine, NO_UNITS),
        (HEAT_TOTAL, record.total_nats, unit),
        (HEAT_PEAK, record.peak_nats, unit),
    ]
    if phrase.region is not None:
        threshold = own_code("heat-threshold", "Otsu's threshold of the heat")
        values.append((threshold, phrase.region.threshold, unit))
    return [Measurement(name=name, value=float(value), unit=unit) for name, value, unit in values]


def _evaluations(content: ImageContent, phrase: PhraseContent) -> list[QualitativeEvaluation]:
    """Return the outcomes of the pointing games; none if there is no box."""
    codes_of = {name: spec.dicom_code for name, spec in SCORES.items() if spec.dicom_code is not None}
    return [
        QualitativeEvaluation(
            name=own_code(codes_of[score.score], f"{score.score} px at the model's input"),
            value=outcome_code(score.outcome),
        )
        for score in phrase.record.scores
        if score.method == content.study.method and score.score in codes_of and score.outcome in {"hit", "miss"}
    ]
