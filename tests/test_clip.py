"""CLIP through open_clip's own interface: a small network stands in for the real one, whose weights are not here."""

from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor, nn

from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels


class StandIn(nn.Module):
    """encode_image of open_clip's CLIP: [b, 3, 224, 224] -> [b, 512]. Starts in train mode, as theirs do."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3 * 16, 512)
        self.dropout = nn.Dropout(0.5)

    def encode_image(self, images: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(images, 4)
        projected: Tensor = self.project(self.dropout(pooled.flatten(1)))
        return projected


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What open_clip was asked for; it answers with the stand-in and its own preprocessing."""
    known: dict[str, Any] = {}
    torch.manual_seed(0)
    network = StandIn()
    told = open_clip.get_pretrained_cfg("ViT-B-32-quickgelu", "openai")
    preprocess = open_clip.image_transform(224, is_train=False, mean=told["mean"], std=told["std"])

    def create(model: str, **options: Any) -> tuple[nn.Module, None, Any]:
        known.update(options, model=model, preprocess=preprocess, network=network)
        return network, None, preprocess

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    return known


def test_the_right_model_with_weights_required_in_eval_mode(asked: dict[str, Any], small_images: Pixels) -> None:
    vectors = CLIP().load(None, "cpu")(small_images)
    assert vectors.shape == (16, 512)
    assert vectors.dtype == np.float32
    assert (asked["model"], asked["pretrained"]) == ("ViT-B-32-quickgelu", "openai")
    assert asked["require_pretrained"] is True
    assert not asked["network"].training


def test_images_pass_through_open_clips_own_preprocessing(asked: dict[str, Any], small_images: Pixels) -> None:
    from PIL import Image

    vectors = CLIP().load(None, "cpu")(small_images[:3])
    pictures = [asked["preprocess"](Image.fromarray(image.transpose(1, 2, 0))) for image in small_images[:3]]
    with torch.inference_mode():
        expected = asked["network"].encode_image(torch.stack(pictures))
    np.testing.assert_allclose(vectors, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_the_batch_does_not_matter(asked: dict[str, Any], small_images: Pixels) -> None:
    embed = CLIP().load(None, "cpu")
    whole = embed(small_images)
    parts = np.concatenate([embed(small_images[:5]), embed(small_images[5:])])
    np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-6)
    assert asked["model"]


def test_openais_weights_with_the_wrong_activation_are_refused() -> None:
    for use in (CLIP(model="ViT-B-32").check, lambda: CLIP(model="ViT-B-32").load(None, "cpu")):
        with pytest.raises(InputError, match="wrong activation; use model ViT-B-32-quickgelu"):
            use()


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (CLIP(model="ViT-B-33", pretrained="laion2b_s34b_b79k"), "none .is the name right"),
        (CLIP(pretrained="opnai"), "openai"),
    ],
)
def test_unknown_models_and_weights_are_named(encoder: CLIP, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encoder.check()


def test_weights_that_cannot_be_had_are_an_error_and_never_random(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("Failed to download weights\nmore")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", fail)
    monkeypatch.setattr(CLIP, "at_hand", lambda _: False)
    with pytest.raises(InputError, match=r"could not be had \(Failed to download weights\).*--set retrieval.encoder"):
        CLIP().check()
