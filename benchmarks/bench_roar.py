"""Whether heat points at what the model needs and learnt: ROAR+ and randomised towers, on the phantom encoder."""

import argparse
from collections.abc import Iterator

import torch

from audit.experiments.roar import RoarSettings, as_text, run_roar
from audit.experiments.sanity import SanityConfig, check_sanity
from benchmarks.machine import command_line, command_parser, write_section


def _given() -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=["m2ib", "chefer"])
    parser.add_argument("--phantoms", type=int, default=400, help="of ROAR+; a quarter of them is held out")
    parser.add_argument("--steps", type=int, default=200, help="of each fine-tuning")
    parser.add_argument("--pairs", type=int, default=20, help="put to the randomised towers")
    return parser.parse_args()


def _told(given: argparse.Namespace) -> Iterator[str]:
    yield (
        "ROAR+ (`m2ib-audit roar`): the hottest patches or words of each phantom are removed, the encoder is trained "
        "on what is left, and retrieval is measured on phantoms held out. A fall beyond that of as much removed at "
        "random says that the heat points at what the model needs."
    )
    for method in given.methods:
        roar = run_roar(RoarSettings(method=method, phantoms=given.phantoms, steps=given.steps))
        yield from ("", f"{method}:", "", "```", as_text(roar), "```")
    yield ""
    yield (
        "The methods themselves (`m2ib-audit sanity --model phantom`): the heat under randomised towers, after changes "
        "that should not matter, and with noise, compared with the trained model's."
    )
    for method in given.methods:
        sanity = check_sanity(SanityConfig.of(method=method, phantoms=40, model="phantom", phrases=given.pairs))
        yield from ("", f"{method}:", "", "```", str(sanity), "```")


def main() -> None:
    """Measure both for each method and write the section."""
    given = _given()
    torch.set_num_threads(1)
    lines = list(_told(given))
    if not given.no_write:
        write_section("bench_roar", command=command_line("bench_roar"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
