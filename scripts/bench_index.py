"""How fast files go into an index, beside a plain loop and beside the tower alone.

    python scripts/bench_index.py [--encoder NAME] [--scale 1.0] [--repeat 3]
    python scripts/bench_index.py --random ViT-L-14-336      # where the weights are not at hand

Each line is the median of three processes of its own, taken in turns with the others, timed after
imports and after its model is loaded. Pictures are the demo collection's photographs, enlarged to
size with a little grain and saved as JPEG (quality 88): real content, though enlarged. `plain` is
what most scripts do: PIL opens, open_clip preprocesses, batches of 32. `tower` is the encoder
alone, fed from memory, one batch after the other; `in lanes` side by side, as ragvis has them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = sorted((ROOT / "indexes" / "demo-collection" / "images").glob("*.jpg"))
KINDS = {"12 MP JPEG": (4000, 3000, 128), "640x480 JPEG": (640, 480, 1500), "text": (0, 0, 400)}


def make_pictures(folder: Path, width: int, height: int, count: int) -> None:
    """Distinct photographs of that size: enlarged, with grain."""
    with ProcessPoolExecutor() as pool:
        make = partial(make_picture, folder, width, height)
        deque(pool.map(make, range(count), chunksize=8), maxlen=0)


def make_picture(folder: Path, width: int, height: int, i: int) -> None:
    """One of them."""
    random = np.random.default_rng(i)
    with Image.open(PHOTOS[i % len(PHOTOS)]) as photo:
        big = photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    grain = random.normal(0, 4, (height // 2, width // 2, 1)).repeat(2, 0).repeat(2, 1)
    pixels = (np.asarray(big, np.float32) + grain).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{i}.jpg", quality=88)


def make_texts(folder: Path, count: int) -> None:
    """Markdown files of a few paragraphs, no two alike."""
    random = np.random.default_rng(0)
    words = (ROOT / "README.md").read_text("utf-8").split()
    for i in range(count):
        paragraphs = [" ".join(random.choice(words, 70)) for _ in range(5)]
        (folder / f"{i}.md").write_text(f"# Note {i}\n\n" + "\n\n".join(paragraphs) + "\n")


# --- the contenders, each in a process of its own ---------------------------------------------


def ragvis_index(folder: Path, encoder: Any) -> Callable[[], int]:
    """`ragvis index`, from the walk to the last commit."""
    from ragvis import encoder as encoders
    from ragvis.index import Index

    encoders.load = lambda *_: encoder
    shutil.rmtree(folder.with_name(f"{folder.name}-index"), ignore_errors=True)
    index = Index.create(folder.with_name(f"{folder.name}-index"), encoder.name)

    def run() -> int:
        report = index.add([folder])
        return report.passages + report.images

    return run


def plain_loop(folder: Path, encoder: Any) -> Callable[[], int]:
    """Open, preprocess and encode, one batch of 32 after the other."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    model = encoder._model
    about = PreprocessCfg(**model.visual.preprocess_cfg)
    preprocess = image_transform_v2(about, is_train=False)
    files = sorted(folder.iterdir())

    @torch.inference_mode()
    def run() -> int:
        for start in range(0, len(files), 32):
            pictures = [preprocess(Image.open(f).convert("RGB")) for f in files[start : start + 32]]
            batch = torch.stack(pictures).to(encoder.device, encoder._dtype)
            model.encode_image(batch).float().cpu()
        return len(files)

    @torch.inference_mode()
    def run_text() -> int:
        passages = [p for f in files for p in f.read_text("utf-8").split("\n\n")[1:]]
        for start in range(0, len(passages), 32):
            tokens = encoder._tokenizer(passages[start : start + 32]).to(encoder.device)
            model.encode_text(tokens).float().cpu()
        return len(passages)

    return run_text if files[0].suffix == ".md" else run


def fitted_pixels(files: list[Path], fit: Any) -> Any:
    """(n, height, width, 3) uint8, as an encoder takes them."""
    from ragvis.media.images import fitted, open_picture

    data = b"".join(fitted(open_picture(f, fit=fit), fit) for f in files)
    return np.frombuffer(data, np.uint8).reshape(-1, fit.height, fit.width, 3)


