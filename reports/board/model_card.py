"""The applied model card of the Coalition for Health AI, with the fields that an audit can fill.

Element names and their order are those of the schema, version 0.2. Required fields that only the developer knows say
so; optional ones are left out.

Source: https://github.com/coalition-for-health-ai/mc-schema, v0.2/schema.xsd.
"""

import json
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree

from reports.board.answers import answer_to
from reports.board.inputs import BoardInputs
from reports.outcomes import overall_hits
from reports.page import format_time
from reports.results_folder import RUN
from reports.run_record import Estimate, RunRecord, ScoreSummary, SubgroupSummary, VerdictRecord
from reports.score_catalogue import PERCENTILE, POINTING, RELIANCE, score_name
from reports.subgroup_table import subgroup_rows
from reports.texts import named, text
from reports.verdicts import verdict_views

__all__ = ["NAMESPACE", "Card", "card_as_json", "card_as_markdown", "card_as_xml", "model_card"]

NAMESPACE: Final = "https://mc.chai.org/v0.2/schema.xsd"

Card = Mapping[str, "str | Card | tuple[Card, ...]"]
"""A part of the card: elements by name, in the order of the schema; a tuple stands for a repeated element."""


def model_card(inputs: BoardInputs) -> Card:
    """Fill the card for the audited model of a run."""
    run, to_fill = inputs.run, text("board.card.to_fill")
    return {
        "BasicInfo": {"ModelName": run.model.name, "ModelDeveloper": to_fill, "DeveloperContact": to_fill},
        "ReleaseInfo": {
            "ReleaseStage": to_fill,
            "ReleaseDate": to_fill,
            "ReleaseVersion": f"SHA-256 {run.model.sha256}",
            "GlobalAvailability": to_fill,
        },
        "ModelSummary": {
            "Summary": text(
                "board.card.summary",
                moment=format_time(run.rescored or run.finished),
                verdict=_verdict(inputs)[0],
                summary=_said("summary", inputs),
            ),
            "Keywords": ({"Keyword": text("board.card.keyword_task")}, {"Keyword": text("board.card.keyword_topic")}),
        },
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": text("board.card.use"),
            "PrimaryIntendedUsers": to_fill,
            "HowToUse": to_fill,
            "TargetedPatientPopulation": to_fill,
            "CautionedOutOfScopeSettings": text("board.card.out_of_scope"),
        },
        "Warnings": {
            "KnownRisksAndLimitations": _verdict(inputs)[1],
            "KnownBiasesOrEthicalConsiderations": _biases(inputs),
            "ClinicalRiskLevel": to_fill,
        },
        "TrustIngredients": {
            "AISystemFacts": {
                "OutcomesAndOutputs": _said("output", inputs),
                "ModelType": run.model.family,
                "InputDataSource": _said("inputs", inputs),
                "OutputAndInputDataTypes": text("board.card.input_types"),
                "DevelopmentDataCharacterization": to_fill,
                "BiasMitigationApproaches": to_fill,
                "OngoingMaintenance": to_fill,
            },
            "TransparencyInformation": {"FundingSource": to_fill, "StakeholdersConsulted": to_fill},
        },
        "KeyMetrics": {
            "UsefulnessUsabilityEfficacy": _metric(inputs, "usefulness", _of_usefulness(run)),
            "FairnessEquity": _metric(inputs, "fairness", _of_fairness(run)),
            "SafetyReliability": _metric(inputs, "safety", _of_safety(run)),
        },
        "Resources": {
            "EvaluationReferences": text(
                "board.card.reference", moment=format_time(run.created), sha256=inputs.checksums.get(RUN, "")
            ),
            "PeerReviewedPublications": to_fill,
            "PatientConsentOrDisclosure": to_fill,
        },
        "Bibliography": "",
    }


def _said(name: str, inputs: BoardInputs) -> str:
    answer = answer_to(name, inputs)
    return text("board.not_answered") if answer is None else answer.value


def _own(run: RunRecord) -> VerdictRecord | None:
    return next((verdict for verdict in run.verdicts if verdict.method == run.method), None)


