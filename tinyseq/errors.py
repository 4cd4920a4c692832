"""The exceptions: what was given, what was expected, where, and what to type instead.

Each is also one of Python's own (torch raises those), so that `except RuntimeError` keeps working.
"""
from __future__ import annotations


class TinyseqError(Exception):
    """The root of every error that tinyseq raises by a name of its own."""


class ShapeError(TinyseqError, RuntimeError, ValueError):
    """Shapes that do not fit: names the operation, the shapes and the axis."""


class GraphError(TinyseqError, RuntimeError):
    """A recorded graph used in a way it cannot answer: freed, changed in place, or cut."""


class NonFiniteError(TinyseqError, RuntimeError):
    """A NaN or an infinity where only finite numbers make sense: names the tensor."""


class GradcheckError(TinyseqError, RuntimeError):
    """A gradient check that failed, or that tested nothing: names the culprit."""


class NondifferentiableError(GradcheckError):
    """A gradient check at a kink, where the derivative is only a convention."""


class CellError(TinyseqError, ValueError):
    """A cell whose lines do not follow the notation: names the cell, the line and the cure."""


class DeclarationError(TinyseqError, TypeError):
    """An operation declared without docstring, equation or samples, or with a malformed rule."""


class FormatError(TinyseqError, ValueError):
    """A file that is not what its name says: names the path and the reason."""


class RenderError(TinyseqError, RuntimeError):
    """A picture that could not be rendered: names the program and how to get it."""


class TextError(TinyseqError, ValueError):
    """A text that cannot be trained on: names the file, the reason and what to type instead."""


class ConversionError(TinyseqError, ValueError):
    """Weights that cannot go from one framework to another: names them and the reason."""
