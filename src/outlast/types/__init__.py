"""What a value may be beyond Python's own types, and where it came from."""

from outlast.types.code import Code
from outlast.types.document import Document
from outlast.types.label import TRUSTED, Label
from outlast.types.media import Audio, File, Image, Media
from outlast.types.shown import FieldType, Shown
from outlast.types.tool import Tool

__all__ = [
    "TRUSTED",
    "Audio",
    "Code",
    "Document",
    "FieldType",
    "File",
    "Image",
    "Label",
    "Media",
    "Shown",
    "Tool",
]
