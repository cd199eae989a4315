"""An index: a folder that says what is in a person's files."""

from ragvis.index.background import QueryKind
from ragvis.index.index import Index, IndexStatus, View
from ragvis.index.picture import picture_of
from ragvis.index.plan import IndexReport

__all__ = ["Index", "IndexReport", "IndexStatus", "QueryKind", "View", "picture_of"]
