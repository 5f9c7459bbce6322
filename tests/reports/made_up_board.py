"""A run as the document for a board takes it, with an answer to everything that an audit can answer."""

import json
from collections.abc import Iterator

from made_up_pages import ESTIMATE, full_run, make_subgroup
from made_up_protocol import make_protocol

from reports.board.checklists import CHECKLISTS, as_csv, fill
from reports.board.document import board_document
from reports.board.inputs import BoardInputs
from reports.board.model_card import card_as_markdown, model_card
from reports.board.typesetting import template_data
from reports.protocol_record import PlannedSize, Protocol, SuperiorityQuestion
from reports.run_record import FailureRecord, PlannedAnswer, ProtocolRecord, RunRecord
from reports.score_catalogue import HUMAN, POINTING
from reports.texts import all_texts

NAME_OF_FILE = "0011_MUSTER^ERIKA"
UNSCORED = {"no box was drawn for this finding": 12, "the box lies outside what the model sees": 2}


def board_run(**changes: object) -> RunRecord:
    """Make a run of one verdict whose excluded files have a secret name, one at each stage."""
    run = full_run()
    stages = [key.removeprefix("excluded_at.") for key in all_texts() if key.startswith("excluded_at.")]
    failures = [
        FailureRecord(
            source=f"{NAME_OF_FILE}.dcm", stage=stage, reason=f'holds "{NAME_OF_FILE}"', failed=place % 2 == 0
        )
        for place, stage in enumerate(stages)
    ]
    hits = next(s for s in run.summaries if (s.method, s.score, s.finding) == ("m2ib", POINTING, None))
    groups = [
        make_subgroup(attribute=name, value=value)
        for name, values in (("sex", ("female", "male")), ("manufacturer", ("A", "B")), ("finding", ("nodule", "mass")))
        for value in values
    ]
    fields: dict[str, object] = {
        "verdicts": tuple(each for each in run.verdicts if each.verdict == "ignores the image"),
        "failures": tuple(failures),
        "summaries": (*run.summaries, hits.model_copy(update={"method": HUMAN})),
        "subgroups": tuple(groups),
        "config": {"inputs": {"all_views": False, "frames": "first"}},
        "counts": run.counts | {"boxes": 70, "box rows": 74, "images": 3, "reports": 5, "phrases audited": 9},
        "recognised": {"0" * 16: ()},
    }
    return run.model_copy(update=fields | changes)


def planned(*, before_results: bool = True) -> ProtocolRecord:
    """Make a protocol of one question, with its answer."""
    size = PlannedSize(patients=50, studies=60, phrases=90)
    question = SuperiorityQuestion(kind="superiority", name="above blind maps", margin=0.1, size=size)
    content = Protocol(method="m2ib", alpha=0.05, power=0.8, multiplicity="holm", questions=(question,))
    answer = PlannedAnswer(question=question.name, outcome="shown", estimate=ESTIMATE, p=0.004, reference="random")
    return ProtocolRecord(sha256="c" * 64, content=content, before_results=before_results, answers=(answer,))


def board_inputs(**changes: object) -> BoardInputs:
    """Make what the document is made of."""
    return BoardInputs(
        run=board_run(**changes),
        unscored=UNSCORED,
        checksums={"run.json": "a" * 64, "scores.csv": "b" * 64},
    )


def board_texts() -> Iterator[tuple[str, str]]:
    """Give the name and the words of the document with every checklist, of the tables and of the model card."""
    many = [make_subgroup(attribute="view", value=f"{place}") for place in range(30)]
    tests = board_run().cosine_tests
    answered = [test.model_copy(update={"finding": f"finding {place}"}) for test in tests[:1] for place in range(30)]
    for name, inputs in (
        ("full", board_inputs()),
        ("many groups", board_inputs(subgroups=tuple(many), cosine_tests=(*tests, *answered))),
        ("a protocol", board_inputs(protocol=make_protocol())),
        ("planned", board_inputs(protocol=planned())),
        ("planned late", board_inputs(protocol=planned(before_results=False))),
        ("nothing measured", board_inputs(verdicts=(), subgroups=(), summaries=())),
    ):
        filled = [fill(checklist, inputs) for checklist in CHECKLISTS]
        document = board_document(inputs, checklists=filled)
        yield f"document, {name}", json.dumps(template_data(document), ensure_ascii=False)
        yield f"tables, {name}", as_csv(filled)
        yield f"card, {name}", card_as_markdown(model_card(inputs))
