"""Measurements: one script a question (pytest-benchmark), and `load/`, callers and whole-engine figures.

The method, the commands and the last table are in README.md beside this file.
"""
