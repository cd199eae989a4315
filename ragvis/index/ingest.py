"""Making the catalog say what is in the files: read, cut, embed, commit, in bounded batches."""

from __future__ import annotations

import os
import threading
from collections import Counter
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


class Ingest:
    """Carries out a plan.

    Args:
        catalog: open for writing.
        encoder: loads the encoder; not called where nothing is to be embedded or named.
        fit: how the encoder takes pictures.
        on_commit: called after each commit with the number of items that went into it.
    """

    def __init__(
        self,
        catalog: Catalog,
        encoder: Callable[[], Encoder],
        fit: Fit,
        on_commit: Callable[[int], None],
    ) -> None:
        self._catalog = catalog
        self._encoder = cache(encoder)  # the index looks on the disk each time
        self._fit = fit
        self._on_commit = on_commit
        self._batches = Batches(self._encoder, catalog, fit)
        self._waiting: list[_Read] = []
        self._lost: dict[str, Found] = {}  # files whose known document is gone, by path
        self._sha256: dict[str, str] = {}  # of the files whose job has begun, by path

    def run(self, work: Plan, known: dict[str, FileRow], on_file: OnFile) -> IndexReport:
        """Read, embed and commit; stopping at any point keeps what was committed."""
        gone = Counter(known[path].sha256 for path in work.to_remove)
        counts = _Counts(work.report, known, gone)
        lookup = _Lookup(self._catalog.folder)
        with closing(self._batches), closing(lookup), Readers(self._fit, len(work.to_read)) as pool:
            jobs = pool.read(work.to_read, lambda found: self._wanted(found, lookup))
            for done, (found, messages) in enumerate(jobs):
                on_file(done, len(work.to_read), found.shown)
                read = self._take(found, messages)
                counts.count(read.row, read.items, read.document)
                self._keep(read)
            self._flush()
            for found, messages in pool.read(self._lost.values(), self._hash):
                read = self._take(found, messages)
                if read.row.error is not None:
                    work.report.bad[found.shown] = read.row.error
                self._keep(read)
            self._flush()
        self._finish(work)
        on_file(len(work.to_read), len(work.to_read), "")
        return work.report

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
            raise BadFile(error.strerror or str(error)) from error
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
            return _Read(found, replace(row, sha256=kept, error=str(error)))
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
                document = self._document_of(read)
                if document is None and read.row.error is None:
                    # Its document went with another file that was changed: read it after all.
                    self._lost[read.row.path] = read.found
                else:
                    self._catalog.link(read.row, document)
        done = {id(read) for read in ready}
        self._waiting = [read for read in self._waiting if id(read) not in done]
        self._batches.keep_only({i.content for r in self._waiting for i in r.items})
        self._on_commit(sum(len(read.items) for read in ready))

    def _document_of(self, read: _Read) -> int | None:
        if read.row.error is not None:
            return None
        content = content_of(read.row.path, read.row.sha256)
        known = self._catalog.document_id(content)  # an equal file may have come first
        if known is not None or read.document is None:
            return known
        vectors = np.array([self._batches.vector(i.content) for i in read.items], np.float32)
        return self._catalog.add_document(read.document, self._named(read.items, vectors), vectors)

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

    def _finish(self, work: Plan) -> None:
        """Files that vanished go last: one that was moved has found its document by then."""
        if work.to_remove or work.respelled:
            with self._catalog.commit():
                self._catalog.remove(work.to_remove)
                for found in work.respelled:
                    self._catalog.respell(found.path, found.shown)

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

    def __init__(self, report: IndexReport, known: dict[str, FileRow], gone: Counter[str]) -> None:
        self._report = report
        self._known = known
        self._gone = gone

    def count(self, row: FileRow, items: list[ItemRow], document: DocumentRow | None) -> None:
        before = self._known.get(row.path)
        if row.error is not None:
            self._report.bad[row.shown] = row.error
        elif before is not None and before.sha256 == row.sha256 and before.error is None:
            self._report.unchanged += 1
        elif before is not None and before.error is None:
            self._report.changed += 1
        elif document is None and self._gone[row.sha256] > 0:
            self._gone[row.sha256] -= 1
            self._report.moved += 1
            self._report.removed -= 1
        else:
            self._report.added += 1
        if document is not None:
            self._report.bad |= {f"{row.shown}, {p}": w for p, w in document.problems.items()}
        self._report.passages += sum(i.modality == "text" for i in items)
        self._report.images += sum(i.modality == "image" for i in items)


def _require_unchanged(found: Found) -> None:
    try:
        now = os.stat(found.path)
    except OSError as error:
        raise _Passing(error.strerror or str(error)) from error
    then = found.stat
    if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
        raise _Passing("it changed while it was read; index it again")


def _row_of(found: Found) -> FileRow:
    about = found.stat
    label = short(title_from_name(found.path))
    times = (about.st_size, about.st_mtime_ns, about.st_ino)
    return FileRow(found.path, found.shown, *times, sha256="", label=label)
