"""Subgroups: who is in them, what they are compared with, and that they add up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.metrics.subgroups import ATTRIBUTES, ImageFacts, age_band, summarise_subgroups
from reports.score_catalogue import BLIND_METHODS, POINTING

SCORE = POINTING


def facts(number: int) -> ImageFacts:
    return ImageFacts(
        view="PA" if number % 3 else "AP",
        sex=("female", "male", "not known")[number % 3],
        age=age_band(float(number)),
        manufacturer="Maker A" if number < 30 else "Maker B",
        photometric_interpretation="MONOCHROME2",
    )


def table_of(count: int, *, seed: int = 0) -> pd.DataFrame:
    """A phrase an image and an image a patient; hits and boxes drawn at random."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        values = {"m2ib": float(rng.random() < 0.7), "random": float(rng.uniform(0.01, 0.3))}
        values |= {name: float(rng.random() < 0.3) for name in BLIND_METHODS if name != "random"}
        shared = {"image": f"i{number}", "patient": f"p{number}", "phrase": 0, "score": SCORE}
        shared |= {"finding": "nodule" if number % 2 else "pleural effusion"}
        rows += [{**shared, "method": method, "value": value} for method, value in values.items()]
    return pd.DataFrame(rows)


FACTS = {f"i{number}": facts(number) for number in range(60)}


def found(table: pd.DataFrame) -> dict[tuple[str, str], object]:
    return {(each.attribute, each.value): each for each in summarise_subgroups(table, FACTS, ["m2ib"])}


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_every_phrase_is_in_one_group_of_each_attribute(seed: int) -> None:
    table = table_of(60, seed=seed)
    own = table[table["method"] == "m2ib"]["value"]
    groups = summarise_subgroups(table, FACTS, ["m2ib"])
    assert list(dict.fromkeys(group.attribute for group in groups)) == list(ATTRIBUTES)
    for attribute in ATTRIBUTES:
        of_attribute = [group for group in groups if group.attribute == attribute]
        assert sum(group.scored for group in of_attribute) == 60
        assert sum(group.estimate * group.scored for group in of_attribute) == pytest.approx(own.sum())
        assert all(group.low <= group.estimate <= group.high for group in of_attribute)


def test_a_group_is_compared_with_the_best_blind_map_on_its_own_phrases() -> None:
    table = table_of(60)
    group = found(table)[("sex", "male")]
    images = [image for image, fact in FACTS.items() if fact.sex == "male"]
    of_group = table[table["image"].isin(images)].groupby("method")["value"].mean()
    blind = of_group[list(BLIND_METHODS)]
    assert group.estimate == pytest.approx(of_group["m2ib"])
    assert group.blind == pytest.approx(blind.max())
    assert group.difference.reference == blind.idxmax()
    assert group.difference.estimate == pytest.approx(of_group["m2ib"] - blind.max())
    assert group.difference.scored == group.scored == len(images)


def test_box_sizes_are_thirds_by_the_area_of_the_boxes_in_order() -> None:
    table = table_of(60)
    sizes = [group for group in summarise_subgroups(table, FACTS, ["m2ib"]) if group.attribute == "box size"]
    assert [group.scored for group in sizes] == [20, 20, 20]
    areas = np.sort(table[table["method"] == "random"]["value"])
    ends = np.quantile(areas, [1 / 3, 2 / 3])
    assert [group.value for group in sizes] == [
        f"smallest third: up to {100 * ends[0]:.1f} % of the image",
        f"middle third: up to {100 * ends[1]:.1f} % of the image",
        f"largest third: above {100 * ends[1]:.1f} % of the image",
    ]


def test_what_is_not_known_is_a_group_of_its_own_and_comes_last() -> None:
    groups = [group.value for group in summarise_subgroups(table_of(60), FACTS, ["m2ib"])]
    sexes = groups[groups.index("female") :][:3]
    assert sexes == ["female", "male", "not known"]


def test_without_blind_maps_there_is_nothing_to_compare_with_and_no_size() -> None:
    table = table_of(60)
    groups = found(table[table["method"] == "m2ib"])
    assert groups[("sex", "male")].blind is None
    assert groups[("sex", "male")].difference is None
    assert groups[("box size", "not known")].scored == 60


def test_unscored_phrases_make_no_group() -> None:
    table = table_of(60)
    young = [image for image, fact in FACTS.items() if fact.age == "0 to 17"]
    groups = found(table.assign(value=table["value"].mask(table["image"].isin(young))))
    assert ("age", "0 to 17") not in groups
    assert sum(group.scored for (attribute, _), group in groups.items() if attribute == "age") == 60 - len(young)
    assert found(table.assign(value=np.nan)) == {}


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0.0, "0 to 17"),
        (17.9, "0 to 17"),
        (18.0, "18 to 39"),
        (40.0, "40 to 59"),
        (79.99, "60 to 79"),
        (80.0, "80 and over"),
        (104.0, "80 and over"),
        (None, "not known"),
    ],
)
def test_an_age_becomes_a_band(years: float | None, band: str) -> None:
    assert age_band(years) == band
