"""Files in, documents out: text with pages and headings, pictures with their place."""

from ragvis.documents.model import Document, Figure, Heading, Page
from ragvis.documents.reader import SUFFIXES, kind_of, load_figure, read

__all__ = ["SUFFIXES", "Document", "Figure", "Heading", "Page", "kind_of", "load_figure", "read"]
