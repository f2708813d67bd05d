"""Tests of what other tools are given run where the tool is; `make engines` brings it."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("llm") else ["test_llm_plugin.py"]
