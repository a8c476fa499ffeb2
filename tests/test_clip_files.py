"""CLIP from a file, words as pseudo-queries, portable embeddings: a tiny CLIP of open_clip's own, with random weights
that a file holds, goes the whole way."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from conftest import Cli
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from prism_bench.prism.encoders import clip_files
from prism_bench.prism.encoders.batching import in_batches
from prism_bench.prism.encoders.clip import CLIP, image_embedder
from prism_bench.prism.encoders.dinov2 import DINOv2
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.images import Pixels

WIDTH = 16
SMALL = (
    "--scale smoke --no-mlflow --workers 0 "
    "--set samples=16 --set training.images=64 --set training.rampup_images=0 --set sampler.steps=2"
)
BY_CLIP = "--set retrieval.encoder=clip --set retrieval.encoder.model=tiny"
ONE = "run ablation-table3 --only variant=prism"


def described(layers: int) -> dict[str, Any]:
    vision = {"image_size": 32, "layers": layers, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    return {"embed_dim": WIDTH, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}


@pytest.fixture(scope="module", autouse=True)
def _known_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("models")
    for name, layers in (("tiny", 1), ("deep", 2)):
        (folder / f"{name}.json").write_text(json.dumps(described(layers)))
    open_clip.add_model_config(folder)


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clip_files.VARIABLE, "")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, _known_models: None) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "open_clip_model.safetensors"
    save_file(open_clip.create_model("tiny").state_dict(), path)
    return path


def clip_of(path: Path, **fields: Any) -> CLIP:
    return CLIP(model="tiny", pretrained=clip_files.take(path), **fields)


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_file_gives_what_open_clip_gives_with_its_own_preprocessing(weights: Path, small_images: Pixels) -> None:
    network, _, preprocess = open_clip.create_model_and_transforms("tiny", pretrained=str(weights))
    pictures = [preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in small_images]
    with torch.inference_mode():
        expected = network.eval().encode_image(torch.stack(pictures)).numpy()
    found = clip_of(weights).load(None, "cpu")(small_images)
    assert found.shape == (16, WIDTH)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_is_read_like_its_file_and_the_path_is_no_part_of_the_value(weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(weights, moved / weights.name)
    (moved / "pytorch_model.bin").write_bytes(b"another")
    one, other = clip_of(weights), clip_of(moved)
    assert one.digest() == other.digest()
    assert str(tmp_path) not in json.dumps(other.to_json())
    assert one.weights_sha256 is not None
    assert one.pretrained.endswith(one.weights_sha256)


def test_weights_of_another_architecture_are_refused(weights: Path) -> None:
    with pytest.raises(InputError, match=r"does not hold weights of CLIP deep.*resblocks\.1.*encoder.model=NAME"):
        CLIP(model="deep", pretrained=clip_files.take(weights)).check()
    with pytest.raises(InputError, match="knows no model 'tny'"):
        CLIP(model="tny", pretrained=clip_files.take(weights)).check()


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {"logit_scale": torch.ones(())}, "more": Code()}, path, pickle_module=pickle)
    with pytest.raises(InputError, match="does not hold weights of CLIP tiny that can be read"):
        clip_of(path).check()
    assert not (tmp_path / "it ran").exists()


def test_what_is_not_there_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder of CLIP weights"):
        clip_files.take(tmp_path / "nothing.pt")
    with pytest.raises(InputError, match="holds no weights"):
        clip_files.take(tmp_path)
    (tmp_path / "weights.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"not from \.npz"):
        clip_files.take(tmp_path / "weights.npz")
    encoder = clip_of(weights)
    os.environ[clip_files.VARIABLE] = ""
    with pytest.raises(InputError, match=r"none is named.*--clip-weights PATH"):
        encoder.check()


def test_half_precision_is_close_to_full(weights: Path, small_images: Pixels) -> None:
    full = clip_of(weights).load(None, "cpu")(small_images)
    half = clip_of(weights, precision="bfloat16").load(None, "cpu")(small_images)
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.05 * np.abs(full).max())


# --- batches and other networks -------------------------------------------------------------------------------------


def test_batches_shrink_until_they_fit_the_memory(small_images: Pixels) -> None:
    seen: list[int] = []

    def forward(images: Pixels) -> torch.Tensor:
        seen.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.from_numpy(images.reshape(len(images), -1)[:, :5].astype(np.float32))

    embed = in_batches(forward, 16)
    expected = small_images.reshape(16, -1)[:, :5].astype(np.float32)
    assert np.array_equal(embed(small_images), expected)
    assert seen == [16, 8, 4, *[2] * 8]
    seen.clear()
    embed(small_images[:2])
    assert seen == [2], "what did not fit is not tried again"


def test_a_single_image_that_does_not_fit_is_an_error(small_images: Pixels) -> None:
    def forward(images: Pixels) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ComputeError, match="a single image"):
        in_batches(forward, 4)(small_images)


def test_threads_keep_the_order_of_pictures(small_images: Pixels) -> None:
    class First(nn.Module):
        def encode_image(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :, 0, 0]

    def preprocess(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(picture, np.float32).transpose(2, 0, 1).copy())

    found = image_embedder(First(), preprocess, batch=5, device="cpu")(small_images)
    assert np.array_equal(found, small_images[:, :, 0, 0].astype(np.float32))


def test_dinov2_asks_timm_for_published_weights_and_their_class_token(
    monkeypatch: pytest.MonkeyPatch, small_images: Pixels
) -> None:
    import timm

    asked: dict[str, Any] = {}

    class StandIn(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean(dim=(2, 3))

    def create(model: str, **options: Any) -> nn.Module:
        asked.update(options, model=model)
        return StandIn()

    monkeypatch.setattr(timm, "create_model", create)
    found = DINOv2().load(None, "cpu")(np.full((3, 3, 16, 16), 255, np.uint8))
    assert asked["model"] == "vit_large_patch14_dinov2.lvd142m"
    assert asked["pretrained"] is True
    assert (asked["num_classes"], asked["global_pool"], asked["img_size"]) == (0, "token", 224)
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found, np.broadcast_to(white, (3, 3)), rtol=1e-4)


def test_what_dinov2_cannot_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    with pytest.raises(InputError, match="multiple of 14, not 100"):
        DINOv2(input_size=100)
    with pytest.raises(InputError, match="must be a DINOv2"):
        DINOv2(model="resnet50")
    with pytest.raises(InputError, match="no pretrained model 'vit_dinov2'"):
        DINOv2(model="vit_dinov2").load(None, "cpu")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no network\nmore")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(InputError, match=r"could not be had \(no network\)"):
        DINOv2().load(None, "cpu")


# --- through the command line ---------------------------------------------------------------------------------------


def test_from_a_weight_file_to_a_table_and_samples_of_a_prompt(cli: Cli, weights: Path) -> None:
    said = cli(f"{ONE} {SMALL} {BY_CLIP} --clip-weights {weights}")
    assert said.code == 0, said.err
    line = "sample ablation-table3/prism --n 4 --workers 0"
    said = cli(f"{line} --prompt 'a red curtain' --prompt 'blue hair' --out words.npz")
    assert said.code == 0, said.err
    made = np.load("words.npz")["images"]
    assert made.shape == (4, 16, 16, 3)
    assert cli(f"{line} --prompt 'a red curtain' --out one.npz").code == 0
    assert np.array_equal(np.load("one.npz")["images"][0], made[0]), "sample 0 is guided by the first of the words"
    said = cli(f"{line} --prompt red --pseudo-query words.png --out both.npz")
    assert (said.code, "exclude each other" in said.err) == (2, True)


def test_a_prompt_is_guided_by_the_images_of_d_nearest_to_its_words(cli: Cli, weights: Path) -> None:
    """The grid shows above each sample the image of D whose embedding is nearest to the prompt's."""
    store = Path("prism-bench-store/stages")
    assert cli(f"{ONE} {SMALL} {BY_CLIP} --clip-weights {weights}").code == 0
    assert cli("sample ablation-table3/prism --n 1 --workers 0 --prompt 'a face' --out grid.png").code == 0
    (words,) = clip_of(weights).load_texts("cpu")(["a face"])
    vectors = np.load(next((store / "neighbours").iterdir()) / "vectors.npy")
    gallery = np.load(next((store / "split").iterdir()) / "retrieval.npy")
    nearest = gallery[np.argmax(vectors[gallery] @ words)]
    record = json.loads(next(Path("prism-bench-store/records").iterdir()).read_text())
    real = np.load(store / "dataset" / record["dataset"]["digest"] / "images.npy")[nearest]
    shown = np.asarray(Image.open("grid.png"))[: 4 * 16 : 4, : 4 * 16 : 4]
    assert np.array_equal(shown, real.transpose(1, 2, 0))


