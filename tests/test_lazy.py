"""Imports go on without Python's search for garbage, which is on again afterwards."""

from __future__ import annotations

import gc

import pytest

from ragvis._lazy import uncollected


def test_the_search_for_garbage_is_as_it_was() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()  # who turned it off wants it off
    finally:
        gc.enable()
