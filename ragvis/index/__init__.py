"""An index: a folder that says what is in a person's files."""

from ragvis.index.calibration import QueryKind
from ragvis.index.features import FeatureReport, Features, store_features
from ragvis.index.index import Index, View
from ragvis.index.picture import check_unchanged, picture_of
from ragvis.index.plan import IndexReport
from ragvis.index.status import IndexStatus

__all__ = [
    "FeatureReport",
    "Features",
    "Index",
    "IndexReport",
    "IndexStatus",
    "QueryKind",
    "View",
    "check_unchanged",
    "picture_of",
    "store_features",
]
