"""How often maps that never look at the image are called grounded, by the whole rule of the verdict.

The boxes are those of the NIH (BBox_List_2017.csv, Wang et al. 2017), drawn by one reader. Each becomes a phrase that
names finding, side and zone. The maps under test learned, on a training half of the patients, where boxes of the same
finding, side and zone lie, or point anywhere. Cohorts are drawn from the other half, as they are or in clusters: four
boxes become one patient, whose chest is shifted as a whole, so that hits of a patient are alike.

The rule is given the worst case: a model that recognises the image, relies on the marked region and depends on the
words, whose heat is at no fixed place. Only hits, compared with blind maps and with the map's own mean heat on other
patients' images, can then tell that the heat is blind. Beside them stand maps that do look, and hit at ``RATE``.
"""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from audit.controls.plan import Control
from audit.controls.verdict import verdict_of
from audit.controls.verdict_rule import BLIND_MARGIN
from audit.metrics.against_blind import best_of
from audit.metrics.blind import BlindCase, BlindMaps, blind_point, rasterise
from benchmarks.machine import command_line, command_parser, write_section
from reports.run_record import ControlSummary, CosineTest, Estimate
from reports.score_catalogue import (
    FALL_BLANK,
    MEAN_HEAT_CORRELATION,
    PERCENTILE,
    POINTING,
    RELIANCE,
    mean_heat_name,
)

SIZES = (20, 50, 100, 200, 400)  # phrases
RATE = 0.8  # of hits of the map that looks
_NIH_PX = 1024
_CLUSTER = 4  # boxes of a patient
_PATIENT_SHIFT = 0.05  # standard deviation of a patient's shift, as a share of the image's sides
_SCATTER = 0.04  # of the map that points near what it learned
_METHOD = "map"

Point = tuple[float, float]  # row and column, as shares of the image
Learnt = Callable[[str, str | None, str | None], Point]  # from finding, side and zone

