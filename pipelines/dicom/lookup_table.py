"""Look-up tables as files really hold them: of modality and VOI transformations, and of colour palettes.

Two things in real headers are not what the standard says: the number of bits in the descriptor (16 is written where
the data fill 12, which would leave the picture black), and the sign of the first input value (written unsigned where
rescaling makes values negative).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from pipelines.dicom.source import numbers

__all__ = ["LookupTable", "little_endian_palette", "read_lookup_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupTable:
    """Outputs for the inputs ``first``, ``first + 1``, ...; inputs beyond either end take the end's output.

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
        """Look up each input; a fraction is cut off."""
        index = np.clip(np.floor(inputs - self.first), 0, len(self.outputs) - 1).astype(np.intp)
        found: Float[np.ndarray, " inputs"] = self.outputs[index]
        return found

    def __str__(self) -> str:
        """Say the table's size for the receipt, and what of its descriptor was not believed."""
        doubt = "" if self.bits == self.stated_bits else f" (the descriptor says {self.stated_bits}, the data do not)"
        return f"{len(self.outputs)} entries from {self.first:g}, {self.bits} bits{doubt}"


def read_lookup_table(item: Dataset, dataset: FileDataset, *, lowest_input: float) -> LookupTable | None:
    """Read an item of a Modality or VOI LUT Sequence; None where it is incomplete.

    Args:
        item: the sequence's item.
        dataset: the image it belongs to, for its byte order.
        lowest_input: the lowest value that can be looked up; below 0 it makes the descriptor's first value signed.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    entries = int(descriptor[0]) % 2**16 or 2**16  # 0 stands for 65,536; read as signed, 40,000 is -25,536
    first, stated_bits = descriptor[1], int(descriptor[2])
    if lowest_input < 0 and first >= 2**15:
        first -= 2**16
    outputs = _outputs(item, entries, _is_big_endian(dataset))
    if outputs is None or not 1 <= stated_bits <= 16:
        return None
    needed_bits = max(1, int(outputs.max()).bit_length())
    # A table whose brightest output stays in the lower half of its own range was written with the wrong depth.
    bits = stated_bits if needed_bits == stated_bits else needed_bits
    return LookupTable(first=first, outputs=outputs, bits=bits, stated_bits=stated_bits)


def little_endian_palette(dataset: FileDataset) -> Dataset:
    """Give a palette colour image's header with the palette's words in little-endian order, as pydicom takes them.

    A palette has the VR OW, so that a big-endian file holds its words swapped, whether an entry has 16 bits or two of 8
    bits share a word; pydicom gives the bytes as they lie in the file, and minds
    the file's order in segmented palettes of 16-bit entries alone, so that the header given says little-endian.

    Source: PS3.5 7.3 and 8.1.1 (byte order of OW), PS3.3 C.7.6.3.1.6 and C.7.9.2 (palettes, plain and segmented).
    """
    if not _is_big_endian(dataset):
        return dataset
    header = Dataset()
    header.update(dataset)
    header.file_meta = FileMetaDataset()  # where pydicom looks for the order of segmented palettes
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
    """Read LUTData, whose VR is US or OW and whose 8-bit entries may be packed two to a word; None if too short."""
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
