"""Compares phantoms with real radiographs: intensities, contrast and power spectra.

FOLDER is searched for images (PNG, JPEG, TIFF), except in folders named ``masks``; nothing but ranges of statistics is
printed. Images are reduced to a width of 256 px. Power is that of octaves of spatial frequency, in cycles per image
width, of the image under a Hann window.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from benchmarks.machine import command_line, command_parser, write_section
from pipelines.phantom.render import render, sample_phantom

__all__ = ["COLUMNS", "OCTAVES", "image_statistics", "octave_powers"]

COLUMNS = 256
_RENDERED = 640  # px, width of phantoms, about that of the films
OCTAVES = (2, 4, 8, 16, 32, 64, 128)  # cycles per width
_QUANTILES = (0.05, 0.5, 0.95)

Grey = Float[np.ndarray, "rows columns"]


def main() -> None:
    """Measure, print and write the comparison."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--phantoms", type=int, default=155)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    films = [image_statistics(grey) for grey in _films(given.folder)]
    if not films:
        parser.error(f"{given.folder}: no image")
    phantoms = [image_statistics(grey) for grey in _phantoms(given.phantoms, given.seed)]
    lines = _table(films, phantoms)
    print("\n".join(lines))
    if not given.no_write:
        write_section("phantom_films", command=command_line("bench_phantom_films"), lines=lines)


def _films(folder: Path) -> Iterator[Grey]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".tif", ".tiff"} and "masks" not in path.parts:
            with Image.open(path) as image:
                yield _reduced(image.convert("L"))


def _phantoms(count: int, seed: int) -> Iterator[Grey]:
    for index in range(count):
        image = render(sample_phantom(np.random.default_rng([seed, index])), columns=_RENDERED).image
        yield _reduced(Image.fromarray(np.round(255.0 * image).astype(np.uint8)))


def _reduced(image: Image.Image) -> Grey:
    size = (COLUMNS, round(COLUMNS * image.height / image.width))
    return np.asarray(image.resize(size, Image.Resampling.BOX), dtype=float) / 255.0


def image_statistics(grey: Grey) -> Mapping[str, float]:
    """Return the statistics of one image, by name."""
    found = {
        f"grey value, {level:.0%} quantile": float(np.quantile(grey, level)) for level in (0.05, 0.25, 0.5, 0.75, 0.95)
    }
    found["grey value, standard deviation"] = float(grey.std())
    counts = np.histogram(grey, 64, (0.0, 1.0))[0] / grey.size
    found["entropy of the histogram, bits"] = float(-(counts[counts > 0] * np.log2(counts[counts > 0])).sum())
    found["nearly black, share of pixels"] = float((grey < 0.04).mean())
    found["nearly white, share of pixels"] = float((grey > 0.96).mean())
    powers = octave_powers(grey)
    for (low, high), power in zip(pairwise(OCTAVES), powers, strict=True):
        found[f"power of {low} to {high} cycles, log10"] = power
    found["fall of the power per octave, log10"] = float((powers[1] - powers[-1]) / (len(powers) - 2))
    middle = grey[: len(grey) * 2 // 3, COLUMNS // 5 : -COLUMNS // 5].mean(axis=0)
    found["brightest middle column less the darkest column, mean grey value"] = float(
        middle[len(middle) * 2 // 5 : len(middle) * 3 // 5].max() - middle.min()
    )
    found["difference from the mirrored image, mean grey value"] = float(np.abs(grey - grey[:, ::-1]).mean())
    found["height to width"] = len(grey) / COLUMNS
    return found


def octave_powers(grey: Grey) -> list[float]:
    """Return log10 of the power density in each octave of spatial frequency."""
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    spectrum = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    rows, columns = (np.fft.fftfreq(grey.shape[0]), np.fft.rfftfreq(grey.shape[1]))
    cycles = np.hypot(rows[:, None], columns) * COLUMNS
    return [
        float(np.log10(spectrum[(cycles >= low) & (cycles < high)].mean() + 1e-12)) for low, high in pairwise(OCTAVES)
    ]


def _table(films: list[Mapping[str, float]], phantoms: list[Mapping[str, float]]) -> list[str]:
    rows = [
        f"{len(films)} films, {len(phantoms)} phantoms.",
        "",
        "| | films: 5th percentile | median | 95th percentile | phantoms: median | phantoms within the films' range |",
        "|---|---|---|---|---|---|",
    ]
    for name in films[0]:
        low, middle, high = np.quantile([film[name] for film in films], _QUANTILES)
        values = np.array([phantom[name] for phantom in phantoms])
        share = np.mean((values >= low) & (values <= high))
        rows.append(f"| {name} | {low:.3f} | {middle:.3f} | {high:.3f} | {np.median(values):.3f} | {share:.0%} |")
    return rows


if __name__ == "__main__":
    main()
