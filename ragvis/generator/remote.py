"""A model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, or a hosted one.

The prompt is the same as for any other model. What goes to the server are its messages, each
``<image>`` replaced by the picture that it stands for; the server has a template of its own.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ragvis import config, conversation
from ragvis._lazy import require
from ragvis.composer import PromptSpec
from ragvis.errors import ModelError, ModelUnavailable, UsageError
from ragvis.generator.choice import SERVER
from ragvis.generator.sampling import Sampling, Usage, Written
from ragvis.media.images import fitted_size, save_jpeg
from ragvis.types import ModelInfo, Tell

if TYPE_CHECKING:
    from ragvis.media.images import Picture

_TEMPLATE = "served"
_OPENAI = "api.openai.com"
_KEY = "RAGVIS_API_KEY"
_LONGEST = 1024  # pixels of a picture's long side; servers scale larger ones down themselves
_PIXELS_PER_TOKEN = 750  # about what the usual vision towers make of a picture
_BYTES_PER_TOKEN = 3  # rather too many tokens than too few: English has about four bytes in one
_CONTEXT = 4096  # tokens, where the server does not say; the least that is common
_PICTURES = 2
_AT_ONCE = 4  # questions of a batch; hosted servers refuse many
_RETRIES = 4  # with backoff, or after as long as the server says
_CONNECT, _READ = 10.0, 600.0  # seconds; a model may have to be loaded before the first word
# What opens or closes a turn, or stands for a picture, in the templates that servers put around it.
_MARKERS = (
    *(m for t in conversation.TEMPLATES.values() for m in t.markers if m.startswith(("<", "["))),
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|endoftext|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|image|>",
    "<start_of_image>",
    "<__media__>",
    "[IMG]",
)


@dataclass(frozen=True, slots=True)
class Address:
    """``openai:http://host/v1#model``, taken apart."""

    url: str
    host: str
    model: str  # "" takes the only one that is served

    @classmethod
    def of(cls, name: str) -> Address:
        """Raises:
        UsageError: no such address, or one that holds a key.
        """
        hint = "For example: -m openai:http://localhost:11434/v1#llava"
        url, _, model = name.removeprefix(SERVER).partition("#")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no address: {error}", hint) from error
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(f"{url!r} is no http(s) address", hint)
        if parts.username or parts.query:
            raise UsageError("keys do not belong in an address", f"Set {_KEY} instead.")
        return cls(url, host, model)

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class RemoteGenerator:
    """Prompts and pictures go to a server, text comes back, piece by piece."""

    def __init__(self, address: Address, context_limit: int) -> None:
        self.info = ModelInfo(
            f"{SERVER}{address.url}#{address.model}", "unknown", "unknown", address.host, "openai"
        )
        self.usage = Usage()
        self.batch = _AT_ONCE
        self._address = address
        self._context_limit = context_limit

    @classmethod
    def load(cls, name: str, tell: Tell) -> RemoteGenerator:
        """Find the server and its model.

        Args:
            name: ``openai:`` and the server's address, its model after ``#``.
            tell: takes a notice that something leaves this machine, where it does.

        Raises:
            UsageError: not an address; no such model, or several and none named.
            ModelUnavailable: offline, or the server cannot be reached or refuses the key.
            MissingExtra: the package ``openai`` is not installed.
        """
        address = Address.of(name)
        if config.offline() and not address.is_local:
            raise ModelUnavailable(f"offline: {address.host} was not asked", "Use a local model.")
        with _failing(address), _client(address) as client:
            served = {m.id: m for m in client.models.list()}
        address = replace(address, model=address.model or _only(served, address))
        if served and address.model not in served:
            raise UsageError(f"{address.host} serves no {address.model}", _listed(served))
        if not address.is_local:
            tell(f"questions, passages and pictures go to {address.host}")
        return cls(address, _context_limit(served.get(address.model)))

    @property
    def spec(self) -> PromptSpec:
        """What the composer has to know of it. Its counts are estimates."""
        return PromptSpec(
            _TEMPLATE,
            self._context_limit,
            _PICTURES,
            lambda text: -(-len(text.encode()) // _BYTES_PER_TOKEN),
            lambda sizes: sum(map(_tokens, sizes)),
            _MARKERS,
            exact=False,
        )

    def stream(self, prompt: str, pictures: Sequence[Picture], sampling: Sampling) -> Iterator[str]:
        """The answer's text as it comes; ``usage`` is set when it ends, as the server counts.

        Raises:
            UsageError: the server knows nothing of such sampling.
            ModelUnavailable: it cannot be reached, or refuses the key.
            ModelError: it refuses the prompt, fails, or writes nothing.
        """
        self.usage = Usage()
        asked = _arguments(self._address, sampling)
        messages = _with_pictures(conversation.parse(_TEMPLATE, prompt), pictures)
        written = False
        with _failing(self._address), _client(self._address) as client:
            coming = client.chat.completions.create(
                model=self._address.model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                **asked,
            )
            with closing(coming):  # a reader that leaves stops the server
                for chunk in coming:
                    self._note(chunk)
                    for piece in _pieces(chunk):
                        written = True
                        yield piece
        if not written:
            raise ModelError(f"{self._address.model} wrote nothing", "Try another model.")

    def write_many(
        self, asked: Sequence[tuple[str, Sequence[Picture]]], sampling: Sampling
    ) -> list[Written]:
        """Answers to several prompts, asked at once: it is the server that puts them together."""

        def write(one: tuple[str, Sequence[Picture]]) -> Written:
            own = RemoteGenerator(self._address, self._context_limit)
            text = "".join(own.stream(*one, sampling))
            self.info = own.info
            return Written(text, own.usage)

        with ThreadPoolExecutor(len(asked) or 1) as pool:
            return list(pool.map(write, asked))

    def _note(self, chunk: Any) -> None:
        """Which model really answers, and what it counts."""
        said = (getattr(chunk, name, None) for name in ("model", "system_fingerprint"))
        if revision := " ".join(filter(None, said)):
            self.info = replace(self.info, revision=revision)
        if chunk.usage is not None:
            self.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


def _client(address: Address) -> Any:
    openai = require("openai")
    # A proxy is no way to this machine, and the package's own variables are meant for OpenAI
    http = openai.DefaultHttpxClient(follow_redirects=False, trust_env=not address.is_local)
    own = {} if address.host == _OPENAI else {"organization": "", "project": ""}
    return openai.OpenAI(
        base_url=address.url,
        api_key=_key(address),
        max_retries=_RETRIES,
        timeout=openai.Timeout(_READ, connect=_CONNECT),
        http_client=http,
        **own,
    )


def _key(address: Address) -> str:
    """Only from the environment, and OpenAI's own to nobody else."""
    theirs = os.environ.get("OPENAI_API_KEY") if address.host == _OPENAI else None
    return os.environ.get(_KEY) or theirs or "none"


def _only(served: dict[str, Any], address: Address) -> str:
    if len(served) != 1:
        raise UsageError(f"which model of {address.host}?", _listed(served))
    return next(iter(served))


def _listed(served: dict[str, Any]) -> str:
    names = ", ".join(sorted(served)[:20]) or "none that it tells of"
    return f"Name it after a #. It serves: {names}."


def _context_limit(model: Any) -> int:
    """vLLM says ``max_model_len``; llama.cpp ``meta.n_ctx``."""
    meta = getattr(model, "meta", None) or {}
    said = getattr(model, "max_model_len", None) or (
        meta.get("n_ctx") if isinstance(meta, dict) else None
    )
    return said if isinstance(said, int) and said > 0 else _CONTEXT


def _tokens(size: tuple[int, int]) -> int:
    width, height = fitted_size(size, _LONGEST)
    return width * height // _PIXELS_PER_TOKEN + 2


def _arguments(address: Address, sampling: Sampling) -> dict[str, Any]:
    if sampling.num_beams > 1:
        raise UsageError("num_beams is for models on this machine", "Leave it out.")
    # OpenAI's newer models refuse the name that all other servers know
    most = "max_completion_tokens" if address.host == _OPENAI else "max_tokens"
    asked = {most: sampling.max_new_tokens, "temperature": sampling.temperature}
    if sampling.temperature > 0:
        asked["top_p"] = sampling.top_p
    beyond = {"top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty}
    default = Sampling()
    wanted = {name: value for name, value in beyond.items() if value != getattr(default, name)}
    seed = {} if sampling.seed is None else {"seed": sampling.seed}
    return {**asked, **seed, "extra_body": wanted}


def _with_pictures(
    messages: Sequence[dict[str, str]], pictures: Sequence[Picture]
) -> list[dict[str, Any]]:
    """Messages whose ``<image>`` tokens have become the pictures, in order."""
    left = iter(pictures)
    return [{**message, "content": _parts(message["content"], left)} for message in messages]


def _parts(content: str, pictures: Iterator[Picture]) -> str | list[dict[str, Any]]:
    first, *rest = content.split(conversation.IMAGE_TOKEN)
    if not rest:
        return first
    parts: list[dict[str, Any]] = [{"type": "text", "text": first}] if first else []
    for text in rest:
        data = base64.b64encode(save_jpeg(next(pictures), _LONGEST)).decode()
        url = {"url": f"data:image/jpeg;base64,{data}"}
        parts += [{"type": "image_url", "image_url": url}, {"type": "text", "text": text}]
    return parts


def _pieces(chunk: Any) -> Iterator[str]:
    for choice in chunk.choices[:1]:
        if choice.delta is not None and choice.delta.content:
            yield choice.delta.content


@contextmanager
def _failing(address: Address) -> Iterator[None]:
    """Raises:
    ModelUnavailable, ModelError: for whatever the server or the way to it does.
    """
    openai = require("openai")
    try:
        yield
    except openai.APIStatusError as error:
        raise _refused(address, error) from error
    except openai.APIConnectionError as error:
        reason = str(error.__cause__ or error)
        hint = "Check the address, and that the server runs."
        raise ModelUnavailable(f"{address.url} cannot be reached: {reason}", hint) from error
    # A stream that breaks off raises what the HTTP and JSON libraries beneath make of it
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"{address.host} broke off: {reason}", "Ask again.") from error


def _refused(address: Address, error: Any) -> ModelError:
    reason = " ".join(str(error.message).split())[:300]
    said = f"{address.host} answered {error.status_code}: {reason}"
    if error.status_code in (401, 403):
        name = f"{_KEY} or OPENAI_API_KEY" if address.host == _OPENAI else _KEY
        return ModelUnavailable(said, f"Put its key into the variable {name}.")
    if error.status_code == 400:
        return ModelError(said, "Does the model take pictures? Try fewer sources (-k 2).")
    if error.status_code == 404:
        return ModelUnavailable(said, "Check the address; most end in /v1.")
    return ModelError(said, "Try again later, or look at the server's own log.")
