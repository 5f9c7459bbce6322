"""Where radiographs come from: DICOM files, and image files (PNG, JPEG, TIFF) with tables that describe them."""
