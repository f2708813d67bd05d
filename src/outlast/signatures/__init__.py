"""Signatures: the typed contract of one function that a language model implements."""

from outlast.signatures.field import REQUIRED, Field, input, output
from outlast.signatures.record import Prediction, Record, fields_of, outputs_of
from outlast.signatures.signature import Signature, SignatureType
from outlast.signatures.spelling import signature

__all__ = [
    "REQUIRED",
    "Field",
    "Prediction",
    "Record",
    "Signature",
    "SignatureType",
    "fields_of",
    "input",
    "output",
    "outputs_of",
    "signature",
]
