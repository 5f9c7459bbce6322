"""Tags that betray findings, and encoders that know what is there."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.phantom.evaluation import auc, auc_interval
from audit.phantom.pool import make_pool
from pipelines.phantom.cohort import make_cohort
from pipelines.phantom.lesions import PHANTOM_FINDINGS
from pipelines.phantom.render import TAGS, render, sample_phantom, with_tags, without_lesions
from pipelines.text.phrases import phrases_of


def test_every_finding_has_a_tag_of_its_own() -> None:
    assert set(TAGS) == set(PHANTOM_FINDINGS)
    assert len(set(TAGS.values())) == len(TAGS)


@pytest.mark.parametrize("seed", range(6))
def test_a_tag_is_all_that_changes_and_lies_at_the_edge(seed: int) -> None:
    phantom = sample_phantom(np.random.default_rng(seed), at_least=1)
    plain, tagged = render(phantom, columns=200), render(with_tags(phantom), columns=200)
    assert tagged.boxes == plain.boxes
    changed = np.argwhere(tagged.image != plain.image)
    assert len(changed)
    assert changed[:, 1].max() < 0.2 * 200
    assert (tagged.image >= plain.image - 1e-6)[tagged.image != plain.image].mean() > 0.9


def test_a_hidden_film_keeps_its_tags_and_shows_no_lesion() -> None:
    phantom = sample_phantom(np.random.default_rng(3), at_least=2)
    film = render(without_lesions(with_tags(phantom)), columns=160)
    assert film.boxes == ()
    assert without_lesions(with_tags(phantom)).tags == with_tags(phantom).tags


def test_a_tagged_pool_tells_the_same_kinds_of_truth_by_other_films() -> None:
    plain, tagged = (make_pool(12, size=160, seed=4, processes=1, tagged=t) for t in (False, True))
    assert plain.images.shape == tagged.images.shape
    assert (tagged.images[:, :, :40] > 230).sum() > 4 * (plain.images[:, :, :40] > 230).sum()


def test_brief_reports_name_findings_without_sides(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=6, seed=2, columns=96, tagged=True, brief=True)
    reports = [path.read_text(encoding="utf-8") for path in sorted((tmp_path / "reports").iterdir())]
    phrases = [phrase for report in reports for phrase in phrases_of(report)]
    assert phrases
    assert {(phrase.side, phrase.zone, phrase.section) for phrase in phrases} == {(None, None, "impression")}


@pytest.mark.parametrize("seed", range(4))
def test_the_auc_is_scikit_learns_ties_among_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, present = rng.integers(0, 8, 60).astype(float), rng.random(60) < 0.4
    assert auc(values, present) == pytest.approx(roc_auc_score(present, values))
    interval = auc_interval(values.tolist(), present.tolist(), generator=rng)
    assert interval.low <= interval.estimate <= interval.high


def test_an_auc_of_one_kind_is_not_measured() -> None:
    assert np.isnan(auc(np.arange(3.0), np.array([True, True, True])))
