"""A model's eyes alone: what its tower and connector make of pictures, with no language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragvis.config import SERVER
from ragvis.errors import UsageError
from ragvis.generator import processors
from ragvis.generator.loading import Checkpoint, find, load_model
from ragvis.generator.reuse import PictureFeatures, revision_of
from ragvis.generator.sharing import share
from ragvis.generator.streams import failing
from ragvis.models import hub
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.encoder import Encoder
    from ragvis.generator.choice import Rows
    from ragvis.media.images import Picture


class PictureTower:
    """Makes of pictures what the language model of a checkpoint is shown."""

    def __init__(self, checkpoint: Checkpoint, model: Any) -> None:
        self.name = checkpoint.name + (f"+{checkpoint.lora}" if checkpoint.lora else "")
        self.revision = revision_of(checkpoint.revision, model)
        self._processor = checkpoint.processor
        self._model = model
        self._features = PictureFeatures(model, most=0)

    @classmethod
    def load(cls, name: str, tell: Tell) -> PictureTower:
        """Load the parts that see; ``name`` as for ``ragvis.generator.load``, servers left out.

        Raises:
            ModelUnavailable, ModelError: the checkpoint is not here, or cannot be loaded.
            UsageError: it is behind a server.
        """
        return cls.of(cls.find(name, tell))

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> PictureTower:
        """The parts that see, of a checkpoint that ``find`` found. Raises as ``load``."""
        with hub.explained("model", checkpoint.name):
            if checkpoint.lora is None:  # one may have been trained on any layer
                checkpoint.config.text_config.num_hidden_layers = 0
                checkpoint.config.text_config.layer_types = []
            model = load_model(checkpoint, "none", "transformers")
        return cls(checkpoint, model)

    @staticmethod
    def find(name: str, tell: Tell) -> Checkpoint:
        """What ``load`` would read the weights of. Raises as it does."""
        if name.startswith(SERVER):
            raise UsageError("a server keeps its own pictures", "Name a model on this machine.")
        return find(name, tell)

    def use(self, encoder: Encoder) -> None:
        """Hold what this tower has in common with an encoder's in memory once."""
        share(self._model.model.vision_tower, encoder.tower)

    def encode(self, picture: Picture) -> tuple[str, Rows]:
        """The key under which the model will look for it, and (tokens, hidden) float16 on CUDA,
        float32 on a CPU.

        Raises:
            ModelError: the GPU ran out of memory.
        """
        with failing():
            inputs = processors.tensors(self._processor, "<image>", [picture], add_special=False)
            pictured = self._features.of(inputs.to(self._model.device, self._model.dtype))[0]
            return pictured.key, pictured.features.numpy()
