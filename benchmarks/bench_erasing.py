"""What each fill of an erased region does to the cosines of phantoms, with and without findings.

The default fill of ``scoring.fill`` is the one that changes phantoms without findings least.

    python -m benchmarks.bench_erasing --phantoms 200
"""

import argparse

from audit.encoders.loading import load_encoder
from audit.phantom.erasing import ErasingTest
from audit.phantom.evaluation import held_out_phantoms
from pipelines.regions.erasing import Fill

_COLUMNS = 320  # px, as in ``m2ib-audit phantom evaluate``


def main() -> None:
    """Print a table for each fill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="phantom")
    parser.add_argument("--phantoms", type=int, default=200)
    parser.add_argument("--seed", type=int, default=41)
    given = parser.parse_args()
    encoder = load_encoder(given.model)
    for fill in Fill:
        test = ErasingTest(encoder, seed=given.seed, columns=_COLUMNS, fill=fill)
        for held_out in held_out_phantoms(given.phantoms, given.seed):
            test.look_at(held_out.name, held_out.phantom)
        print(f"{fill.value}, {given.phantoms} phantoms, seed {given.seed}")
        for value in test.values():
            found = value.interval
            print(
                f"  {value.test:<56} {found.estimate:6.3f} [{found.low:6.3f}, {found.high:6.3f}]  n = {found.values}",
                flush=True,
            )


if __name__ == "__main__":
    main()
