"""The statistics by which phantoms are compared with real radiographs, on images whose statistics are known."""

import numpy as np
import pytest

from benchmarks.bench_phantom_films import COLUMNS, OCTAVES, image_statistics, octave_powers


@pytest.mark.parametrize("place", range(len(OCTAVES) - 1))
def test_a_wave_has_its_power_in_its_own_octave(place: int) -> None:
    cycles = 1.4 * OCTAVES[place]
    x = np.arange(COLUMNS) / COLUMNS
    waves = 0.5 + 0.2 * np.sin(2.0 * np.pi * cycles * (x[None, :] + x[:, None]) / np.sqrt(2.0))
    assert int(np.argmax(octave_powers(waves))) == place


def test_noise_of_a_known_spectrum_falls_by_its_exponent() -> None:
    rng = np.random.default_rng(3)
    frequencies = np.hypot(np.fft.fftfreq(COLUMNS)[:, None], np.fft.rfftfreq(COLUMNS))
    frequencies[0, 0] = np.inf
    image = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((COLUMNS, COLUMNS))) / frequencies, s=(COLUMNS, COLUMNS))
    image = 0.5 + 0.1 * image / image.std()
    fall = image_statistics(image)["fall of the power per octave, log10"]
    assert fall == pytest.approx(2.0 * np.log10(2.0), abs=0.05)  # power 1 / f^2: a quarter per octave


def test_the_values_of_an_image_of_two_halves() -> None:
    image = np.concatenate([np.zeros((64, COLUMNS)), np.ones((64, COLUMNS))])
    found = image_statistics(image)
    assert found["nearly black, share of pixels"] == found["nearly white, share of pixels"] == 0.5
    assert found["entropy of the histogram, bits"] == pytest.approx(1.0)
    assert found["grey value, standard deviation"] == pytest.approx(0.5)
    assert found["difference from the mirrored image, mean grey value"] == 0.0
    assert found["height to width"] == 0.5
