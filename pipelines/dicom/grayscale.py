"""Maps stored values to displayed grey: modality, VOI and presentation, by window or lookup table.

Real headers depart from the standard in two ways. The descriptor's number of bits can be wrong: 16 is written where
the data use 12, which would make the image black. The sign of the first input value can be wrong: it is written as
unsigned although rescaling makes values negative.

A radiograph has at most 65,536 different stored values. Each step is therefore computed once per value, in float64,
and the image is a single look-up at the end. A table holds the result of the steps so far for each possible value.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from pipelines.dicom.source import items, numbers, text
from pipelines.study import PixelStep

__all__ = [
    "LookupTable",
    "Table",
    "apply_modality",
    "apply_percentiles",
    "apply_polarity",
    "apply_voi",
    "is_inverse",
    "little_endian_palette",
    "read_lookup_table",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupTable:
    """Outputs for the inputs ``first``, ``first + 1``, ...; inputs outside the range take the nearest output.

    Source: PS3.3 C.11.1.1.1 and C.11.2.1.1.
    """

    first: float
    outputs: Float[np.ndarray, " entries"]
    bits: int  # of the outputs
    stated_bits: int  # what the descriptor says

    @property
    def highest_output(self) -> float:
        """Full scale of the outputs."""
        return float(2**self.bits - 1)

    def apply(self, inputs: Float[np.ndarray, " inputs"]) -> Float[np.ndarray, " inputs"]:
        """Look up each input; fractions are truncated."""
        index = np.clip(np.floor(inputs - self.first), 0, len(self.outputs) - 1).astype(np.intp)
        found: Float[np.ndarray, " inputs"] = self.outputs[index]
        return found

    def __str__(self) -> str:
        """Describe the table for the processing steps, and any value of its descriptor that was corrected."""
        doubt = "" if self.bits == self.stated_bits else f" (the descriptor says {self.stated_bits}, the data do not)"
        return f"{len(self.outputs)} entries from {self.first:g}, {self.bits} bits{doubt}"


def read_lookup_table(item: Dataset, dataset: FileDataset, *, lowest_input: float) -> LookupTable | None:
    """Read an item of a Modality or VOI LUT Sequence; None if it is incomplete.

    Args:
        item: the item of the sequence.
        dataset: the image that the item belongs to, for its byte order.
        lowest_input: the lowest value to look up; if negative, the descriptor's first value is read as signed.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    entries = int(descriptor[0]) % 2**16 or 2**16  # 0 means 65,536; read as signed, 40,000 is -25,536
    first, stated_bits = descriptor[1], int(descriptor[2])
    if lowest_input < 0 and first >= 2**15:
        first -= 2**16
    outputs = _outputs(item, entries, _is_big_endian(dataset))
    if outputs is None or not 1 <= stated_bits <= 16:
        return None
    needed_bits = max(1, int(outputs.max()).bit_length())
    # If the brightest output is in the lower half of the range, the descriptor states the wrong depth.
    bits = stated_bits if needed_bits == stated_bits else needed_bits
    return LookupTable(first=first, outputs=outputs, bits=bits, stated_bits=stated_bits)