def _verdict(inputs: BoardInputs) -> tuple[str, str]:
    """Return the word of the verdict, and what it means."""
    view = next(
        (
            view
            for view, own in zip(verdict_views(inputs.run), inputs.run.verdicts, strict=True)
            if own is _own(inputs.run)
        ),
        None,
    )
    if view is None:
        return text("board.no_verdict").rstrip("."), text("board.no_verdict")
    said = text("board.card.risks", verdict=view.word.capitalize(), meaning=view.meaning, action=view.action)
    return view.word, said.strip()


def _biases(inputs: BoardInputs) -> str:
    groups = answer_to("subgroups", inputs)
    return text("board.card.no_subgroups") if groups is None else text("board.card.biases", groups=groups.value)


def _metric(inputs: BoardInputs, kind: str, results: list[tuple[str, str]]) -> Card:
    interpretation = _said("subgroups" if kind == "fairness" else "performance", inputs)
    return {
        "MetricGoal": text(f"board.card.goal_{kind}"),
        "Results": tuple({"MetricResult": {"Label": label, "ValueJson": value}} for label, value in results)
        or ({"MetricResult": {"Label": text("board.not_answered"), "ValueJson": "null"}},),
        "Interpretation": _verdict(inputs)[1] if kind == "safety" else interpretation,
        "TestType": text("board.card.test_type"),
        "TestingDataDescription": _said("cohort", inputs),
        "ValidationProcessAndJustification": text("board.card.validation", intervals=inputs.run.intervals),
    }


def _value(found: Estimate | ScoreSummary | SubgroupSummary) -> str:
    """Write an estimate with its interval in the form that the schema's examples use."""
    value = {
        "kind": "estimate_ci",
        "estimate": found.estimate,
        "lower": found.low,
        "upper": found.high,
        "level": 95,
    }
    return json.dumps(value)


def _of_usefulness(run: RunRecord) -> list[tuple[str, str]]:
    own = overall_hits(run)
    found = [] if own is None or own.estimate is None else [(score_name(POINTING), _value(own))]
    return [*found, *_tests(run, PERCENTILE)]


def _tests(run: RunRecord, name: str) -> list[tuple[str, str]]:
    return [
        (score_name(name), _value(each.result))
        for each in run.cosine_tests
        if (each.test, each.finding) == (name, None)
    ]


def _of_fairness(run: RunRecord) -> list[tuple[str, str]]:
    groups = (row.summary for row in subgroup_rows(run) if row.summary.method == run.method)
    return [
        (
            text("board.card.label_group", attribute=named("attribute", each.attribute), group=each.value),
            _value(each),
        )
        for each in groups
    ]


def _of_safety(run: RunRecord) -> list[tuple[str, str]]:
    own = _own(run)
    steps = () if own is None else own.steps
    found = [(text(f"judgement.test.{step.test}"), _value(step.figure)) for step in steps if step.figure is not None]
    return found or _tests(run, RELIANCE)


def card_as_xml(card: Card) -> str:
    """Write the card as an instance document of the schema."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}AppliedModelCard")
    _add(root, card)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(parent: ElementTree.Element, card: Card) -> None:
    for name, value in card.items():
        element = ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        if isinstance(value, str):
            element.text = "".join(each for each in value if each >= " ")  # XML has no control characters
        else:
            for part in value if isinstance(value, tuple) else (value,):
                _add(element, part)


def card_as_json(card: Card) -> str:
    """Write the card as JSON, its elements as objects."""
    return json.dumps(card, ensure_ascii=False, indent=2) + "\n"


def card_as_markdown(card: Card) -> str:
    """Write the card as Markdown, a heading for each element."""
    return "\n".join(_markdown(card, depth=1)) + "\n"


def _markdown(card: Card, *, depth: int) -> list[str]:
    lines: list[str] = []
    for name, value in card.items():
        if isinstance(value, str):
            lines += [f"**{name}**: {value}", ""]
            continue
        lines += [f"{'#' * depth} {name}", ""]
        for part in value if isinstance(value, tuple) else (value,):
            lines += _markdown(part, depth=depth + 1)
    return lines
