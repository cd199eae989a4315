"""Keeping the model hub's libraries to what ragvis was told about the network."""

from __future__ import annotations

from ragvis import config
from ragvis._lazy import require
from ragvis.errors import ModelUnavailable


def obey_offline() -> None:
    """huggingface_hub reads its variable once, at import: tell it again before every load."""
    require("huggingface_hub").constants.HF_HUB_OFFLINE = config.offline()


def refuse_plain_download(architecture: str, tag: str) -> None:
    """open_clip fetches weights that are on no hub with urllib, which knows no offline mode.

    Raises:
        ModelUnavailable: offline, and these are such weights.
    """
    known = require("open_clip").get_pretrained_cfg(architecture, tag) or {}
    if config.offline() and known.get("url") and not known.get("hf_hub"):
        raise ModelUnavailable(
            f"offline: the weights of {architecture}/{tag} come from a plain URL",
            "Give a folder that holds them, or use --encoder pocket.",
        )
