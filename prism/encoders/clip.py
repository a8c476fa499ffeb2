"""CLIP by open_clip: the paper's retrieval encoder (section 4.1)."""

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from prism.encoders.base import Embed, Encoder, Vectors
from prism.errors import InputError
from prism.images import Pixels


@dataclass(frozen=True, kw_only=True)
class CLIP(Encoder, name="clip"):
    """A CLIP image encoder of open_clip, by default the paper's ViT-B/32: float32 [n, 512], not normalised.

    Attributes: model and pretrained, as `open_clip.list_pretrained()` names them. OpenAI's weights need the model with
    QuickGELU; open_clip itself only warns of the other. The weights come from the Hugging Face cache or the network.
    """

    batch: ClassVar[int] = 256
    model: str = "ViT-B-32-quickgelu"
    pretrained: str = "openai"

    def __post_init__(self) -> None:
        if self.pretrained == "openai" and not self.model.endswith("-quickgelu"):
            raise InputError(
                f"CLIP {self.model} with weights 'openai' would run with the wrong activation; "
                f"use model {self.model}-quickgelu"
            )

    def check(self) -> None:
        """InputError where open_clip is not installed, or the weights are neither here nor to be fetched."""
        if find_spec("open_clip") is None:
            raise InputError("the encoder clip needs open_clip; pip install open_clip_torch")
        if not self.at_hand():
            self._open("cpu")

    def at_hand(self) -> bool:
        """Whether the weights lie in the Hugging Face cache."""
        from huggingface_hub import try_to_load_from_cache

        repository = self._known()["hf_hub"].strip("/")
        names = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
        return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """See the family.

        Raises:
            InputError: no such model or weights, or the weights cannot be had.
        """
        import torch
        from PIL import Image

        network, preprocess = self._open(device)

        def embed(images: Pixels) -> Vectors:
            pictures = [preprocess(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))) for image in images]
            with torch.inference_mode():
                vectors = network.encode_image(torch.stack(pictures).to(device))
            found: Vectors = vectors.float().cpu().numpy()
            return found

        return embed

    def _known(self) -> dict[str, Any]:
        """What open_clip says of these weights; InputError where it does not know them."""
        import open_clip

        tags = open_clip.list_pretrained_tags_by_model(self.model)
        if self.pretrained not in tags:
            raise InputError(
                f"open_clip has no weights {self.pretrained!r} for the model {self.model!r}; "
                f"it has {', '.join(tags) or 'none (is the name right?)'}"
            )
        found: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, self.pretrained)
        return found

    def _open(self, device: str) -> tuple[Any, Any]:
        """The network in eval mode and open_clip's own validation preprocessing; never random weights."""
        import open_clip

        self._known()
        try:
            # Every try of the network would be told twice; what matters stands in the error below.
            logging.disable(logging.ERROR)
            network, _, preprocess = open_clip.create_model_and_transforms(
                self.model, pretrained=self.pretrained, require_pretrained=True, device=device
            )
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise InputError(
                f"the weights {self.pretrained!r} of CLIP {self.model} could not be had ({reason}); fetch them once "
                "where there is a network (they stay in the Hugging Face cache, HF_HOME), or retrieve with another "
                "encoder: --set retrieval.encoder=efficientnet-lite0"
            ) from None
        finally:
            logging.disable(logging.NOTSET)
        return network.eval(), preprocess
