"""Shared parts of the tests: real ones where they are fast enough, small real classes where not."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from PIL import Image

from ragvis import config
from ragvis.cli import main
from ragvis.media.fit import Fit
from ragvis.media.images import fitted

# How fast a machine is, is not what these tests are about.
settings.register_profile("ragvis", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ragvis")

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "indexes" / "demo-collection"
CACHE = config.cache_dir()  # before the home folder is redirected: pocket is built once


@contextmanager
def own_home(home: Path) -> Iterator[None]:
    """Nothing reads or writes the real home, settings or current folder; what is wider than a test
    has to ask for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in [*os.environ]:
            if name.startswith(("RAGVIS_", "XDG_", "HF_", "TRANSFORMERS_")):
                patch.delenv(name)
        patch.setenv("RAGVIS_CACHE", str(CACHE))
        patch.chdir(home)
        yield


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with own_home(tmp_path_factory.mktemp("home")):
        yield


class WordEncoder:
    """A real, tiny encoder: hashed words for texts, mean colours for pictures, in one space."""

    name = "words"
    dim = 64
    max_tokens = 40
    fit = Fit(4, 4, "squash")
    batch = 4
    lanes = 1
    names = None
    tower = None

    def __init__(self, fingerprint: str = "f" * 64) -> None:
        self.fingerprint = fingerprint
        self.texts_encoded = 0
        self.pictures_encoded = 0

    def enter_lane(self) -> None: ...

    def leave_lanes(self) -> None: ...

    def encode_texts(self, texts: Sequence[str]) -> Any:
        self.texts_encoded += len(texts)
        rows = np.full((len(texts), self.dim), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[int(hashlib.md5(word.encode()).hexdigest(), 16) % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_queries(self, texts: Sequence[str]) -> Any:
        return self.encode_texts(texts)

    def encode_pictures(self, pictures: Sequence[Any]) -> Any:
        data = b"".join(fitted(picture, self.fit) for picture in pictures)
        return self.encode_pixels(np.frombuffer(data, np.uint8).reshape(-1, 4, 4, 3))

    def encode_pixels(self, pixels: Any) -> Any:
        self.pictures_encoded += len(pixels)
        rows = np.full((len(pixels), self.dim), 1e-3, np.float32)
        rows[:, :48] += pixels.reshape(-1, 48).astype(np.float32) / 255
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w|[^\w\s]", text)) // 3 + 1 if text else 0 for text in texts]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
def make_index(
    tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """``ragvis.Index`` over the word encoder."""
    from ragvis import encoder as encoders
    from ragvis.index import Index

    monkeypatch.setattr(encoders, "load", lambda name, tell: encoder)
    return lambda name="index": Index.create(tmp_path / name, "words")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two notes and two pictures, some of them in a folder below."""
    root = tmp_path / "mine"
    (root / "sub").mkdir(parents=True)
    (root / "pump.md").write_text("# Pump\n\nThe pump runs at twelve volts.\n")
    (root / "sub" / "lamp.txt").write_text("The lamp needs four candles.")
    Image.new("RGB", (60, 60), "red").save(root / "red.png")
    Image.new("RGB", (60, 60), "blue").save(root / "sub" / "blue.png")
    return root


@pytest.fixture(scope="session")
def pocket_folder() -> Any:
    """Pocket's two checkpoints; fetched and put together on the first run."""
    from ragvis.models import pocket

    return pocket.ensure(lambda line: print(line, file=sys.stderr))


@pytest.fixture(scope="session")
def pocket_encoder(pocket_folder: Any) -> Any:
    from ragvis import encoder

    return encoder.load("pocket", lambda line: None)


@pytest.fixture(scope="session")
def pocket_clip(pocket_folder: Any) -> Any:
    """Pocket's encoder whole, as open_clip runs it."""
    from ragvis.encoder.clip import ClipEncoder

    return ClipEncoder.load("pocket", lambda line: None)


@pytest.fixture(scope="session")
def pocket_generator(pocket_folder: Any) -> Any:
    from ragvis import generator

    return generator.load("pocket", lambda line: None)


@pytest.fixture(scope="session")
def demo_index(pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo collection, indexed by the real command in a process of its own."""
    folder = tmp_path_factory.mktemp("demo") / "index"
    command = [sys.executable, "-m", "ragvis", "index", str(DEMO), "-i", str(folder), "--json"]
    env = {**os.environ, "RAGVIS_CACHE": str(CACHE), "RAGVIS_STATE": str(folder.parent / "state")}
    done = subprocess.run(
        [*command, "--encoder", "pocket"], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bad"] == []
    return folder


@pytest.fixture
def assistant(demo_index: Path, pocket_generator: Any) -> Iterator[Any]:
    """Pocket over the demo collection."""
    import ragvis

    with ragvis.Index.open(demo_index) as index:
        yield ragvis.Assistant(ragvis.Retriever(index), pocket_generator)


def writes(monkeypatch: pytest.MonkeyPatch, generator: Any, text: str) -> None:
    """Have a model write this, whatever it is asked."""
    monkeypatch.setattr(type(generator), "stream", lambda *_: iter(text.split(" ")))


def run_command_line(*arguments: str | Path, stdin: str | None = None) -> Result:
    """The real command line in this process, errors and exit codes included."""

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("args", nargs=-1, type=click.UNPROCESSED)
    def whole(args: tuple[str, ...]) -> None:
        main(args)

    return CliRunner().invoke(whole, ["--", *map(str, arguments)], input=stdin)


class _NothingDeprecated(logging.Handler):
    """Warnings are errors, those too that transformers only logs, once a process."""

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecated" in record.getMessage():
            raise AssertionError(record.getMessage())


@pytest.fixture(autouse=True, scope="session")
def _nothing_deprecated() -> None:
    logging.getLogger("transformers").addHandler(_NothingDeprecated())


@pytest.fixture(autouse=True, scope="session")
def _one_thread_of_tokenizers() -> Iterator[None]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    yield


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Checkpoints of a family's true shape, with random weights; each is written once a module."""
    import checkpoints

    made: dict[str, str] = {}

    def get(family: str) -> str:
        if family not in made:
            made[family] = str(checkpoints.FAMILIES[family](tmp_path_factory.mktemp(family)))
        return made[family]

    return get


@pytest.fixture(scope="module")
def load(folder_of: Callable[[str], str]) -> Callable[..., Any]:
    """The same, loaded."""
    from ragvis import generator

    loaded: dict[tuple[str, str, str | None], Any] = {}

    def get(family: str, quantize: str = "none", engine: str | None = None) -> Any:
        key = (family, quantize, engine)
        if key not in loaded:
            loaded[key] = generator.load(folder_of(family), print, quantize=quantize, engine=engine)
        return loaded[key]

    return get


class HalfGpu:
    """What FAISS' GPU build adds, on the CPU: vectors and queries in half precision, no
    selectors, one thread at a time, and so much room."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room  # vectors
        self.copies = 0
        self.searches = 0

    def index_cpu_to_gpu(self, _resources: Any, device: int, index: Any, options: Any) -> Any:
        assert device == 0 and options.useFloat16 and not index.ntotal
        self.copies += 1
        return _HalfIndex(self, index.d)


class _HalfIndex:
    def __init__(self, gpu: HalfGpu, dim: int) -> None:
        import faiss

        kind = faiss.ScalarQuantizer.QT_fp16
        self._index = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
        self._gpu = gpu
        self._in_use = threading.Lock()

    def add(self, rows: Any) -> None:
        if self._index.ntotal + len(rows) > self._gpu.room:
            raise RuntimeError("Error in GpuResources::allocMemory:\n  out of memory")
        self._index.add(rows)

    def search(self, queries: Any, k: int) -> Any:
        assert k <= 2048
        assert self._in_use.acquire(blocking=False), "two threads at once"
        try:
            self._gpu.searches += 1
            return self._index.search(queries.astype(np.float16).astype(np.float32), k)
        finally:
            self._in_use.release()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> HalfGpu:
    """FAISS as where it has a GPU."""
    import faiss

    gpu = HalfGpu()
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    resources = SimpleNamespace(setTempMemory=lambda size: None)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: resources, raising=False)
    monkeypatch.setattr(faiss, "GpuClonerOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", gpu.index_cpu_to_gpu, raising=False)
    return gpu
