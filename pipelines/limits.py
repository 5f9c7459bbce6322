"""Limits on time, size and memory for everything that is read, and the detection of a lack of memory.

A few bytes can describe gigabytes: compressed files, dictionaries, nested lists, repeated names. A file beyond one of
these limits is refused with a message, before it is read or as soon as it passes the limit. The limits are set so that
no file takes more than 1 GB of memory or half a minute on one core. ``docs/OPERATE.md`` lists them for users.
"""

import errno

__all__ = [
    "MAX_ANNOTATION_BYTES",
    "MAX_BOXES_IN_FILE",
    "MAX_BOXES_ON_IMAGE",
    "MAX_CELL_CHARACTERS",
    "MAX_COLUMNS",
    "MAX_CONFIG_BYTES",
    "MAX_CORNERS",
    "MAX_DICOM_BYTES",
    "MAX_DICOM_READS",
    "MAX_DICOM_VALUE_BYTES",
    "MAX_GZIP_MEMBERS",
    "MAX_HEADER_BYTES",
    "MAX_HEADER_CHARACTERS",
    "MAX_HL7_CHARACTERS",
    "MAX_HL7_FIELDS",
    "MAX_HL7_SEGMENTS",
    "MAX_INFLATED_BYTES",
    "MAX_JSON_DEPTH",
    "MAX_JSON_MEMORY",
    "MAX_LINES",
    "MAX_MARKUP_CHARACTERS",
    "MAX_MASK_PIXELS",
    "MAX_MASK_SIDE",
    "MAX_MODEL_LAYERS",
    "MAX_PAIRS",
    "MAX_PICTURE_PIXELS",
    "MAX_PIXEL_FILE_BYTES",
    "MAX_REPORT_CHARACTERS",
    "MAX_RINGS",
    "MAX_ROWS",
    "MAX_TENSORS",
    "MAX_TEXT_BYTES",
    "MAX_TEXT_MEMORY",
    "MAX_TOKENISER_BYTES",
    "MAX_XML_BYTES",
    "MAX_ZIP_ENTRIES",
    "NEEDS_MORE_MEMORY",
    "is_out_of_memory",
]

# Text files: reports, tables, annotations
MAX_TEXT_BYTES = 2**28  # unpacked; 227,835 reports, as many as MIMIC-CXR has, of 1,000 characters take 85 % of it
MAX_TEXT_MEMORY = 5 * 2**26  # bytes per text in memory: one character above U+FFFF makes each character four bytes
MAX_GZIP_MEMBERS = 100_000  # bgzip starts one every 64 kB
MAX_ZIP_ENTRIES = 10_000
MAX_XML_BYTES = 2**22  # a report of OpenI has 5 kB
MAX_HL7_CHARACTERS = 2**26  # per file
MAX_HL7_FIELDS = 200  # per segment; OBX has 25
MAX_HL7_SEGMENTS = 100_000  # per message
MAX_MARKUP_CHARACTERS = 2**20  # per report in HTML
MAX_REPORT_CHARACTERS = 100_000  # the longest of MIMIC-CXR has about 10,000

# Tables
MAX_ROWS = 500_000  # also HL7 messages and FHIR reports
MAX_LINES = 5_000_000  # including blank lines, where rows are not counted
MAX_PAIRS = 5_000_000  # captions and image paths of `evaluate`; Conceptual Captions has 3.3 million
MAX_COLUMNS = 1_000
MAX_HEADER_CHARACTERS = 2**20  # length of the line from which the format is detected
MAX_CELL_CHARACTERS = 2**24  # also per line; csv's own limit of 131,072 is less than some reports with addenda

# JSON
MAX_JSON_MEMORY = 400 * 2**20  # estimated memory of the text and its values
MAX_JSON_DEPTH = 100

# Annotations
MAX_ANNOTATION_BYTES = 2**27  # per file, unpacked
MAX_BOXES_IN_FILE = 250_000
MAX_BOXES_ON_IMAGE = 500
MAX_CORNERS = 20_000  # per outline; a lung traced pixel by pixel on a radiograph of 9 megapixels has 10,000
MAX_RINGS = 200  # polygons per outline
MAX_MASK_PIXELS = 2**27  # four times the largest detector
MAX_MASK_SIDE = 2**15

# DICOM files
MAX_DICOM_BYTES = 2**31  # a larger object is not a radiograph, nor another object that is used
MAX_PIXEL_FILE_BYTES = 2**29  # per file whose pixels are read, including the pixels
MAX_INFLATED_BYTES = 2**28  # five times the largest detector's pixels; held in memory up to three times
MAX_DICOM_READS = 500_000  # about two seconds; real headers take a few hundred, large structured ones a few thousand
MAX_DICOM_VALUE_BYTES = 2**22  # per element that is not pixel or overlay data; a colour palette has 2**17
MAX_HEADER_BYTES = 2**24  # all elements except pixel data; real headers have a few kilobytes

# Images in formats other than DICOM
MAX_PICTURE_PIXELS = 30_000_000  # 1.5 times the largest detector; colour takes 26 bytes per pixel while it is read

# Model folders
MAX_CONFIG_BYTES = 2**22  # per JSON or text file other than the tokeniser's
MAX_TOKENISER_BYTES = 2**26  # per tokeniser file; SigLIP 2's, with 256,000 tokens, has 34 MB
MAX_MODEL_LAYERS = 1_000
MAX_TENSORS = 100_000


NEEDS_MORE_MEMORY = (
    "needs more memory than is available: free memory or use fewer execution.workers, then run again with "
    "--set execution.retry-failed=true"
)
"""The end of a sentence about a study or an image."""

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if memory could not be allocated, by Python or by torch; torch is not imported for this.

    torch raises ``OutOfMemoryError`` for devices; its CPU allocator can be recognised only by its message.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or any(message in str(error) for message in _CPU_MESSAGES)
    )