def little_endian_palette(dataset: FileDataset) -> Dataset:
    """Return a palette image's header with the palette's words in little-endian order, as pydicom expects them.

    A palette has the VR OW, so its words are swapped in a big-endian file. This holds for 16-bit entries and for 8-bit
    entries packed two to a word. pydicom returns the bytes in file order, and takes the byte order into account only
    for segmented palettes of 16-bit entries. The returned header therefore says little-endian.

    Source: PS3.5 7.3 and 8.1.1 (byte order of OW), PS3.3 C.7.6.3.1.6 and C.7.9.2 (palettes, plain and segmented).
    """
    if not _is_big_endian(dataset):
        return dataset
    header = Dataset()
    header.update(dataset)
    header.file_meta = FileMetaDataset()  # where pydicom looks up the byte order of segmented palettes
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for kind in ("", "Segmented"):
        for colour in ("Red", "Green", "Blue", "Alpha"):
            keyword = f"{kind}{colour}PaletteColorLookupTableData"
            words = dataset.get(keyword)
            if isinstance(words, bytes) and dataset[keyword].VR == "OW":
                header.add_new(
                    keyword, "OW", np.frombuffer(words[: len(words) // 2 * 2], ">u2").astype("<u2").tobytes()
                )
    return header


def _is_big_endian(dataset: FileDataset) -> bool:
    return bool(dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian)


def _outputs(item: Dataset, entries: int, big_endian: bool) -> Float[np.ndarray, " entries"] | None:
    """Read LUTData, with VR US or OW; 8-bit entries may be packed two to a word. None if there are too few entries."""
    raw = item.get("LUTData")
    if isinstance(raw, bytes):
        if entries <= len(raw) < 2 * entries:
            return np.frombuffer(raw, np.uint8, entries).astype(np.float64)
        words = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2" if big_endian else "<u2")
    else:
        words = np.asarray(numbers(item, "LUTData"), dtype=np.int64) % 2**16
        if (entries + 1) // 2 == len(words) < entries:
            return words.astype("<u2").view(np.uint8)[:entries].astype(np.float64)
    if len(words) < entries:
        return None
    return words[:entries].astype(np.float64)


Table = Float[np.ndarray, " stored_values"]

_PERCENTILES = (1.0, 99.0)


def apply_modality(dataset: FileDataset, table: Table) -> tuple[Table, PixelStep]:
    """Map stored values to modality values with the Modality LUT Sequence, or else with rescale slope and intercept.

    Source: PS3.3 C.11.1.
    """
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        lookup = read_lookup_table(item, dataset, lowest_input=float(table.min()))
        if lookup is not None:
            return lookup.apply(table), PixelStep(step="modality", detail=f"Modality LUT Sequence: {lookup}")
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if len(slope) == 1 and len(intercept) == 1 and slope[0] != 0.0:
        rescaled: Table = table * slope[0] + intercept[0]
        return rescaled, PixelStep(step="modality", detail=f"Rescale: value x {slope[0]:g} + {intercept[0]:g}")
    return table, PixelStep(step="modality", detail="none in the header: stored values are taken as they are")


def apply_voi(dataset: FileDataset, table: Table, counts: Int[np.ndarray, " stored_values"]) -> tuple[Table, PixelStep]:
    """Map modality values to [0, 1] with the first VOI LUT, or the first window, or percentiles of the valid pixels.

    A VOI that makes the whole image a single grey is ignored, because nothing could be seen or attributed in it.

    Args:
        dataset: the image's header.
        table: modality value of each stored value.
        counts: number of valid pixels with each stored value.

    Source: PS3.3 C.11.2: of several, "only one shall be applied"; the first is the one that viewers apply by default.
    """
    for item in items(dataset, "VOILUTSequence")[:1]:
        lookup = read_lookup_table(item, dataset, lowest_input=float(table.min()))
        if lookup is not None:
            display: Table = lookup.apply(table) / lookup.highest_output
            if not _is_flat(display, counts):
                of = len(items(dataset, "VOILUTSequence"))
                return display, PixelStep(step="VOI LUT", detail=f"first of {of} in VOILUTSequence: {lookup}")
    windowed = _apply_window(dataset, table)
    if windowed is not None and not _is_flat(windowed[0], counts):
        return windowed
    return apply_percentiles(table, counts)


def is_inverse(dataset: FileDataset) -> bool:
    """Return True if low values are shown bright: MONOCHROME1, PresentationLUTShape INVERSE, or both (one inversion).

    Source: PS3.3 C.7.6.3.1.2 (MONOCHROME1), C.11.6.1.2 (Presentation LUT Shape; INVERSE belongs to MONOCHROME1).
    """
    photometric = text(dataset, "PhotometricInterpretation").upper()
    return photometric == "MONOCHROME1" or text(dataset, "PresentationLUTShape").upper() == "INVERSE"


def apply_polarity(dataset: FileDataset, table: Table) -> tuple[Table, PixelStep]:
    """Invert [0, 1] once if low values are shown bright, so that dense tissue is always bright."""
    photometric = _known(text(dataset, "PhotometricInterpretation"), ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"))
    shape = _known(text(dataset, "PresentationLUTShape"), ("IDENTITY", "INVERSE"))
    inverse = is_inverse(dataset)
    detail = f"{'inverted' if inverse else 'kept'}: {photometric}, PresentationLUTShape {shape}"
    return (1.0 - table if inverse else table), PixelStep(step="polarity", detail=detail)


def _known(stated: str, terms: tuple[str, ...]) -> str:
    """Return a defined term as it is, and anything else in quotes, because it may be free text."""
    term = stated.upper()
    return term if term in terms else "another term" if term else "not given"


def _apply_window(dataset: FileDataset, table: Table) -> tuple[Table, PixelStep] | None:
    """Apply the first window; None if there is no window that the standard allows.

    Source: PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).
    """
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if not centres or not widths:
        return None
    centre, width = centres[0], widths[0]
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    if width < 1.0 if function == "LINEAR" else width <= 0.0:
        return None
    if function == "LINEAR":
        display = _ramp(table, centre - 0.5, width - 1.0)
    elif function == "LINEAR_EXACT":
        display = _ramp(table, centre, width)
    elif function == "SIGMOID":
        # 1 / (1 + exp(-4 (x - c) / w)), in the form that cannot overflow
        display = 0.5 * (1.0 + np.tanh(2.0 * (table - centre) / width))
    else:
        return None
    of = min(len(centres), len(widths))
    return display, PixelStep(
        step="VOI window", detail=f"first of {of}: {function}, centre {centre:g}, width {width:g}"
    )


def _ramp(table: Table, centre: float, width: float) -> Table:
    """Ramp from 0 at ``centre - width / 2`` to 1 at ``centre + width / 2``; a step if the width is 0."""
    if width == 0.0:
        return (table > centre).astype(np.float64)
    ramp: Table = np.clip((table - centre) / width + 0.5, 0.0, 1.0)
    return ramp


def apply_percentiles(
    table: Table,
    counts: Int[np.ndarray, " stored_values"],
    *,
    because: str = "no usable VOI LUT or window in the header",
) -> tuple[Table, PixelStep]:
    """Stretch the range from the 1st to the 99th percentile (nearest rank) of the valid pixels to [0, 1].

    Args:
        table: value of each stored value.
        counts: number of valid pixels with each stored value.
        because: why percentiles are used, for the processing step.
    """
    order = np.argsort(table, kind="stable")
    cumulated = np.cumsum(counts[order])
    ranks = [np.ceil(percentile / 100.0 * cumulated[-1]) for percentile in _PERCENTILES]
    low, high = (float(table[order[np.searchsorted(cumulated, rank)]]) for rank in ranks)
    what = f"percentiles {_PERCENTILES[0]:g} to {_PERCENTILES[1]:g}"
    if low == high:  # more than 98 % of the pixels have one value: the other pixels are the image
        seen = table[counts > 0]
        low, high, what = float(seen.min()), float(seen.max()), "minimum to maximum"
        if low == high:
            flat = f"none: every valid pixel has the value {low:g}, so the picture is black"
            return np.zeros_like(table), PixelStep(step="percentiles", detail=flat)
    display: Table = np.clip((table - low) / (high - low), 0.0, 1.0)
    detail = f"{because}: {what} of the valid pixels, {low:g} to {high:g}"
    return display, PixelStep(step="percentiles", detail=detail)


def _is_flat(display: Table, counts: Int[np.ndarray, " stored_values"]) -> bool:
    seen = display[counts > 0]
    return bool(seen.min() == seen.max())
