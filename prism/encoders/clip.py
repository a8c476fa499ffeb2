"""CLIP by open_clip: the paper's retrieval encoder (section 4.1)."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from prism_bench.prism.encoders import clip_files
from prism_bench.prism.encoders.base import Embed, EmbedTexts, Encoder, Vectors
from prism_bench.prism.encoders.batching import in_batches
from prism_bench.prism.errors import InputError, first_line
from prism_bench.prism.images import Pixels
from prism_bench.prism.sources import Sources, given, left_open
from prism_bench.prism.weights.published_files import kept_digest
from prism_bench.prism.weights.user_files import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

CACHED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""What open_clip's repositories hold."""


@dataclass(frozen=True, kw_only=True)
class CLIP(Encoder, name="clip"):
    """A CLIP image encoder of open_clip, by default the paper's ViT-B/32: float32 [n, 512], not normalised.

    Attributes: model and pretrained, as `open_clip.list_pretrained()` names them. OpenAI's weights need the model with
    QuickGELU; open_clip itself only warns of the other. Weights by tag come from the Hugging Face cache or the network;
    `pretrained` may also be "sha256:" and the digest of a weight file (`prism.encoders.clip_files`).
    precision: what the network computes in; float16 and bfloat16 are for a GPU.
    """

    sources: ClassVar[Sources] = {
        "model": given("section 4.1", "ViT-B-32-quickgelu", "ViT-B-32", otherwise="the paper's CLIP is ViT-B/32"),
        "pretrained": left_open("which weights of ViT-B/32"),
        "precision": left_open("what CLIP computes in"),
    }

    batch: ClassVar[int] = 256
    model: str = "ViT-B-32-quickgelu"
    pretrained: str = "openai"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    @property
    def weights_sha256(self) -> str | None:
        """Of the file in use; None where the weights have not been fetched."""
        if self._own_file:
            return self.pretrained.removeprefix(PREFIX)
        cached = self._cached()
        return None if cached is None else kept_digest(cached)

    def check(self) -> None:
        """InputError where open_clip is missing, the activation is wrong, or the weights cannot be had or read."""
        if find_spec("open_clip") is None:
            raise InputError("the encoder clip needs open_clip; pip install open_clip_torch")
        self._check_activation()
        if self._own_file or not self.at_hand():
            self._open("cpu")

    def at_hand(self) -> bool:
        """Whether the weights lie in the Hugging Face cache, or are a file that is there."""
        return self._own_file or self._cached() is not None

    def load(self, gallery: Pixels | None, device: str) -> Embed:
        """From the Hugging Face cache, or a file of the user's.

        Raises:
            InputError: no such model or weights, the weights cannot be had, or are those of another model.
        """
        network, preprocess = self._open(device)
        return image_embedder(network, preprocess, batch=self.batch, device=device, precision=self.precision)

    def load_texts(self, device: str) -> EmbedTexts:
        """Texts into the space of the images, float32 [n, 512]; errors as `load`."""
        import open_clip
        import torch

        network, _ = self._open(device)
        tokenizer = open_clip.get_tokenizer(self.model)

        def embed(texts: Sequence[str]) -> Vectors:
            with torch.inference_mode(), _precision(self.precision, device):
                vectors = network.encode_text(tokenizer(list(texts)).to(device))
            found: Vectors = vectors.float().cpu().numpy()
            return found

        return embed

    def _check_activation(self) -> None:
        if self.pretrained == "openai" and not self.model.endswith("-quickgelu"):
            raise InputError(
                f"CLIP {self.model} with weights 'openai' would run with the wrong activation; "
                f"use model {self.model}-quickgelu"
            )

    @property
    def _own_file(self) -> bool:
        return self.pretrained.startswith(PREFIX)

    def _cached(self) -> Path | None:
        """The weights of the tag in the Hugging Face cache."""
        from huggingface_hub import try_to_load_from_cache

        repository = self._known()["hf_hub"].strip("/")
        found = [try_to_load_from_cache(repository, name) for name in CACHED]
        return next((Path(path) for path in found if isinstance(path, str)), None)

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
        self._check_activation()
        if self._own_file:
            return self._from_file(clip_files.find(self.pretrained), device)
        self._known()
        try:
            return self._created(self.pretrained, device)
        except Exception as error:
            raise InputError(
                f"the weights {self.pretrained!r} of CLIP {self.model} could not be had ({first_line(error)}); fetch "
                "them once where there is a network (they stay in the Hugging Face cache, HF_HOME), give a file with "
                "--clip-weights PATH, import embeddings made elsewhere (prism-bench data embeddings import), or "
                "retrieve with another encoder: --set retrieval.encoder=efficientnet-lite0"
            ) from None

    def _from_file(self, path: Path, device: str) -> tuple[Any, Any]:
        import open_clip

        if self.model not in open_clip.list_models():
            raise InputError(f"open_clip knows no model {self.model!r}; open_clip.list_models() names them")
        try:
            # open_clip reads anything but safetensors with torch's loader for weights only: code is not run.
            return self._created(str(path), device)
        except Exception as error:
            raise InputError(
                f"{path} does not hold weights of CLIP {self.model} that can be read ({first_line(error)}); give a "
                "file of open_clip's, best .safetensors, and name its model: --set retrieval.encoder.model=NAME"
            ) from None

    def _created(self, pretrained: str, device: str) -> tuple[Any, Any]:
        import open_clip

        with _quiet():
            network, _, preprocess = open_clip.create_model_and_transforms(
                self.model, pretrained=pretrained, require_pretrained=True, weights_only=True, device=device
            )
        return network.eval(), preprocess


def image_embedder(
    network: Any, preprocess: "Callable[[Any], Tensor]", *, batch: int, device: str, precision: str = "float32"
) -> Embed:
    """Embed images by a network's `encode_image` behind open_clip's own preprocessing, which runs in threads.

    network: open_clip's model on `device`, in eval mode. preprocess: PIL image -> float32 [3, S, S].
    """
    import torch
    from PIL import Image

    threads = torch.get_num_threads()
    # Handing pictures over costs more than it gains where there is nobody to hand them to.
    each = map if threads <= 1 else ThreadPoolExecutor(threads, "preprocess").map

    def picture(image: Pixels) -> "Tensor":
        return preprocess(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))))

    def forward(images: Pixels) -> "Tensor":
        pictures = torch.stack(list(each(picture, images)))
        with _precision(precision, device):
            vectors: Tensor = network.encode_image(pictures.to(device))
        return vectors

    return in_batches(forward, batch)


def _precision(precision: str, device: str) -> "AbstractContextManager[Any]":
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=getattr(torch, precision))


@contextmanager
def _quiet() -> "Iterator[None]":
    """Every try of the network would be told twice; what matters stands in the error."""
    try:
        logging.disable(logging.ERROR)
        yield
    finally:
        logging.disable(logging.NOTSET)
