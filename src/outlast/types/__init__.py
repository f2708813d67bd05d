"""What a value may be beyond Python's own types, and where it came from."""

from outlast.types.label import TRUSTED, Label
from outlast.types.media import Audio, File, Image, Media
from outlast.types.tool import Tool

__all__ = ["TRUSTED", "Audio", "File", "Image", "Label", "Media", "Tool"]
