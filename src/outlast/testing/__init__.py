"""Kit for testing programs and parts of outlast: scripted models, a fake server, contract suites."""

from outlast.testing.scripted import ScriptedLM

__all__ = ["ScriptedLM"]
