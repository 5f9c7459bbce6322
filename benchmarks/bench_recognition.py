"""How often the verdict's test of recognition says that a model ignores the image, by what the model can do.

Each patient has one image, and up to four phrases of five findings that half of the patients have. The cosines of a
finding's phrase are normal deviates, shifted on images with the finding so that the area under the ROC curve is as
given: 0.5 for a model that ignores the image.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from audit.controls.verdict import recognition_step
from audit.metrics.recognition import EmbeddedImage, EmbeddedPhrase, recognise
from benchmarks.machine import command_line, command_parser, write_section
from reports.score_catalogue import PERCENTILE

AREAS = (0.5, 0.55, 0.6, 0.7, 0.8)
PATIENTS = (25, 50, 100)
_FINDINGS = 5
_SCALE = 0.05  # of the deviates, so that vectors of length 1 can hold five of them


def images_of(area: float, patients: int, generator: np.random.Generator) -> list[EmbeddedImage]:
    """Draw a cohort of a model with this area under the ROC curve for every finding."""
    has = generator.random((patients, _FINDINGS)) < 0.5
    cosines = _SCALE * (generator.standard_normal(has.shape) + np.sqrt(2.0) * ndtri(area) * has)
    rest = np.sqrt(1.0 - (cosines**2).sum(axis=1, keepdims=True))
    vectors, phrases = np.hstack([cosines, rest]), np.eye(_FINDINGS + 1)
    return [
        EmbeddedImage(
            key=f"i{place}",
            study=f"s{place}",
            patient=f"p{place}",
            embedding=vectors[place],
            phrases=tuple(
                EmbeddedPhrase(index=index, finding=str(finding), embedding=phrases[finding], cosine=0.0)
                for index, finding in enumerate(np.flatnonzero(has[place])[:4])
            ),
            has=frozenset(map(str, np.flatnonzero(has[place]))),
        )
        for place in range(patients)
    ]


def rows(*, cohorts: int, seed: int) -> Iterator[str]:
    """Draw cohorts of every size and area, and yield a row of the table for each."""
    for patients in PATIENTS:
        for area in AREAS:
            generator = np.random.default_rng([seed, patients, round(100 * area)])
            found: Counter[str] = Counter()
            for _ in range(cohorts):
                tests = recognise(images_of(area, patients, generator)).tests
                auc = next(each.result for each in tests if (each.test, each.finding) == (PERCENTILE, None))
                found[recognition_step(auc).outcome] += 1
            cells = (f"{100 * found[outcome] / cohorts:.0f} %" for outcome in ("passed", "failed", "too few cases"))
            yield f"| {patients} | {area} | {' | '.join(cells)} |"


def main() -> None:
    """Draw the cohorts and write the section."""
    given = command_parser(__doc__, cohorts=100).parse_args()
    lines = [
        f"{given.cohorts} cohorts of each kind, about 2.5 phrases of a patient, seed {given.seed}.",
        "",
        "| patients | true area | recognises | ignores the image | not known |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for row in rows(cohorts=given.cohorts, seed=given.seed):
        lines.append(row)
        print(row, flush=True)
    if not given.no_write:
        write_section("bench_recognition", command=command_line("bench_recognition"), lines=lines)


if __name__ == "__main__":
    main()
