"""Pictures as an answering model sees them, kept beside the index so that asking encodes none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis.documents import read
from ragvis.errors import BadFile, IndexDamaged, RagvisError
from ragvis.index.picture import unchanged_file
from ragvis.store.features import FeatureFile, Stored
from ragvis.store.lock import writer_lock
from ragvis.store.rows import EVERY, FileRow, ItemRow
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.documents import Figure
    from ragvis.generator.choice import Rows
    from ragvis.generator.tower import PictureTower
    from ragvis.index.index import Index

    OnPicture = Callable[[int, int, str], None]  # done, of how many, file

_AT_ONCE = 8  # pictures a commit


class Features:
    """The shelf where a model finds them. See ``generator.choice.Shelf``."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._file = FeatureFile(folder)
        self._tell = tell
        self._works = True

    def get(self, revision: str, key: str) -> Rows | None:
        """(tokens, hidden), or None: what cannot be read is encoded anew."""
        try:
            return self._file.get(revision, key) if self._works else None
        except RagvisError as error:
            self._works = False
            self._tell(f"{error}; pictures are encoded anew (`ragvis index --features` mends it)")
            if isinstance(error, IndexDamaged):
                self._file.mark_damaged()
            return None


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """What ``store_features`` did, in pictures."""

    model: str
    stored: int
    kept: int  # that were there already
    dropped: int  # that the index holds no more
    bad: dict[str, str] = field(default_factory=dict)  # file as given -> why it was left out

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def store_features(index: Index, tower: PictureTower, on_picture: OnPicture) -> FeatureReport:
    """Send every picture of the index through a model's tower and connector, and keep what comes.

    Those that went through before are kept. Can be stopped and called again at any time.

    Raises:
        IndexLocked: another process is writing.
        StorageError: the disk refuses; what was stored before is kept.
        ModelError: the model fails.
    """
    tower.use(index.encoder)
    with writer_lock(index.path):
        try:
            return _store(index, tower, on_picture)
        except IndexDamaged:  # of the catalog, and then it says so again; or of what is stored
            FeatureFile(index.path).mark_damaged()
            return _store(index, tower, on_picture)


def _store(index: Index, tower: PictureTower, on_picture: OnPicture) -> FeatureReport:
    file = FeatureFile(index.path)
    file.prepare(tower.revision, tower.name)
    items = index.items(index.matching("image", EVERY).tolist()).values()
    dropped = file.keep_only(tower.revision, {item.content for item in items})
    known = file.contents(tower.revision)
    new = {item.content: item for item in items if item.content not in known}
    bad: dict[str, str] = {}
    stored = 0
    for some in _in_groups(_encoded(tower, list(new.values()), bad, on_picture)):
        file.add(tower.revision, some)
        stored += len(some)
    return FeatureReport(tower.name, stored, len(known), dropped, bad)


def _encoded(
    tower: PictureTower, items: list[ItemRow], bad: dict[str, str], on_picture: OnPicture
) -> Iterator[Stored]:
    by_file: dict[str, list[ItemRow]] = {}
    for item in items:
        by_file.setdefault(item.files[0].path, []).append(item)
    done = 0
    for wanted in by_file.values():
        shown = wanted[0].files[0].shown
        on_picture(done, len(items), shown)
        try:
            figures = _figures(wanted[0].files)
        except BadFile as error:
            figures, bad[shown] = {}, str(error)
        for item in wanted:
            try:
                if item.ordinal in figures:
                    yield Stored(item.content, *tower.encode(figures[item.ordinal].open()))
            except BadFile as error:
                bad[shown] = str(error)
        done += len(wanted)
    on_picture(done, len(items), "")


def _figures(files: Sequence[FileRow]) -> dict[int, Figure]:
    """The pictures of a document, not yet decoded, by their place in it.

    Args:
        files: that hold it; the first that still does is read.

    Raises:
        BadFile: none can be read, or is what was indexed any more.
    """
    path = unchanged_file((file.path for file in files), files[0].sha256)
    return {figure.ordinal: figure for figure in read(path).figures}


def _in_groups(pictures: Iterator[Stored]) -> Iterator[list[Stored]]:
    while some := list(islice(pictures, _AT_ONCE)):
        yield some
