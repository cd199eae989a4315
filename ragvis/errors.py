"""Every error ragvis raises on purpose, with the exit code the command line ends with.

    RagvisError (1)
    ├── UsageError (2)              a wrong argument, an unreadable query picture, a bad setting
    │   ├── PromptTooLong (2)       the question alone does not fit the model's context
    │   ├── FetchRefused (2)        a URL that may not be opened, or did not bring a picture
    │   └── FilesGone (2)           most of what the index knows under a path is gone: may it go?
    ├── IndexMissing (4)            no index there
    ├── IndexMismatch (4)           made by another encoder, or by a newer format
    ├── ModelError (5)              model, GPU, download or missing package
    │   ├── ModelUnavailable (5)    its weights are not here and cannot be had
    │   └── MissingExtra (5)        a package of an extra is not installed
    ├── StorageError (1)            the disk is full, read-only or failing; the index is as it was
    ├── IndexDamaged (6)
    ├── IndexLocked (7)             another writer holds it
    └── BadFile (1)                 one indexed file cannot be read; indexing goes on without it

Every message is one line; ``hint`` says what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RagvisError(Exception):
    """Base of every error that ragvis raises on purpose.

    Attributes:
        hint: what the user can do next, or "" where nothing can be done.
        exit_code: what the command line exits with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(RagvisError):
    """A wrong argument or setting."""

    exit_code = 2


class PromptTooLong(UsageError):
    """The question does not fit the model's context even with no source beside it."""


class FetchRefused(UsageError):
    """A URL that may not be opened, or that did not bring a picture."""


class FilesGone(UsageError):
    """Most of the files that the index knows under the given paths are not there any more, as when
    a drive is not mounted. They were kept; everything else was done.

    Attributes:
        report: what was done: an ``IndexReport``.
    """

    def __init__(self, message: str, hint: str = "", report: Any = None) -> None:
        super().__init__(message, hint)
        self.report = report


class IndexMissing(RagvisError):
    """There is no index in that folder."""

    exit_code = 4


class IndexMismatch(RagvisError):
    """The index was made by another encoder, or in a newer format."""

    exit_code = 4


class ModelError(RagvisError):
    """A model, GPU or download is in trouble."""

    exit_code = 5


class ModelUnavailable(ModelError):
    """The weights are not on this machine and cannot be had."""


class MissingExtra(ModelError):
    """A package that belongs to an extra is not installed."""


class StorageError(RagvisError):
    """The disk refuses: full, read-only, or failing. The index is as it was."""


class IndexDamaged(RagvisError):
    """The index cannot be read, and could not be rebuilt."""

    exit_code = 6


class IndexLocked(RagvisError):
    """Another process is writing to the index."""

    exit_code = 7


class BadFile(RagvisError):
    """One file cannot be read; the index goes on without it."""
