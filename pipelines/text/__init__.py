"""Reads report files and extracts phrases from the reports."""
