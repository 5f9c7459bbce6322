"""Which phrases the cohort page lists as right for the wrong reason, as the reverse, and in which order."""

from dataclasses import replace

from made_up_cases import (
    ALL,
    BOTH,
    ELSEWHERE,
    GROUNDED,
    LOST_HIT,
    LOST_RELIES,
    NO_RELIANCE,
    UNKNOWN_HIT,
    Case,
    cohort_of,
)

from reports.cases import CaseLists
from reports.cohort_page import render_cohort
from reports.targets import own_boxes


def listed(*studies: tuple[Case, ...], sd: float | None = 0.1) -> dict[str, list]:
    run, records = cohort_of(*studies, sd=sd)
    lists = CaseLists(run)
    for record in records:
        lists.add(record)
    return {each.title: list(each.cases) for each in (*lists.by_reason(), *lists.by_energy())}


def test_each_kind_of_phrase_is_in_its_list_and_the_clearest_first() -> None:
    found = listed(ALL)
    assert [case.text for case in found["Right for the wrong reason"]] == [
        case.name for case in (BOTH, UNKNOWN_HIT, NO_RELIANCE, ELSEWHERE)
    ]
    assert [case.text for case in found["Wrong, though looking in the right place"]] == [
        "lost hit",
        "lost nearby",
        "lost relies",
    ]


def test_a_line_says_what_speaks_for_and_against_and_leads_to_the_phrase() -> None:
    found = listed((GROUNDED,), (GROUNDED, BOTH, LOST_RELIES))
    (wrong,) = found["Right for the wrong reason"]
    assert wrong.about.replace("\N{NARROW NO-BREAK SPACE}", " ") == (
        "above 97 % of images without the finding; reliance −1.0 SD; peak outside the box"
    )
    assert wrong.address == f"studies/{1:016x}/index.html#phrase-0-1"
    (reverse,) = found["Wrong, though looking in the right place"]
    assert "prefers the negation or the other side; reliance 1.7 SD; heat not scored" in reverse.about
    run, records = cohort_of((GROUNDED,), (GROUNDED, BOTH, LOST_RELIES))
    page = render_cohort(run, records)
    assert page.index('id="reasons-title"') < page.index('id="scores-title"')
    assert f'href="{wrong.address}"' in page


def test_without_a_standard_deviation_reliance_is_in_units_of_the_cosine() -> None:
    (wrong,) = listed((BOTH,), sd=None)["Right for the wrong reason"]
    assert "reliance −0.10 (cosine)" in wrong.about


def test_long_lists_are_cut_and_say_how_many_are_left() -> None:
    cases = tuple(replace(NO_RELIANCE, name=f"{number}", falls=(0.0, number / 100)) for number in range(40))
    run, records = cohort_of(*((case,) for case in cases))
    lists = CaseLists(run)
    for record in records:
        lists.add(record)
    (wrong,) = lists.by_reason()
    assert [case.text for case in wrong.cases] == [str(number) for number in range(39, 29, -1)]
    assert wrong.more == "And 30 phrases more."


def test_an_older_run_and_one_without_cases_list_nothing() -> None:
    run, records = cohort_of((GROUNDED,))
    assert CaseLists(run).by_reason() == ()
    run, records = cohort_of((replace(ELSEWHERE, falls=None),))
    lists = CaseLists(run.model_copy(update={"recognised": {}}))
    lists.add(records[0])
    assert lists.by_reason() == ()


def test_regions_erased_for_other_boxes_decide_nothing() -> None:
    run, (record,) = cohort_of((NO_RELIANCE, LOST_HIT))
    (image,) = record.images
    record = record.model_copy(update={"images": (replace(image, own=own_boxes(image)),)})
    lists = CaseLists(run)
    lists.add(record)
    (reverse,) = lists.by_reason()
    assert [case.text for case in reverse.cases] == ["lost hit"]
    assert "reliance" not in reverse.cases[0].about


def test_best_and_worst_are_ordered_by_the_energy_in_the_box() -> None:
    hits = tuple(replace(GROUNDED, name=f"hit {energy}", energy=energy) for energy in (0.3, 0.9, 0.6))
    misses = tuple(replace(ELSEWHERE, name=f"miss {energy}", energy=energy) for energy in (0.2, 0.0))
    found = listed((*hits, *misses))
    assert [case.text for case in found["Best"]] == ["hit 0.9", "hit 0.6", "hit 0.3"]
    assert [case.text for case in found["Worst"]] == ["miss 0.0", "miss 0.2"]
    assert found["Best"][0].about == "energy in box 0.90"
