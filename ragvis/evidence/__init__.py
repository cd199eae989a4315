"""An answer with its evidence as one HTML page that a person can check it by."""

from ragvis.evidence.page import page

__all__ = ["page"]
