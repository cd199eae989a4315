"""A model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, or a hosted one.

The prompt is the same as for any other model. What goes to the server are its messages, each
``<image>`` replaced by the picture that it stands for; the server has a template of its own.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ragvis import config, conversation
from ragvis._lazy import require
from ragvis.composer import PromptSpec
from ragvis.errors import ModelError, ModelUnavailable, RagvisError, UsageError
from ragvis.generator.sampling import Counting, Sampling, Usage, Written
from ragvis.media.images import fitted_size, save_jpeg
from ragvis.types import ModelInfo, Tell

if TYPE_CHECKING:
    from ragvis.encoder import Encoder
    from ragvis.generator.choice import Shelf
    from ragvis.media.images import Picture

_TEMPLATE = "served"
_OPENAI = "api.openai.com"
_TO_OPENAI = f"https://{_OPENAI}/"
_KEY = "RAGVIS_API_KEY"
_LONGEST = 1024  # pixels of a picture's long side; servers scale larger ones down themselves
_PIXELS_PER_TOKEN = 750  # about what the usual vision towers make of a picture
_BYTES_PER_TOKEN = 3  # rather too many tokens than too few: English has about four bytes in one
_CONTEXT = 4096  # tokens, where the server does not say; the least that is common
_PICTURES = 2
_MOST_LETTERS = 64  # of one token; what writes more pays no heed to max_new_tokens
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
    "<|header_start|>",
    "<|header_end|>",
    "<|eot|>",
    "<|start|>",
    "<|message|>",
    "<|channel|>",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
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
        url, _, model = name.removeprefix(config.SERVER).partition("#")
        if "@" in url or "?" in url:  # not to be repeated in a message, a log or a page
            raise UsageError("keys do not belong in an address", f"Set {_KEY} instead.")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no address: {error}", hint) from error
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError(f"{url!r} is no http(s) address", hint)
        return cls(url, host, model)

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return config.is_this_machine(self.host)


class RemoteGenerator(Counting):
    """Prompts and pictures go to a server, text comes back, piece by piece."""

    def __init__(self, address: Address, context_limit: int) -> None:
        super().__init__()
        self.info = ModelInfo(
            f"{config.SERVER}{address.url}#{address.model}",
            "unknown",
            "unknown",
            address.host,
            "openai",
        )
        self.batch = 1
        self._address = address
        self._context_limit = context_limit

    @classmethod
    def load(cls, name: str, tell: Tell) -> RemoteGenerator:
        """Find the server and its model.

        Args:
            name: ``openai:`` and the server's address, its model after ``#``.
            tell: takes a notice that something leaves this machine, where it does.

        Raises:
            UsageError: not an address; several models and none named.
            ModelUnavailable: offline, or the server cannot be reached or refuses the key.
            MissingExtra: the package ``openai`` is not installed.
        """
        address = Address.of(name)
        if config.offline() and not address.is_local:
            raise ModelUnavailable(f"offline: {address.host} was not asked", "Use a local model.")
        if not address.is_local:
            tell(f"questions, passages and pictures go to {address.host}")
        with _failing(address), _client(address) as client:
            served = {str(m.id): m for m in client.models.list()}
        address = replace(address, model=address.model or _only(served, address))
        found = served.get(address.model) or served.get(f"{address.model}:latest")  # as in Ollama
        if served and found is None:  # it may be an alias: the server has the last word
            tell(f"{address.host} does not list {address.model}. {_listed(served)}")
        return cls(address, _context_limit(found))

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
            goes_on=False,
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
        reply = _Reply(self._address, sampling)
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
                    yield from reply.pieces(chunk)
            reply.check_end()
            self.usage = replace(self.usage, finish_reason=reply.finish_reason)

    def use(self, encoder: Encoder, shelf: Shelf) -> None:
        """A server has its own."""

    def write_many(
        self, asked: Sequence[tuple[str, Sequence[Picture]]], sampling: Sampling
    ) -> list[Written]:
        """Answers to several prompts, one after another: so each can be stopped."""
        return [Written("".join(self.stream(*one, sampling)), self.usage) for one in asked]

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
    theirs = os.environ.get("OPENAI_API_KEY") if address.url.startswith(_TO_OPENAI) else None
    key = (os.environ.get(_KEY) or theirs or "none").strip()
    if not (key.isascii() and key.isprintable()):  # or the error would tell it
        raise UsageError("the key holds what no key can hold", f"Look at the variable {_KEY}.")
    return key


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
    wanted = sum(m["content"].count(conversation.IMAGE_TOKEN) for m in messages)
    if wanted != len(pictures):
        raise ModelError(f"{len(pictures)} pictures, and places for {wanted}")
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


class _Reply:
    """What has come of one answer, and whether it is all of one."""

    def __init__(self, address: Address, sampling: Sampling) -> None:
        self._host, self._model = address.host, address.model
        self._most = _MOST_LETTERS * (sampling.max_new_tokens + 1)
        self._length = 0
        self.finish_reason = ""  # the server's own word, once there is one

    def pieces(self, chunk: Any) -> Iterator[str]:
        """The text of one chunk.

        Raises:
            ModelError: it holds no text, or the server does not stop.
        """
        for choice in (chunk.choices or [])[:1]:
            self.finish_reason = str(choice.finish_reason or self.finish_reason)
            piece = choice.delta.content if choice.delta is not None else None
            if not isinstance(piece, str | None):
                raise ModelError(f"{self._host} sent {type(piece).__name__} for text")
            self._length += len(piece or "")
            if self._length > self._most:
                raise ModelError(f"{self._model} does not stop at max_new_tokens")
            if piece:
                yield piece.encode("utf-8", "replace").decode()  # lone surrogates are no text

    def check_end(self) -> None:
        """Raises:
        ModelError: nothing came, or not all of it.
        """
        if not self._length:
            raise ModelError(f"{self._model} wrote nothing", "Try another model or address.")
        if not self.finish_reason:
            raise ModelError(f"{self._host} broke off in the middle of an answer", "Ask again.")


@contextmanager
def _failing(address: Address) -> Iterator[None]:
    """Raises:
    ModelUnavailable, ModelError: for whatever the server or the way to it does.
    """
    openai = require("openai")
    try:
        yield
    except RagvisError:
        raise
    except openai.APIStatusError as error:
        raise _refused(address, error) from error
    except openai.APIConnectionError as error:
        reason = str(error.__cause__ or error)
        hint = "Check the address, and that the server runs."
        raise ModelUnavailable(f"{address.url} cannot be reached: {reason}", hint) from error
    except (AttributeError, TypeError) as error:  # of the package, on what is no such answer
        said = f"{address.url} does not answer as an OpenAI-compatible server does"
        raise ModelError(said, "Check the address; most end in /v1.") from error
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