def test_a_prompt_needs_an_encoder_that_reads(cli: Cli) -> None:
    assert cli(f"{ONE} {SMALL}").code == 0
    said = cli("sample ablation-table3/prism --n 2 --prompt red --workers 0 --out no.png")
    assert said.code == 2
    assert "pixels-pca knows no text" in said.err


def test_a_weight_file_that_nothing_uses_is_pointed_out(cli: Cli, weights: Path) -> None:
    said = cli(f"{ONE} {SMALL} --clip-weights {weights}")
    assert said.code == 2
    assert "nothing here looks through CLIP" in said.err
    said = cli(f"{ONE} {SMALL} {BY_CLIP} --clip-weights nowhere.pt")
    assert (said.code, "no such file" in said.err) == (2, True)
    said = cli(f"{ONE} {SMALL} {BY_CLIP.replace('tiny', 'deep')} --clip-weights {weights}")
    assert (said.code, "does not hold weights of CLIP deep" in said.err) == (2, True)


def test_embeddings_travel_to_a_machine_without_the_weights(
    cli: Cli, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = "--dataset digits --resolution 16"
    said = cli(
        f"data embeddings export {of} --encoder clip --set model=tiny --clip-weights {weights} --out e.npz --store here"
    )
    assert said.code == 0, said.err
    assert "1,797 embeddings by clip" in said.out
    monkeypatch.setenv(clip_files.VARIABLE, "")
    said = cli(f"data embeddings import e.npz {of} --store there")
    assert said.code == 0, said.err
    settings = next(line for line in said.out.splitlines() if "Retrieve by them" in line).partition("... ")[2]
    # The store there has what the run needs: nobody asks for the weights.
    said = cli(f"{ONE} {SMALL} {of} {settings} --store there")
    assert said.code == 0, said.err
    # A store without them does.
    said = cli(f"{ONE} {SMALL} {of} {settings} --store bare")
    assert (said.code, "--clip-weights PATH" in said.err) == (2, True)


def test_embeddings_of_other_images_or_damaged_ones_are_refused(cli: Cli, weights: Path, tmp_path: Path) -> None:
    export = f"data embeddings export --encoder clip --set model=tiny --clip-weights {weights}"
    assert cli(f"{export} --dataset digits --resolution 16 --out e.npz").code == 0
    said = cli("data embeddings import e.npz --dataset digits --resolution 8")
    assert said.code == 2
    assert "other images (digest" in said.err
    whole = dict(np.load("e.npz"))
    np.savez("bent.npz", **{**whole, "embeddings": whole["embeddings"] + 1})
    assert "is damaged" in cli("data embeddings import bent.npz --dataset digits").err
    np.savez("coded.npz", embeddings=np.array([{"a": 1}], object), facts=whole["facts"])
    assert "holds no embeddings" in cli("data embeddings import coded.npz --dataset digits").err
    Path("e.npz").write_bytes(Path("e.npz").read_bytes()[:1000])
    said = cli("data embeddings import e.npz --dataset digits")
    assert (said.code, "holds no embeddings" in said.err) == (2, True)
    assert "name such a file" in cli(f"{export} --dataset digits --out e.txt").err
    assert "fitted on each" in cli("data embeddings export --encoder pixels-pca --out p.npz").err
