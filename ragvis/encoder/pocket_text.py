"""Pocket's text tower, all-MiniLM-L6-v2, in NumPy: what a question in words needs, without PyTorch.

Most of a search's cold start is PyTorch and what comes with it, and a question has a dozen tokens.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ragvis.encoder import Vectors

_LONG_RUN = re.compile(r"\S{64}(?=\S)")
_TOWER = "text.transformer."
_WORDS = "embeddings.word_embeddings.weight"


class PocketText:
    """BERT (Devlin et al., 2019) and the mean over its tokens, as open_clip runs it, of the same
    file; equal to it but for rounding.

    Args:
        folder: pocket's encoder, an open_clip folder.

    Attributes:
        dim: width of the space.
        max_tokens: that fit beside the two special ones.

    Raises:
        OSError, KeyError, ValueError, SafetensorError: the folder holds something else.
    """

    def __init__(self, folder: Path) -> None:
        shape: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        clip = json.loads((folder / "open_clip_config.json").read_text("utf-8"))["model_cfg"]
        self.dim = int(clip["embed_dim"])
        self.max_tokens = int(clip["text_cfg"]["context_length"]) - 2
        self._heads, self._layers = shape["num_attention_heads"], shape["num_hidden_layers"]
        self._epsilon, self._padding = shape["layer_norm_eps"], shape["pad_token_id"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        file: Any = safe_open(folder / "open_clip_model.safetensors", "np")
        names = [n for n in file.keys() if n.startswith(_TOWER) and not n.endswith(_WORDS)]  # noqa: SIM118
        self._parts = {name.removeprefix(_TOWER): file.get_tensor(name) for name in names}
        self._words = file.get_slice(_TOWER + _WORDS)  # half of the file: rows are read as asked

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones."""
        own = (self._tokenizer.encode(breakable(t), add_special_tokens=False) for t in texts)
        return [len(tokens.ids) for tokens in own]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, unit rows; what is over ``max_tokens`` is not seen."""
        out = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            ids = self._tokenizer.encode(_cleaned(breakable(text))).ids
            mean = self._mean([*ids[:-1][: self.max_tokens + 1], ids[-1]])
            out[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return out

    def _mean(self, ids: list[int]) -> Vectors:
        """ids: n tokens -> (dim,)."""
        parts = self._parts
        rows = np.concatenate([self._words[i : i + 1] for i in ids])  # (n, dim)
        rows = rows + parts["embeddings.position_embeddings.weight"][: len(ids)]
        rows += parts["embeddings.token_type_embeddings.weight"][0]
        rows = self._normal("embeddings", rows)
        is_text = np.array(ids) != self._padding  # "[PAD]" may stand in a text
        for layer in range(self._layers):
            rows = self._layer(f"encoder.layer.{layer}", rows, is_text)
        mean: Vectors = rows[is_text].mean(axis=0)
        return mean

    def _layer(self, name: str, rows: Vectors, is_text: NDArray[np.bool_]) -> Vectors:
        """rows: (n, dim) -> (n, dim)."""
        seen = self._linear(f"{name}.attention.output.dense", self._attended(name, rows, is_text))
        rows = self._normal(f"{name}.attention.output", rows + seen)
        inner = _gelu(self._linear(f"{name}.intermediate.dense", rows))
        return self._normal(f"{name}.output", rows + self._linear(f"{name}.output.dense", inner))

    def _attended(self, name: str, rows: Vectors, is_text: NDArray[np.bool_]) -> Vectors:
        shape = (len(rows), self._heads, -1)
        query, key, value = (
            self._linear(f"{name}.attention.self.{one}", rows).reshape(shape).swapaxes(0, 1)
            for one in ("query", "key", "value")
        )  # (heads, n, width)
        scores = query @ key.swapaxes(1, 2) / np.float32(query.shape[2] ** 0.5)
        scores = np.where(is_text, scores, np.float32(-np.inf))
        odds = np.exp(scores - scores.max(axis=2, keepdims=True))
        odds /= odds.sum(axis=2, keepdims=True)
        out: Vectors = (odds @ value).swapaxes(0, 1).reshape(rows.shape)
        return out

    def _linear(self, name: str, rows: Vectors) -> Vectors:
        out: Vectors = rows @ self._parts[f"{name}.weight"].T + self._parts[f"{name}.bias"]
        return out

    def _normal(self, name: str, rows: Vectors) -> Vectors:
        """Layer normalisation."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(self._epsilon))
        scale, shift = (self._parts[f"{name}.LayerNorm.{one}"] for one in ("weight", "bias"))
        out: Vectors = centred / spread * scale + shift
        return out


def breakable(text: str) -> str:
    """WordPiece takes a run of over 100 characters for one unknown word: give it shorter ones."""
    return _LONG_RUN.sub(r"\g<0> ", text)


def _cleaned(text: str) -> str:
    """As open_clip cleans a text for a Hugging Face tokenizer."""
    if not text.isascii() or "&" in text or not text.isprintable():
        import ftfy  # a quarter of the time that a search takes

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())


def _gelu(x: Vectors) -> Vectors:
    """With the error function of Abramowitz and Stegun, 7.1.26 (to 1.5e-7), which NumPy lacks."""
    size = np.abs(x) / np.float32(2**0.5)
    t = np.reciprocal(1 + np.float32(0.3275911) * size)
    powers = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series = np.zeros_like(x)
    for factor in reversed(powers):
        series = (series + np.float32(factor)) * t
    erf = np.copysign(1 - series * np.exp(-size * size), x)
    out: Vectors = x * (1 + erf) / 2
    return out