_PASSED = Estimate(estimate=0.9, low=0.8, high=1.0, cases=40, patients=40)
_TESTS = tuple(
    CosineTest(kind="recognition", test=test, finding=None, result=_PASSED, chance=0.5)
    for test in (PERCENTILE, FALL_BLANK, RELIANCE)
)
_CONTROLS = (
    ControlSummary(
        method=_METHOD,
        control=Control.SHUFFLED.value,
        phrases=40,
        pearson=None,
        hit=None,
        hit_fall=_PASSED,
        cosine_change=_PASSED,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Phrases with their boxes, and what the blind references score."""

    cases: Sequence[BlindCase]
    targets: Float[np.ndarray, "phrases 128 128"]
    references: Mapping[str, Float[np.ndarray, " phrases"]]  # NaN where one does not exist

    @property
    def patients(self) -> list[str]:
        """Of the phrases."""
        return [case.patient for case in self.cases]

    def hits(self, points: Sequence[Point]) -> Float[np.ndarray, " phrases"]:
        """Play the pointing game with a point for each phrase."""
        return np.array([_hit(point, target) for point, target in zip(points, self.targets, strict=True)])


def cases_of(path: Path) -> list[BlindCase]:
    """Read the NIH's boxes."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [_case(row) for row in list(csv.reader(content.decode().splitlines()))[1:]]


def _case(row: Sequence[str]) -> BlindCase:
    x, y, width, height = (float(value) / _NIH_PX for value in row[2:6])
    across, down = x + width / 2, y + height / 2
    has_side = row[1] != "Cardiomegaly"
    return BlindCase(
        patient=row[0].split("_")[0],
        finding=row[1],
        side=("right" if across < 0.5 else "left") if has_side else None,
        zone=("upper" if down < 0.38 else "mid" if down < 0.6 else "lower") if has_side else None,
        boxes=((x, y, x + width, y + height),),
    )


def _hit(point: Point, target: np.ndarray) -> float:
    row, column = (min(max(int(place * len(target)), 0), len(target) - 1) for place in point)
    return float(target[row, column])


def as_they_are(cases: Sequence[BlindCase], size: int, generator: np.random.Generator) -> list[BlindCase]:
    """Draw patients with all their boxes, until there are enough."""
    by_patient: defaultdict[str, list[BlindCase]] = defaultdict(list)
    for case in cases:
        by_patient[case.patient].append(case)
    names = generator.permutation(sorted(by_patient))
    return [case for name in names for case in by_patient[name]][:size]


def clustered(cases: Sequence[BlindCase], size: int, generator: np.random.Generator) -> list[BlindCase]:
    """Draw boxes, and make one patient of every four, whose chest is shifted as a whole."""
    found = []
    for place, index in enumerate(generator.permutation(len(cases))[:size]):
        if place % _CLUSTER == 0:
            across, down = generator.normal(0.0, _PATIENT_SHIFT, 2)
        ((x0, y0, x1, y1),) = cases[index].boxes
        box = (x0 + across, y0 + down, x1 + across, y1 + down)
        found.append(replace(cases[index], patient=f"p{place // _CLUSTER}", boxes=(box,)))
    return found


def cohort_of(cases: Sequence[BlindCase]) -> Cohort:
    """Score the blind references on the phrases of one cohort."""
    maps = BlindMaps(cases)
    targets = np.stack([rasterise(case.boxes) for case in cases])
    references: dict[str, list[float]] = {
        name: [] for name in ("random", "centre", "class-mean box", "words-only prior")
    }
    for case, target in zip(cases, targets, strict=True):
        references["random"].append(float(target.mean()))
        references["centre"].append(_hit((0.5, 0.5), target))
        for name, reference in (
            ("class-mean box", maps.class_mean_box(case)),
            ("words-only prior", maps.words_only_prior(case)),
        ):
            references[name].append(np.nan if reference is None else _hit(blind_point(reference), target))
    return Cohort(cases=cases, targets=targets, references={k: np.array(v) for k, v in references.items()})


def points_of(name: str, cases: Sequence[BlindCase], learnt: Learnt, generator: np.random.Generator) -> list[Point]:
    """Return where a map that never looks points for each phrase."""
    if name == "anywhere":
        return [(row, column) for row, column in generator.random((len(cases), 2)).tolist()]
    points = np.array([learnt(case.finding, case.side, case.zone) for case in cases])
    if name == "near what it learned":
        points = points + generator.normal(0.0, _SCATTER, points.shape)
    return [(row, column) for row, column in points.tolist()]


BLIND_MAPS = ("where it learned", "near what it learned", "anywhere")


def mean_points(cases: Sequence[BlindCase], points: Sequence[Point]) -> list[Point]:
    """Return the hottest point of each phrase's mean heat: where the map points most often for other patients."""
    counts: defaultdict[str, Counter[Point]] = defaultdict(Counter)
    own: defaultdict[tuple[str, str], Counter[Point]] = defaultdict(Counter)
    for case, point in zip(cases, points, strict=True):
        counts[case.finding][point] += 1
        own[case.finding, case.patient][point] += 1
    ranked = {finding: of.most_common() for finding, of in counts.items()}
    return [_most_common(ranked[case.finding], own[case.finding, case.patient]) for case in cases]


def _most_common(ranked: Sequence[tuple[Point, int]], own: Counter[Point]) -> Point:
    """Return the point with the highest count without a patient's own; the centre if there is no other."""
    best, most = (0.5, 0.5), 0
    for point, count in ranked:
        if count <= most:
            break
        if count - own[point] > most:
            best, most = point, count - own[point]
    return best


def table_of(cohort: Cohort, hits: np.ndarray, mean: np.ndarray) -> pd.DataFrame:
    """Make the table of scores of a run."""
    values = {
        (_METHOD, POINTING): hits,
        (mean_heat_name(_METHOD), POINTING): mean,
        (_METHOD, MEAN_HEAT_CORRELATION): np.zeros(len(hits)),
        **{(name, POINTING): values for name, values in cohort.references.items()},
    }
    about = {
        "image": [f"i{place}" for place in range(len(hits))],
        "phrase": 0,
        "finding": [case.finding for case in cohort.cases],
        "patient": cohort.patients,
    }
    parts = [
        pd.DataFrame({**about, "method": method, "score": score, "value": column})
        for (method, score), column in values.items()
    ]
    return pd.concat(parts, ignore_index=True)


def is_grounded(cohort: Cohort, hits: np.ndarray, mean: np.ndarray) -> bool:
    """Whether the whole rule calls a map grounded; where hits are not above the blind maps, it cannot."""
    return (
        beats(cohort, hits)
        and verdict_of(table_of(cohort, hits, mean), _CONTROLS, _TESTS, method=_METHOD).verdict == "grounded"
    )


def beats(cohort: Cohort, hits: np.ndarray) -> bool:
    """Whether hits lie above those of each blind map by the rule's margin, whatever the number of phrases."""
    best = best_of(hits, cohort.references, cohort.patients)
    return best is not None and best.low > BLIND_MARGIN


def rows(cases: Sequence[BlindCase], learnt: Learnt, *, cohorts: int, seed: int) -> Iterator[str]:
    """Draw the cohorts of every size, as they are and clustered, and yield a row of the table for each."""
    for draw in (as_they_are, clustered):
        for size in SIZES:
            generator = np.random.default_rng([seed, size])
            grounded: Counter[str] = Counter()
            ahead = patients = 0
            for _ in range(cohorts):
                cohort = cohort_of(draw(cases, size, generator))
                patients += len(set(cohort.patients))
                for name in BLIND_MAPS:
                    points = points_of(name, cohort.cases, learnt, generator)
                    hits, mean = cohort.hits(points), cohort.hits(mean_points(cohort.cases, points))
                    grounded[name] += is_grounded(cohort, hits, mean)
                    ahead += name == BLIND_MAPS[0] and beats(cohort, hits)
                looks = (generator.random(size) < RATE).astype(float)
                grounded["looks"] += is_grounded(cohort, looks, cohort.references["centre"])
            shares = [ahead, *(grounded[name] for name in (*BLIND_MAPS, "looks"))]
            cells = " | ".join(f"{100 * share / cohorts:.1f} %" for share in shares)
            yield f"| {draw.__name__.replace('_', ' ')} | {size} | {patients / cohorts:.0f} | {cells} |"


def main() -> None:
    """Draw the cohorts of every size and write the section."""
    parser = command_parser(__doc__, cohorts=200)
    parser.add_argument("boxes", type=Path, help="BBox_List_2017.csv, or .csv.gz")
    given = parser.parse_args()
    cases = cases_of(given.boxes)
    everybody = sorted({case.patient for case in cases})
    training = set(np.random.default_rng(given.seed).permutation(everybody)[: len(everybody) // 2])
    population = BlindMaps([case for case in cases if case.patient in training])

    @cache
    def learnt(finding: str, side: str | None, zone: str | None) -> Point:
        prior = population.words_only_prior(BlindCase(patient="", finding=finding, side=side, zone=zone, boxes=()))
        return (0.5, 0.5) if prior is None else blind_point(prior)

    meaning = (
        "Beats blind maps: share of cohorts where the map that points where it learned is above every blind map by the "
        "margin, whatever the number of phrases. Further columns: share called *grounded* by the whole rule."
    )
    lines = [
        f"{len(cases)} boxes; {given.cohorts} cohorts of each size, seed {given.seed}.",
        meaning,
        "",
        f"| cohorts | phrases | patients | beats blind maps | {' | '.join(BLIND_MAPS)} | hits {RATE:.0%} |",
        f"|---|---|---|---|{'---|' * (len(BLIND_MAPS) + 1)}",
    ]
    print("\n".join(lines))
    for row in rows(
        [case for case in cases if case.patient not in training], learnt, cohorts=given.cohorts, seed=given.seed
    ):
        lines.append(row)
        print(row, flush=True)
    if not given.no_write:
        write_section("bench_verdict", command=command_line("bench_verdict"), lines=lines)


if __name__ == "__main__":
    main()
