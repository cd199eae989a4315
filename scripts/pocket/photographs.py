"""What EfficientNet-Lite0 sees, in the space of the texts: a linear map, and ImageNet's classes.

Small models trained on drawings do not know photographs; this network, trained on a million of
them by others, does. It stays as it is. See ``ragvis/encoder/pocket_tower.py`` for how its two
ways into the space are put beside the tower's own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo

from ragvis import encoder
from ragvis._files import replace, sha256_of_file
from ragvis.encoder.names import KEY
from ragvis.encoder.pocket_tower import SIDE, features_of, fuse_batch_norms
from ragvis.models import pocket
from scripts.pocket.loop import Plan, train
from scripts.pocket.tower import Captioned, Trained, found_by, likeness, ranks_of, rows_of

HEAD = "model.safetensors"
_TOP = (1, 5)
_SAME = 0.6  # cosine of two texts that name the same kind of thing
_OFTEN = 3  # pictures that a name has at least
_NAME = re.compile(r"[a-z][a-z'.-]*( [a-z'.-]+){0,2}", re.IGNORECASE)
_AT_ONCE = 16  # pictures
_BATCH = 512
_SCALE = 20.0  # of cosines
_DROPPED = 0.2  # of the features, in training


def train_photographs(listed: Path, out: Path, text_encoder: str, plan: Plan) -> Trained:
    """Learn the map from the "train" pictures of a list; write it with the classes' texts.

    What is measured is EfficientNet's part alone, on the "test" pictures.
    """
    texts = encoder.load(text_encoder, print)
    network = _network()
    known, held = Captioned.read(listed, "train"), Captioned.read(listed, "test")
    features = _features(network, known, out / f"features-{sha256_of_file(listed)[:12]}.npy")
    names = sorted(set(known.captions))
    vectors = torch.from_numpy(texts.encode_texts(names))  # (m, dim), unit rows
    torch.manual_seed(0)
    head = torch.nn.Linear(features.shape[1], vectors.shape[1])
    own = rows_of(known.captions, names)

    def loss_of(step: int) -> torch.Tensor:
        chance = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(features), (_BATCH,), generator=chance)
        seen = F.normalize(head(F.dropout(features[chosen], _DROPPED)), dim=-1)
        wanted = likeness(vectors, own[chosen])
        return F.cross_entropy(seen @ vectors.T * _SCALE, wanted)

    of = f"{listed} {len(known.files)} {text_encoder}"
    losses = train(list(head.parameters()), loss_of, plan, out, of=of)
    classes, called = class_texts(texts), vocabulary(known)
    state = {"head.weight": head.weight, "head.bias": head.bias, "classes": classes}
    state[KEY] = torch.from_numpy(texts.encode_texts(called))
    halves = {k: v.detach().half().contiguous() for k, v in state.items()}
    save_file(halves, out / HEAD, {KEY: json.dumps(called)})
    return Trained(losses, _recall(network, head, classes, held, texts))


def class_texts(texts: Any) -> torch.Tensor:
    """(1000, dim) unit rows: ImageNet's classes by their names and WordNet's glosses of them."""
    info = ImageNetInfo("imagenet-1k")
    rows = []
    for i in range(info.num_classes()):
        named = info.index_to_description(i).split(", ")
        _, _, gloss = info.index_to_description(i, detailed=True).partition(": ")
        said = torch.from_numpy(texts.encode_texts([*named, gloss or named[0]]))
        rows.append(F.normalize(said[:-1].mean(0), dim=0) + said[-1])
    return F.normalize(torch.stack(rows), dim=-1)


def vocabulary(known: Captioned) -> list[str]:
    """What pictures may be called: ImageNet's classes, and short captions of several pictures."""
    info = ImageNetInfo("imagenet-1k")
    classes = [info.index_to_description(i).split(", ")[0] for i in range(info.num_classes())]
    times = Counter(known.captions)
    often = [c for c in times if times[c] >= _OFTEN and _NAME.fullmatch(c)]
    return list({name.casefold(): name for name in [*sorted(often), *classes]}.values())


def _network() -> Any:
    """EfficientNet-Lite0, as it lies in the installed pocket."""
    state = load_file(pocket.ensure(print).encoder / pocket.PHOTOGRAPHS)
    network = timm.create_model(pocket.NETWORK)
    own = {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
    network.load_state_dict(own)
    fuse_batch_norms(network.eval())
    return network


@torch.inference_mode()
def _seen(network: Any, shown: Captioned) -> torch.Tensor:
    """(n, 1280) float32."""
    rows = []
    for start in range(0, len(shown.files), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        pixels = Captioned(shown.files[some], shown.captions[some]).pixels(SIDE)
        rows.append(features_of(network, pixels.float() / 127.5 - 1))
    return torch.cat(rows)


def _features(network: Any, shown: Captioned, file: Path) -> torch.Tensor:
    """The same, kept in a file: it takes minutes, and a run that was stopped goes on."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, _seen(network, shown).numpy())
        replace(part, file)
    return torch.from_numpy(np.load(file))


@torch.inference_mode()
def _recall(
    network: Any, head: Any, classes: torch.Tensor, held: Captioned, texts: Any
) -> dict[str, float]:
    features = _seen(network, held)
    known = network.classifier(features).softmax(-1) @ classes
    return found_by(F.normalize(head(features), dim=-1) + known, held, texts)


@torch.inference_mode()
def measure(listed: Path, name: str = "pocket") -> dict[str, Any]:
    """How well an encoder finds the "test" pictures of a list by their captions, and names them.

    ``i2t`` and ``t2i`` are recall@1 and @5 in per cent, of captions by pictures and the other way;
    ``named`` is the share of pictures that it dares to name, ``right`` the share of these whose
    name and caption are near one another as texts.
    """
    eyes = encoder.load(name, print)
    held = Captioned.read(listed, "test")
    captions = sorted(set(held.captions))
    texts = eyes.encode_texts(captions)
    pixels = held.pixels(eyes.fit.width).permute(0, 2, 3, 1).numpy()
    seen = eyes.encode_pixels(pixels)  # (n, dim), unit rows
    rows = rows_of(held.captions, captions)
    own, cosines = rows.numpy(), seen @ texts.T
    ranks, best = ranks_of(torch.from_numpy(cosines), rows), np.argsort(-cosines, axis=0)
    found: dict[str, Any] = {"pictures": len(seen), "captions": len(captions)}
    found["i2t"] = [_share((ranks < k).tolist()) for k in _TOP]
    found["t2i"] = [_share(j in own[column[:k]] for j, column in enumerate(best.T)) for k in _TOP]
    if eyes.names:
        named = {i: called for i, called in enumerate(eyes.names.of(seen)) if called}
        found["named"] = round(100 * len(named) / len(seen), 1)
        near = (eyes.encode_texts(list(named.values())) * texts[own[list(named)]]).sum(1)
        found["right"] = _share(near >= _SAME) if named else 0.0
    return found


def _share(right: Iterable[bool]) -> float:
    return round(100 * float(np.mean(list(right))), 1)
