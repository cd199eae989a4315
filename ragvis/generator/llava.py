"""One class for every LLaVA-family checkpoint that transformers loads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    BitsAndBytesConfig,
    DynamicCache,
    StoppingCriteria,
    TextIteratorStreamer,
)

from ragvis import conversation
from ragvis._lazy import require
from ragvis._quiet import quiet
from ragvis.composer import PromptSpec
from ragvis.errors import ModelError, RagvisError, UsageError
from ragvis.generator import int8, processors
from ragvis.generator.decode import Decoder
from ragvis.generator.families import Family, family_of
from ragvis.generator.reuse import LastPrompt, PictureFeatures, as_outputs, from_position
from ragvis.generator.sampling import Sampling, Usage
from ragvis.models import hub, registry
from ragvis.types import ModelInfo

if TYPE_CHECKING:
    from ragvis.generator.reuse import Pictured
    from ragvis.media.images import Picture

QUANTIZATIONS = ("8bit", "4bit", "none")
INT8, BITSANDBYTES = ENGINES = ("int8", "bitsandbytes")
# bitsandbytes would quantize the tower and the connector too; the official code keeps them.
# Naming any module replaces the default list, so lm_head is named again.
KEPT_WHOLE = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]


class LlavaGenerator:
    """A loaded checkpoint: prompts and pictures in, text out, piece by piece."""

    def __init__(self, model: Any, processor: Any, family: Family, info: ModelInfo) -> None:
        self.info = info
        self.family = family
        self.usage = Usage()
        self._model = model
        self._processor = processor
        self._tokenizer = processor.tokenizer
        # int8 weights are ours to decode with; everything else goes through `generate`
        self._decoder = Decoder(model) if info.engine == INT8 else None
        self._image_token = int(processor.image_token_id)
        self._features = PictureFeatures(model)
        self._last = LastPrompt()
        # SmolLM2's and Qwen's prompts spell their first token out; Llama's tokenizer adds it.
        template = conversation.find_template(family.template)
        self._add_special = template.style != "chatml"
        # A stop string that is a token ends an answer as one: transformers goes through the whole
        # vocabulary, half a second or more, in every call that is given strings to stop at.
        tokens = self._tokenizer.get_added_vocab()
        self._stop_tokens = {tokens[s] for s in template.stop if s in tokens}
        self._stop_texts = [s for s in template.stop if s not in tokens]

    @classmethod
    def load(
        cls,
        name: str,
        tell: Callable[[str], None],
        *,
        lora: str | None = None,
        quantize: str | None = None,
        template: str | None = None,
        engine: str | None = None,
    ) -> LlavaGenerator:
        """See ``ragvis.generator.load``."""
        quantization = _check_quantization(quantize, name)
        engine = _check_engine(engine, quantization)
        where = registry.resolve_model(name, tell)
        hub.obey_offline()
        try:
            with quiet():
                config = AutoConfig.from_pretrained(where)
                processor = processors.build(where, config)
                tokens = frozenset(_special_tokens(processor.tokenizer))
                family = family_of(config, name, tokens)
                if template is not None:
                    conversation.find_template(template)  # refuses an unknown one
                    family = replace(family, template=template)
                model = _load_model(where, config, quantization, engine, lora)
        except RagvisError:
            raise
        # transformers, bitsandbytes, peft and the hub each have errors of their own
        except Exception as error:
            raise hub.explain("model", name, error) from error
        revision = getattr(config, "_commit_hash", None) or hub.revision_of(Path(where))
        revision += f"+{hub.revision_of(Path(lora))}" if lora else ""
        info = ModelInfo(name, revision, quantization, str(model.device), engine)
        return cls(model, processor, family, info)

    @property
    def spec(self) -> PromptSpec:
        """What the composer has to know of this model."""
        return PromptSpec(
            self.family.template,
            self.family.context_limit,
            self.family.pixels,
            self._count,
            lambda sizes: processors.picture_tokens(self._processor, sizes),
            tuple(_special_tokens(self._tokenizer)),
            self.family.earlier_turns,
        )

    def _count(self, text: str) -> int:
        ids = self._tokenizer(text, add_special_tokens=self._add_special).input_ids
        return len(ids)

    def stream(self, prompt: str, pictures: Sequence[Picture], sampling: Sampling) -> Iterator[str]:
        """The answer's text as it is written; ``usage`` is set when it ends.

        Closing the iterator early stops the model.

        Raises:
            ModelError: the GPU ran out of memory, or pictures and prompt do not fit together.
        """
        inputs = self.inputs(prompt, pictures)
        self.usage = Usage(prompt_tokens=int(inputs["input_ids"].shape[1]))
        if sampling.num_beams > 1:
            with failing():
                yield self._whole(inputs, sampling)
            return
        pieces = self._threaded if self._decoder is None else self._stepwise
        stop = _StopText(conversation.find_template(self.family.template).stop)
        with closing(pieces(inputs, sampling)) as coming:
            for piece in coming:
                yield from stop.feed(piece)
                if stop.found:
                    break
        yield from stop.finish()

    def _stepwise(self, inputs: Any, sampling: Sampling) -> Generator[str]:
        """Our own decode loop, in the reader's thread."""
        assert self._decoder is not None
        prompt, written = self.usage.prompt_tokens, 0
        text = DecodeStream(skip_special_tokens=True)
        with failing():
            pictures = self._features.of(inputs)
            ids, token_of = inputs["input_ids"], self._image_token
            for token in self._decoder.tokens(ids, pictures, sampling, token_of, self._ends()):
                written += 1
                self.usage = Usage(prompt, written, self._decoder.reused)
                if piece := text.step(self._tokenizer.backend_tokenizer, token):
                    yield piece

    def _threaded(self, inputs: Any, sampling: Sampling) -> Generator[str]:
        """transformers' ``generate`` beside the reader."""
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        run = _Run(self, inputs, sampling, streamer)
        run.start()
        try:
            yield from streamer
        finally:
            run.stop()
        run.raise_error()

    def forget(self) -> None:
        """Drop what was kept of earlier prompts: their pictures, keys and values."""
        self._features = PictureFeatures(self._model)
        self._last = LastPrompt()
        if self._decoder is not None:
            self._decoder.forget()

    @property
    def model(self) -> Any:
        """The transformers model."""
        return self._model

    @property
    def image_token(self) -> int:
        """Id of the token that stands for a piece of a picture."""
        return self._image_token

    def first_token(self, word: str) -> int:
        """Id of a word's first token at the beginning of an answer."""
        return int(self._tokenizer(word, add_special_tokens=False).input_ids[0])

    def inputs(self, prompt: str, pictures: Sequence[Picture]) -> Any:
        """The model's inputs for one prompt.

        Raises:
            ModelError: pictures and prompt do not fit together.
        """
        try:
            with quiet():
                inputs = processors.tensors(self._processor, prompt, pictures, self._add_special)
        except ValueError as error:  # the processor counts <image> tokens and pictures
            raise ModelError(f"pictures and prompt do not fit together: {error}") from error
        return inputs.to(self._model.device, self._model.dtype)

    def _whole(self, inputs: Any, sampling: Sampling) -> str:
        ids = self._generate(inputs, sampling)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        stop = _StopText(conversation.find_template(self.family.template).stop)
        return "".join([*stop.feed(text), *stop.finish()])

    @torch.inference_mode()
    def _generate(self, inputs: Any, sampling: Sampling, **more: Any) -> torch.Tensor:
        """New token ids (n,), and their count in ``usage``."""
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        if self._stop_texts:
            more |= {"stop_strings": self._stop_texts, "tokenizer": self._tokenizer}
        pictures = self._features.of(inputs)
        ids = inputs["input_ids"]
        listed = ids[0].tolist()
        cache, known = self._begin(listed, pictures, sampling)
        new_pictures = from_position(known, listed, pictures, self._image_token)
        out = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=cache,
            **as_outputs(new_pictures, ids.device),
            **sampling.to_generate(),
            **more,
            suppress_tokens=[self._image_token],
            eos_token_id=sorted(self._ends()) or None,
            pad_token_id=self._tokenizer.pad_token_id or min(self._ends(), default=0),
        )
        if cache is not None:
            self._last.keep(cache, out[0].tolist(), pictures)
        new: torch.Tensor = out[0, ids.shape[1] :]
        self.usage = Usage(ids.shape[1], len(new), known)
        return new

    def _begin(
        self, ids: list[int], pictures: list[Pictured], sampling: Sampling
    ) -> tuple[DynamicCache | None, int]:
        """A cache, and the tokens that it holds already. Beams make one of their own shape."""
        if sampling.num_beams > 1:
            return None, 0
        cache, known = self._last.take(ids, pictures, self._image_token)
        return cache or DynamicCache(config=self._model.config.get_text_config()), known

    def _ends(self) -> set[int]:
        """Ids that end an answer."""
        eos = self._model.generation_config.eos_token_id
        named = set(eos if isinstance(eos, list) else [eos] if eos is not None else [])
        return named | self._stop_tokens


