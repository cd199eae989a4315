"""One class for every LLaVA-family checkpoint that transformers loads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.decoders import DecodeStream
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, TextIteratorStreamer

from ragvis import conversation
from ragvis._quiet import quiet
from ragvis.composer import PromptSpec
from ragvis.errors import ModelError
from ragvis.generator import processors
from ragvis.generator.choice import split_lora
from ragvis.generator.decode import Decoder
from ragvis.generator.families import Family, family_of
from ragvis.generator.loading import (
    INT8,
    check_engine,
    check_quantization,
    find,
    load_model,
    special_tokens,
)
from ragvis.generator.reuse import (
    LastPrompt,
    PictureFeatures,
    as_outputs,
    from_position,
    revision_of,
)
from ragvis.generator.sampling import STOP, Counting, Sampling, Usage, Written, finish_reason
from ragvis.generator.sharing import share
from ragvis.generator.streams import StopText, StopWhen, failing, seeded
from ragvis.models import hub
from ragvis.types import ModelInfo, Tell, silent

if TYPE_CHECKING:
    from ragvis.encoder import Encoder
    from ragvis.generator.choice import Shelf
    from ragvis.generator.reuse import Pictured
    from ragvis.media.images import Picture

_BATCH = 8  # prompts


class LlavaGenerator(Counting):
    """A loaded checkpoint: prompts and pictures in, text out, piece by piece."""

    def __init__(
        self, model: Any, processor: Any, family: Family, info: ModelInfo, tell: Tell = silent
    ) -> None:
        super().__init__()
        self.info = info
        self.family = family
        # On a CPU eight together take twice as long as one after another (pocket, 2 cores): for a
        # few rows its matrix products are no faster than as many vectors', and padding is on top.
        self.batch = _BATCH if model.device.type == "cuda" else 1
        self._model = model
        self._processor = processor
        self._tokenizer = processor.tokenizer
        # int8 weights are ours to decode with; everything else goes through `generate`
        self._image_token = token = int(processor.image_token_id)
        self._decoder = Decoder(model, token, tell) if info.engine == INT8 else None
        self._features = PictureFeatures(model)
        self._last = LastPrompt()
        template = conversation.find_template(family.template)
        self._add_special = not template.is_whole
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
        quantization = check_quantization(quantize, split_lora(name, lora)[0])
        engine = check_engine(engine, quantization)
        checkpoint = find(name, tell, lora)
        own, processor = checkpoint.name, checkpoint.processor
        with hub.explained("model", own):
            tokens = frozenset(special_tokens(processor.tokenizer))
            family = family_of(checkpoint.config, own, tokens)
            if template is not None:
                conversation.find_template(template)  # refuses an unknown one
                family = replace(family, template=template)
            model = load_model(checkpoint, quantization, engine, tell)
        info = ModelInfo(own, checkpoint.revision, quantization, str(model.device), engine)
        return cls(model, processor, family, info, tell)

    def use(self, encoder: Encoder, shelf: Shelf) -> None:
        """Take over what was done before: see ``Generator``."""
        share(self._model.model.vision_tower, encoder.tower)
        self._features.shelf = partial(shelf.get, revision_of(self.info.revision, self._model))

    @property
    def spec(self) -> PromptSpec:
        """What the composer has to know of this model."""
        return PromptSpec(
            self.family.template,
            self.family.context_limit,
            self.family.pixels,
            self._count,
            lambda sizes: processors.picture_tokens(self._processor, sizes),
            tuple(special_tokens(self._tokenizer)),
            self.family.earlier_turns,
            refuses_bare=self.family.refuses_bare,
            links=self.family.links,
            doubts=self.family.doubts,
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
                text = self._whole(inputs, sampling)
            usage = self.usage
            yield text
            self.usage = usage
            return
        pieces = self._threaded if self._decoder is None else self._stepwise
        stop = StopText(conversation.find_template(self.family.template).stop)
        with closing(pieces(inputs, sampling)) as coming:
            for piece in coming:
                yield from stop.feed(piece)
                if stop.found:
                    break
        usage = self.usage  # whatever else this thread reads before the last piece
        if stop.found:
            usage = replace(usage, finish_reason=STOP)
        yield from stop.finish()
        self.usage = usage

    def _stepwise(self, inputs: Any, sampling: Sampling) -> Generator[str]:
        """Our own decode loop, in the reader's thread."""
        assert self._decoder is not None
        prompt, written, reused = self.usage.prompt_tokens, 0, 0
        text = DecodeStream(skip_special_tokens=True)
        try:
            with failing():
                pictures = self._features.of(inputs)
                ids, ends = inputs["input_ids"], self._ends()
                for token in self._decoder.tokens(ids, pictures, sampling, ends):
                    reused = reused if written else self._decoder.reused
                    written += 1
                    if piece := text.step(self._tokenizer.backend_tokenizer, token):
                        yield piece
        finally:
            self.usage = Usage(prompt, written, reused, finish_reason(written, sampling))

    def _threaded(self, inputs: Any, sampling: Sampling) -> Generator[str]:
        """transformers' ``generate`` beside the reader."""
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        run = _Run(self, inputs, sampling, streamer)
        run.start()
        try:
            yield from streamer
        finally:
            run.stop()
            self.usage = run.usage or self.usage
        run.raise_error()

    def forget(self) -> None:
        """Drop what memory holds of earlier prompts: their pictures, keys and values."""
        self._features.forget()
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

    @torch.inference_mode()
    def first(self, prompt: str, pictures: Sequence[Picture], word: str) -> tuple[float, str]:
        """How likely an answer begins with a word's first token, and how it most likely begins
        otherwise.

        Raises:
            ModelError: as ``stream``.
        """
        inputs = self.inputs(prompt, pictures)
        with failing():
            if self._decoder is not None:
                logits = self._decoder.first(inputs["input_ids"], self._features.of(inputs))
            else:
                logits = self._model(**inputs).logits[0, -1]
        odds = logits.float().softmax(-1)
        token = self.first_token(word)
        own = float(odds[token])
        odds[token] = 0
        return own, self._tokenizer.decode([int(odds.argmax())])

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
        written = self._written(0, ids.tolist(), sampling)
        self.usage = replace(self.usage, finish_reason=written.usage.finish_reason)
        return written.text

    @torch.inference_mode()
    def _generate(self, inputs: Any, sampling: Sampling, **more: Any) -> torch.Tensor:
        """New token ids (n,), and their count in ``usage``."""
        pictures = self._features.of(inputs)
        ids = inputs["input_ids"]
        listed = ids[0].tolist()
        cache, known = self._begin(listed, pictures, sampling)
        new_pictures = from_position(known, listed, pictures, self._image_token)
        more["cache"] = cache
        out = self._call(ids, torch.ones_like(ids), new_pictures, sampling, more)
        if cache is not None:
            self._last.keep(cache, out[0].tolist(), pictures)
        new: torch.Tensor = out[0, ids.shape[1] :]
        ended = finish_reason(len(self._until_end(new.tolist())), sampling)
        self.usage = Usage(ids.shape[1], len(new), known, ended)
        return new

    def write_many(
        self, asked: Sequence[tuple[str, Sequence[Picture]]], sampling: Sampling
    ) -> list[Written]:
        """Answer several prompts, each with its pictures, in one go.

        Greedy words are those of ``stream``, but for near ties that rounding decides (more of them
        where only one of the two goes through a head in 8 bits); drawn ones are others, with a seed
        too, where it is transformers that writes them.

        Raises:
            ModelError: as ``stream``.
        """
        inputs = [self.inputs(prompt, pictures) for prompt, pictures in asked]
        with failing(), torch.inference_mode():
            rows = [one["input_ids"][0] for one in inputs]
            own = [self._features.of(one) for one in inputs]
            if self._goes_together(sampling):
                assert self._decoder is not None
                new = self._decoder.many(list(zip(rows, own, strict=True)), sampling, self._ends())
                pairs = zip(rows, new, strict=True)
                return [self._written(len(ids), n, sampling) for ids, n in pairs]
            pictures = [picture for some in own for picture in some]
            # The padding stands before the prompts, so that all answers begin at one place
            ids = pad_sequence(rows, True, self._padding(), "left")  # (b, n)
            mask = pad_sequence([torch.ones_like(row) for row in rows], True, 0, "left")
            out = self._call(ids, mask, pictures, sampling, {})[:, ids.shape[1] :]
        pairs = zip(rows, out.tolist(), strict=True)
        return [self._written(len(row), self._until_end(new), sampling) for row, new in pairs]

    def _goes_together(self, sampling: Sampling) -> bool:
        """Whether our decoder writes several answers at once: it ends them by tokens alone."""
        ours = self._decoder is not None and self._decoder.several
        return ours and sampling.num_beams == 1 and not self._stop_texts

    def _until_end(self, ids: list[int]) -> list[int]:
        """Without what pads an answer that ended before the others."""
        ends = self._ends()
        return list(takewhile(lambda token: token not in ends, ids))

    def _written(self, prompt: int, ids: list[int], sampling: Sampling) -> Written:
        """An answer out of its tokens; those of an end among them say that it is whole."""
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        stop = StopText(conversation.find_template(self.family.template).stop)
        said = "".join([*stop.feed(text), *stop.finish()])
        ended = STOP if stop.found else finish_reason(len(self._until_end(ids)), sampling)
        return Written(said, Usage(prompt, len(ids), finish_reason=ended))

    def _call(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        pictures: Sequence[Pictured],
        sampling: Sampling,
        more: dict[str, Any],
    ) -> torch.Tensor:
        """transformers' ``generate``: prompts (b, n) in, prompts and answers (b, n + m) out."""
        if self._stop_texts:
            more |= {"stop_strings": self._stop_texts, "tokenizer": self._tokenizer}
        with seeded(sampling.seed):
            out: torch.Tensor = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                **as_outputs(pictures, ids.device),
                **sampling.to_generate(),
                **more,
                suppress_tokens=[self._image_token],
                eos_token_id=sorted(self._ends()) or None,
                pad_token_id=self._padding(),
            )
        return out

    def _padding(self) -> int:
        return int(self._tokenizer.pad_token_id or min(self._ends(), default=0))

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
        self.usage: Usage | None = None

    def run(self) -> None:
        generator, inputs, sampling, streamer = self._parts
        try:
            generator._generate(
                inputs, sampling, streamer=streamer, stopping_criteria=[StopWhen(self._stopped)]
            )
            self.usage = generator.usage
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
