"""Making the catalog say what is in the files: read, cut, embed, commit, in bounded batches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragvis._files import sha256_of_file
from ragvis.documents.child import Message
from ragvis.documents.model import Heading, Page, short, title_from_name
from ragvis.documents.passages import Cutter
from ragvis.documents.readers import Readers
from ragvis.errors import BadFile
from ragvis.index.batches import Batches
from ragvis.index.moves import Moves
from ragvis.index.plan import IndexReport, Plan, content_of
from ragvis.index.walk import Found
from ragvis.store.catalog import Catalog
from ragvis.store.metadata import bounded
from ragvis.store.rows import DocumentRow, FileRow, ItemRow

if TYPE_CHECKING:
    from ragvis.encoder import Encoder, Vectors
    from ragvis.media.fit import Fit

PASSAGE_TOKENS = 128  # longest passage, where the encoder reads that many
_FILES_A_COMMIT = 64
_ITEMS_A_COMMIT = 512
_ITEMS_WAITING = 8192  # items without a vector, before half-empty batches are embedded
OnFile = Callable[[int, int, str], None]  # (done, of, file as given)


@dataclass(slots=True)
class _Read:
    """A file as read: to be linked to a document that is there, or to the one it holds."""

    found: Found
    row: FileRow
    document: DocumentRow | None = None
    items: list[ItemRow] = field(default_factory=list)
    was_open: bool = True  # False: nothing can be said of its content today


class Ingest:
    """Reads what a plan says is to be read.

    Args:
        work: the plan; its report is filled.
        catalog: open for writing.
        encoder: loads the encoder; not called where nothing is to be embedded or named.
        fit: how the encoder takes pictures.
        on_commit: called after each commit with the number of items that went into it.
    """

    def __init__(
        self,
        work: Plan,
        catalog: Catalog,
        encoder: Callable[[], Encoder],
        fit: Fit,
        on_commit: Callable[[int], None],
    ) -> None:
        self._work = work
        self._moves = Moves(work.walk, work.known)
        self._counts = _Counts(work.report, work.known)
        self.moved: set[str] = set()  # old paths of files that were found again
        self.contents: set[str] = set()  # sha256 of the files that were read
        self._catalog = catalog
        self._encoder = cache(encoder)  # the index looks on the disk each time
        self._fit = fit
        self._on_commit = on_commit
        self._batches = Batches(self._encoder, catalog, fit)
        self._waiting: list[_Read] = []
        self._lost: dict[str, Found] = {}  # files whose known document is gone, by path
        self._sha256: dict[str, str] = {}  # of the files whose job has begun, by path

    def run(self, on_file: OnFile) -> None:
        """Read, embed and commit; stopping at any point keeps what was committed."""
        files = self._work.to_read
        lookup = _Lookup(self._catalog.folder)
        with closing(self._batches), closing(lookup), Readers(self._fit, len(files)) as pool:
            jobs = pool.read(files, lambda found: self._wanted(found, lookup))
            for done, (found, messages) in enumerate(jobs):
                on_file(done, len(files), found.shown)
                self._keep(self._take(found, messages))
            self._flush()
            for found, messages in pool.read(self._lost.values(), self._hash):
                self._keep(self._take(found, messages))
            self._flush()
        on_file(len(files), len(files), "")

    def _keep(self, read: _Read) -> None:
        self._waiting.append(read)
        self._commit_ready()

    def _flush(self) -> None:
        self._batches.flush()
        self._commit(self._waiting)

    def _hash(self, found: Found) -> str:
        try:
            self._sha256[found.path] = sha256_of_file(found.path)
        except OSError as error:
            raise _Unopened(error.strerror or str(error)) from error
        return found.path

    def _wanted(self, found: Found, lookup: _Lookup) -> str | None:
        """Hash a file; its path where its content is not known yet."""
        path = self._hash(found)
        return None if lookup.has(content_of(path, self._sha256[path])) else path

    def _take(self, found: Found, messages: Iterable[Message]) -> _Read:
        """Pull a file's messages; what is to be embedded goes into the batches."""
        row = _row_of(found)
        try:
            reading = _Reading(self, row)
            for header, pixels in messages:
                reading.take(header, pixels)
            row = replace(row, sha256=self._sha256.pop(found.path))
            if not reading.began:
                return _Read(found, row)
            reading.require_items()
            _require_unchanged(found)
        except BadFile as error:
            sha256 = self._sha256.pop(found.path, row.sha256)
            kept = "" if isinstance(error, _Passing) else sha256
            was_open = not isinstance(error, _Unopened)
            bad = replace(row, sha256=kept, error=str(error))
            return _Read(found, bad, was_open=was_open)
        content = content_of(found.path, row.sha256)
        about = bounded(reading.metadata)
        own = DocumentRow(content, reading.title, reading.problems, about)
        return _Read(found, row, own, reading.items)

    # --- commits --------------------------------------------------------------------------

    def _commit_ready(self) -> None:
        """Commit the files whose vectors are all there, once they are worth a commit."""
        if not self._batches.landed() and len(self._waiting) % _FILES_A_COMMIT:
            return  # nothing new can be ready
        if sum(len(r.items) for r in self._waiting) > _ITEMS_WAITING:
            self._batches.flush()
        ready = [r for r in self._waiting if self._batches.has(i.content for i in r.items)]
        if len(ready) >= _FILES_A_COMMIT or sum(len(r.items) for r in ready) >= _ITEMS_A_COMMIT:
            self._commit(ready)

    def _commit(self, ready: list[_Read]) -> None:
        if not ready:
            return
        with self._catalog.commit():
            for read in ready:
                self._store(read)
        done = {id(read) for read in ready}
        self._waiting = [read for read in self._waiting if id(read) not in done]
        self._batches.keep_only({i.content for r in self._waiting for i in r.items})
        self._on_commit(sum(len(read.items) for read in ready))

    def _store(self, read: _Read) -> None:
        row = read.row
        if row.error is not None:
            self._counts.bad(row)
            if read.was_open or not self._counts.was_read(row.path):  # else what was read stays
                self._catalog.link(row, None)
                self._has_moved(read)
            return
        # An equal file may have come first
        known = self._catalog.document_id(content_of(row.path, row.sha256))
        document = self._added(read) if known is None else known
        if document is None:
            # It went with another file that was changed: read this one after all.
            self._lost[row.path] = read.found
            return
        self._catalog.link(row, document)
        self.contents.add(row.sha256)
        self._counts.read(read, known is None, self._has_moved(read))

    def _added(self, read: _Read) -> int | None:
        """The id of a new document, or None where the file was not read."""
        if read.document is None:
            return None
        vectors = np.array([self._batches.vector(i.content) for i in read.items], np.float32)
        return self._catalog.add_document(read.document, self._named(read.items, vectors), vectors)

    def _has_moved(self, read: _Read) -> bool:
        """Whether a new file is an old one; then it is not known under its old path any more."""
        is_new = not self._counts.was_read(read.row.path)
        old = self._moves.claim(read.found, read.row.sha256) if is_new else None
        if old is not None:
            self._catalog.remove([old])
            self.moved.add(old)
        return old is not None

    def _named(self, items: list[ItemRow], vectors: Vectors) -> list[ItemRow]:
        """Pictures that nobody wrote a caption for are searched by what they look like, too."""
        bare = [n for n, item in enumerate(items) if item.modality == "image" and not item.body]
        names = self._encoder().names if bare else None
        if names is None:
            return items
        named = dict(zip(bare, names.of(vectors[bare]), strict=True))
        return [
            replace(item, near=f"{item.near} {named.get(n, '')}".strip())
            for n, item in enumerate(items)
        ]

    # --- passages -------------------------------------------------------------------------

    def passages(self, title: str, pages: Iterable[Page]) -> Iterator[ItemRow]:
        """A document's passages, handed to the batches."""
        encoder = self._encoder()
        limit = min(PASSAGE_TOKENS, encoder.max_tokens)
        opening = self._opening(short(title), limit // 4)
        cutter = Cutter(encoder.count_tokens, limit - encoder.count_tokens([opening])[0])
        passages = ((page.number, p) for page in pages for p in cutter.cut(page))
        for ordinal, (page, passage) in enumerate(passages):
            content = self._batches.add_text(opening + passage.text)
            section = short(passage.section)
            span, body = passage.span, passage.text
            yield ItemRow("text", ordinal, content, page, span, section=section, body=body)

    def _opening(self, title: str, limit: int) -> str:
        """The title that is embedded before each passage, in at most so many tokens."""
        words = title.split()[:32]
        while words and self._encoder().count_tokens([" ".join(words)])[0] > limit:
            words.pop()
        return " ".join(words) + ". " if words else ""

    def picture(self, header: dict[str, Any], pixels: bytes | bytearray) -> ItemRow:
        """A picture, handed to the batches.

        Raises:
            BadFile: it could not be read.
        """
        if "error" in header or len(pixels) != self._fit.width * self._fit.height * 3:
            raise BadFile(str(header.get("error", "its pixels are incomplete")))
        content = self._batches.add_picture(header["sha256"], pixels)
        box = tuple(header["bbox"]) if header["bbox"] else None
        about = {"body": header["caption"], "section": header["section"], "near": header["near"]}
        return ItemRow("image", header["ordinal"], content, header["page"], bbox=box, **about)


class _Reading:
    """One file's messages, as they come."""

    def __init__(self, ingest: Ingest, row: FileRow) -> None:
        self._ingest = ingest
        self._row = row
        self.began = False
        self.title = ""
        self.metadata: dict[str, str] = {}
        self.items: list[ItemRow] = []
        self.problems: dict[str, str] = {}

    def take(self, header: dict[str, Any], pixels: bytes | bytearray) -> None:
        """Raises:
        BadFile: the reader says so.
        """
        self.began = True
        if header["kind"] == "bad":
            raise (_Passing if header.get("passing") else BadFile)(header["reason"])
        if header["kind"] == "text":
            self.title, self.metadata = header["title"], header["metadata"]
            self.problems |= header["unread"]
            pages = [
                Page(n, text, tuple(Heading(*h) for h in hs)) for n, text, hs in header["pages"]
            ]
            if pages:
                self.items += self._ingest.passages(self.title or self._row.label, pages)
        elif header["kind"] == "picture":
            try:
                self.items.append(self._ingest.picture(header, pixels))
            except BadFile as error:  # one broken picture does not cost a document its text
                self.problems[f"picture {header['ordinal'] + 1}"] = str(error)

    def require_items(self) -> None:
        """Raises:
        BadFile: there is nothing to be found in it.
        """
        if not self.items:
            only = list(self.problems.values())
            raise BadFile(only[0] if len(only) == 1 else "nothing to index in it")


class _Passing(BadFile):
    """What may be over by the next run, which tries again: the row keeps no hash."""


class _Unopened(_Passing):
    """It is not there, cannot be opened, or is being written: its content is not known today."""


class _Lookup:
    """Which contents the catalog holds, asked by the readers' threads."""

    def __init__(self, folder: Path) -> None:
        self._catalog = Catalog.open(folder)
        self._guard = threading.Lock()

    def has(self, content: str) -> bool:
        with self._guard:
            return self._catalog.document_id(content) is not None

    def close(self) -> None:
        self._catalog.close()


class _Counts:
    """Keeps the report."""

    def __init__(self, report: IndexReport, known: dict[str, FileRow]) -> None:
        self._report = report
        self._known = known

    def was_read(self, path: str) -> bool:
        """Whether what a file held is in the index from before."""
        before = self._known.get(path)
        return before is not None and before.error is None

    def bad(self, row: FileRow) -> None:
        """A file that could not be read."""
        self._report.bad[row.shown] = row.error or ""

    def read(self, read: _Read, is_first: bool, has_moved: bool) -> None:
        """A file that was read; ``is_first``: no other holds the same."""
        before, report = self._known.get(read.row.path), self._report
        if self.was_read(read.row.path) and before and before.sha256 == read.row.sha256:
            report.unchanged += 1
        elif has_moved:
            report.moved += 1
        else:
            report.changed += self.was_read(read.row.path)
            report.added += not self.was_read(read.row.path)
            report.copies += not is_first
        if read.document is not None:
            problems = read.document.problems.items()
            report.bad |= {f"{read.row.shown}, {part}": why for part, why in problems}
        if is_first:
            report.passages += sum(i.modality == "text" for i in read.items)
            report.images += sum(i.modality == "image" for i in read.items)


def _require_unchanged(found: Found) -> None:
    try:
        now = os.stat(found.path)
    except OSError as error:
        raise _Unopened(error.strerror or str(error)) from error
    then = found.stat
    if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
        raise _Unopened("it changed while it was read; index it again")


def _row_of(found: Found) -> FileRow:
    about = found.stat
    label = short(title_from_name(found.path))
    times = (about.st_size, about.st_mtime_ns, about.st_ino)
    return FileRow(found.path, found.shown, *times, sha256="", label=label)
