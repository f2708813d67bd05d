"""Evaluations and comparisons as tables, pages, Markdown and JUnit: functions of values."""
