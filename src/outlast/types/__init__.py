"""What a value may be beyond Python's own types, and where it came from."""

from outlast.types.label import TRUSTED, Label

__all__ = ["TRUSTED", "Label"]
