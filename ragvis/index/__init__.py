"""An index: a folder that says what is in a person's files."""

from ragvis.index.calibration import QueryKind
from ragvis.index.index import Index, View
from ragvis.index.picture import check_unchanged, picture_of
from ragvis.index.plan import IndexReport
from ragvis.index.status import IndexStatus

__all__ = [
    "Index",
    "IndexReport",
    "IndexStatus",
    "QueryKind",
    "View",
    "check_unchanged",
    "picture_of",
]
