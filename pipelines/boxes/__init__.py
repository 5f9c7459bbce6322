"""Reads annotation files and places their boxes on images."""

from pipelines.boxes.reader import read_boxes
from pipelines.boxes.table import BoxRow, BoxTable

__all__ = ["BoxRow", "BoxTable", "read_boxes"]
