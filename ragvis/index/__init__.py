"""An index: a folder that says what is in a person's files."""

from ragvis.index.background import QueryKind
from ragvis.index.index import Index, IndexStatus, View
from ragvis.index.ingest import IndexReport
from ragvis.index.picture import picture_of

__all__ = ["Index", "IndexReport", "IndexStatus", "QueryKind", "View", "picture_of"]
