"""Tests of imports; those with the real `llm` run where it is (`make engines`)."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("llm") else ["test_real_llm.py"]