class _Run(threading.Thread):
    """Generates beside the reader of its stream; keeps what went wrong for that reader."""

    def __init__(
        self, generator: LlavaGenerator, inputs: Any, sampling: Sampling, streamer: Any
    ) -> None:
        super().__init__(daemon=True)
        self._parts = (generator, inputs, sampling, streamer)
        self._stopped = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        generator, inputs, sampling, streamer = self._parts
        try:
            generator._generate(
                inputs, sampling, streamer=streamer, stopping_criteria=[_StopWhen(self._stopped)]
            )
        # Handed to the reader, which raises it in its own thread
        except BaseException as error:  # noqa: BLE001
            self._error = error
            streamer.end()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def raise_error(self) -> None:
        if self._error is not None:
            with failing():
                raise self._error


@contextmanager
def failing() -> Iterator[None]:
    """Raises:
    ModelError: for whatever the model or the GPU raises.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        hint = "Ask with fewer sources (-k 2), quantize (--quantize 4bit), or use pocket."
        raise ModelError("the GPU ran out of memory", hint) from error
    except Exception as error:
        raise ModelError(f"the model failed: {' '.join(str(error).split())[:300]}") from error


class _StopWhen(StoppingCriteria):  # type: ignore[misc]
    """Ends generation when the reader has gone."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), device=input_ids.device)