def tower_alone(folder: Path, encoder: Any) -> Callable[[], int]:
    """The encoder on what has been decoded, fitted and cut before the clock starts."""
    files = sorted(folder.iterdir())
    if files[0].suffix == ".md":
        from ragvis.index import Index

        with Index.open(folder.with_name(f"{folder.name}-index")) as index:
            ids = [int(i) for piece, _ in index._catalog.vectors("text") for i in piece]
            items = index.items(ids).values()
            texts = [f"{item.title}. {item.body}" for item in items]
        return lambda: len(encoder.encode_texts(texts))
    pixels = fitted_pixels(files[:256], encoder.fit)
    pixels = np.concatenate([pixels] * -(-len(files) // len(pixels)))[: len(files)]
    return lambda: len(encoder.encode_pixels(pixels))


def tower_in_lanes(folder: Path, encoder: Any) -> Callable[[], int]:
    """The same batches side by side, one thread each, as an index run gives them to it."""
    from concurrent.futures import ThreadPoolExecutor

    files = sorted(folder.iterdir())
    if files[0].suffix == ".md":
        return tower_alone(folder, encoder)
    n = encoder.batch
    pixels = fitted_pixels(files[:n], encoder.fit)
    threads = ThreadPoolExecutor(encoder.lanes, "encoder", encoder.enter_lane)
    list(threads.map(encoder.encode_pixels, [pixels] * encoder.lanes))
    batches = [pixels] * (len(files) // n)
    return lambda: sum(map(len, threads.map(encoder.encode_pixels, batches)))


CONTENDERS = {
    "ragvis": ragvis_index,
    "plain": plain_loop,
    "tower": tower_alone,
    "in lanes": tower_in_lanes,
}


def measure(name: str, folder: Path, encoder_name: str) -> dict[str, float]:
    """Run one contender in this process."""
    from ragvis.encoder.clip import ClipEncoder

    encoder = ClipEncoder.load(encoder_name, lambda _: None)
    run = CONTENDERS[name](folder, encoder)
    encoder.encode_texts(["warm"])
    encoder.encode_pixels(np.zeros((1, encoder.fit.height, encoder.fit.width, 3), np.uint8))
    with Peak() as peak:
        started = time.perf_counter()
        items = run()
        seconds = time.perf_counter() - started
    return {"rate": items / seconds, "peak": peak.mib, "grew": peak.mib - peak.start}


class Peak:
    """The most memory that this process and its children hold together, looked at often."""

    def __enter__(self) -> Peak:
        self.start = self.mib = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            self.mib = max(self.mib, self._now())

    def _now(self) -> float:
        own = psutil.Process()
        total = own.memory_info().rss
        for child in own.children():
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                total += child.memory_info().rss
        return float(total / 2**20)


def in_process(name: str, folder: Path, encoder: str) -> dict[str, float]:
    """Run one contender in a new process."""
    command = [sys.executable, __file__, "--one", name, str(folder), "--encoder", encoder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def medians(
    names: Sequence[str], folder: Path, encoder: str, repeat: int
) -> dict[str, dict[str, float]]:
    """The contenders, taken in turns: what else the machine does meets each of them."""
    runs = [{name: in_process(name, folder, encoder) for name in names} for _ in range(repeat)]
    return {
        name: {what: statistics.median(run[name][what] for run in runs) for what in runs[0][name]}
        for name in names
    }


def random_encoder(architecture: str, folder: Path) -> str:
    """A folder with random weights of an open_clip architecture; their speed is the same."""
    import open_clip
    from safetensors.torch import save_file

    model = open_clip.create_model(architecture)
    folder.mkdir()
    config = {"model_cfg": open_clip.get_model_config(architecture)}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return str(folder)


def unchanged(scratch: Path, encoder_name: str, count: int) -> None:
    """A second run over files that have not changed, against the bare calls that it needs."""
    from ragvis import encoder as encoders
    from ragvis.index import Index

    folder = scratch / "many"
    for i in range(count):
        (folder / str(i // 100)).mkdir(parents=True, exist_ok=True)
        (folder / str(i // 100) / f"{i}.txt").write_text(f"note {i}")
    with Index.create(scratch / "many-index", encoder_name) as index:
        index.add([folder])
    encoders.load = lambda *_: sys.exit("an encoder was loaded for nothing")

    def again() -> None:
        with Index.open(scratch / "many-index") as index:
            assert index.add([folder]).unchanged == count

    def bare(place: Path) -> None:
        with os.scandir(place) as entries:
            for entry in entries:
                bare(Path(entry.path)) if entry.is_dir() else entry.stat()

    ours, least = (min(timed(f) for _ in range(7)) for f in (again, lambda: bare(folder)))
    print(
        f"\n{count} unchanged files: ragvis {1e3 * ours:.0f} ms, scandir and stat alone "
        f"{1e3 * least:.0f} ms: {ours / least:.1f}x (best of 7 each)"
    )


def device() -> str:
    """What the encoder runs on."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "the CPU"


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", default="pocket")
    parser.add_argument("--random", metavar="ARCHITECTURE", help="random weights instead")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files to make")
    parser.add_argument("--repeat", type=int, default=3, help="processes for each line")
    parser.add_argument("--only", choices=KINDS, action="append", help="these files alone")
    parser.add_argument("--without", choices=CONTENDERS, action="append", default=[])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one[0], Path(asked.one[1]), asked.encoder)))
        return
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"encoder {f'{asked.random}, random weights' if asked.random else asked.encoder}")
    print(f"on {device()}\n")
    print(f"{'files':14}{'':10}{'items/s':>9}{'/plain':>8}{'/tower':>8}{'peak MiB':>10}{'grew':>7}")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        if asked.random:
            asked.encoder = random_encoder(asked.random, Path(scratch) / asked.random)
        for kind, (width, height, count) in KINDS.items():
            if asked.only and kind not in asked.only:
                continue
            folder = Path(scratch) / kind.split()[0]
            folder.mkdir()
            count = max(8, int(count * asked.scale))
            make_pictures(folder, width, height, count) if width else make_texts(folder, count)
            names = [name for name in CONTENDERS if name not in asked.without]
            found = medians(names, folder, asked.encoder, asked.repeat)
            for name, f in found.items():
                plain, tower = (
                    f"{f['rate'] / found[n]['rate']:.2f}" if n in found else ""
                    for n in ("plain", "tower")
                )
                print(
                    f"{kind:14}{name:10}{f['rate']:9.1f}{plain:>8}{tower:>8}"
                    f"{f['peak']:10.0f}{f['grew']:7.0f}"
                )
        if not asked.only:
            unchanged(Path(scratch), asked.encoder, int(10_000 * asked.scale))


if __name__ == "__main__":
    main()
