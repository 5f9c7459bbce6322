"""Report formats, one module each: a recogniser by content, and a reader that reports what it excluded."""