class _StopText:
    """Cuts a stream at the first stop string, holding back what may be the start of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> Iterator[str]:
        self._held += piece
        places = [i for s in self._stops if (i := self._held.find(s)) >= 0]
        if places:
            self.found = True
            self._held = self._held[: min(places)]
            return
        keep = max((_overlap(self._held, s) for s in self._stops), default=0)
        cut = len(self._held) - keep
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            yield ready

    def finish(self) -> Iterator[str]:
        if self._held:
            yield self._held
        self._held = ""


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop``."""
    return next((n for n in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _check_quantization(quantize: str | None, name: str) -> str:
    if quantize is None:
        return "8bit" if torch.cuda.is_available() and name != registry.POCKET else "none"
    if quantize not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise UsageError(f"unknown quantization {quantize!r}", f"One of: {known}.")
    return quantize


def _check_engine(engine: str | None, quantization: str) -> str:
    """What runs the weights: 8-bit ones have two engines, all others one."""
    if quantization != "8bit":
        if engine is not None:
            raise UsageError("engine is for --quantize 8bit", f"One of: {', '.join(ENGINES)}.")
        return BITSANDBYTES if quantization == "4bit" else "transformers"
    if engine is None:
        return INT8 if torch.cuda.is_available() else BITSANDBYTES
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", f"One of: {', '.join(ENGINES)}.")
    return engine


def _load_model(where: str, config: Any, quantization: str, engine: str, lora: str | None) -> Any:
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {
        "config": config,
        "dtype": torch.float16 if device.type == "cuda" else torch.float32,
        "device_map": {"": "cpu" if engine == INT8 else device},
    }
    if engine == BITSANDBYTES:
        # On a CPU it logs a line for every layer and step
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        options["quantization_config"] = _bitsandbytes(quantization, options["dtype"])
    model = AutoModelForImageTextToText.from_pretrained(where, **options)
    if lora is not None:
        peft = require("peft")
        model = peft.PeftModel.from_pretrained(model, lora)
        model = model.merge_and_unload()
    return (int8.quantize(model, KEPT_WHOLE, device) if engine == INT8 else model).eval()


def _bitsandbytes(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEPT_WHOLE)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=KEPT_WHOLE,
    )


def _special_tokens(tokenizer: Any) -> list[str]:
    return sorted({str(t.content) for t in tokenizer.added_tokens_decoder.values()})
