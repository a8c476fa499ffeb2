"""Patch Diffusion's own forms, the full-resolution model, and rows that learn nothing."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli

from prism_bench.baselines.altered import Altered, Blurred, Flat, PixelNoise, RepairedHalves, blurred, flat
from prism_bench.baselines.changed import Changed
from prism_bench.baselines.controls import CrossAttentionRag
from prism_bench.baselines.patch_diffusion import FullResolution, PatchDiffusion, ProgressivePatchDiffusion
from prism_bench.baselines.rissole.rows import RissoleRow
from prism_bench.baselines.table3 import PatchD, SetTransformerRag
from prism_bench.baselines.trivial import HeldOutRow, NearestImage, Noise, RealImages
from prism_bench.experiments.paper.scales import LAPTOP
from prism_bench.prism.data.digits import Digits
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.images import Pixels
from prism_bench.prism.methods.method import Gallery, Method, SampleRequest, TrainingData, pseudo_queries
from prism_bench.prism.methods.sampling import Heun
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import Patches, PatchSizes, ProgressivePatches

SMALL = (
    "--scale smoke --no-mlflow --workers 0 "
    "--set samples=64 --set training.images=64 --set training.rampup_images=0 --set sampler.steps=2"
)
R = 16


def patch_method(method: Method) -> PatchMethod:
    assert isinstance(method, PatchMethod)
    return method


# --- patches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [0.0, 0.5, 0.8])
def test_progressive_patches_grow_and_take_the_shares_of_random_ones(full: float) -> None:
    progressive, random = ProgressivePatches(full=full), PatchSizes(full=full)
    steps = np.arange(10_000) / 10_000
    sides = np.array([progressive.choose(64, 0.5, at)[0] for at in steps])
    assert (np.diff(sides) >= 0).all()
    rng = np.random.default_rng(0)
    drawn = np.array([random.choose(64, float(u), 0.0)[0] for u in rng.random(10_000)])
    for side, share in progressive.sides(64).items():
        assert (sides == side).mean() == pytest.approx(share, abs=2e-4)
        assert (drawn == side).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("patches", [PatchSizes(full=0.5), PatchSizes(enlarge=False), ProgressivePatches()])
def test_shares_of_images_are_those_that_a_training_sees(patches: Patches) -> None:
    """A training's length is counted in images, of which a step on small patches takes more."""
    batch, images, rng = 4, 200_000, np.random.default_rng(0)
    seen, counts = 0, Counter[int]()
    while seen < images:
        side, factor = patches.choose(64, float(rng.random()), seen / images)
        counts[side] += batch * factor
        seen += batch * factor
    shares = patches.shares(64)
    assert counts.keys() == shares.keys()
    for side, count in counts.items():
        assert count / seen == pytest.approx(shares[side], abs=0.01)
    assert patches.pixels == pytest.approx(
        sum(count * (side / 64) ** 2 for side, count in counts.items()) / seen, abs=0.01
    )


def test_the_mean_area_of_a_patch_by_hand() -> None:
    # Of 100 steps 60 take 2 b patches of a quarter of the area, 40 take 4 b of a sixteenth.
    assert PatchSizes().pixels == pytest.approx((120 / 4 + 160 / 16) / 280)
    assert PatchSizes(full=1.0).pixels == 1
    assert PatchSizes(enlarge=False).pixels == pytest.approx(0.6 / 4 + 0.4 / 16)


def test_the_full_resolution_model_sees_as_many_pixels() -> None:
    full, patchd = (patch_method(variant.method(LAPTOP)) for variant in (FullResolution(), PatchD()))
    assert full.patches.sides(64) == {64: 1.0}
    assert full.training.images == pytest.approx(patchd.training.images * patchd.patches.pixels, abs=1)
    same = full.replace(patches=patchd.patches, training=patchd.training)
    assert same == patchd, "nothing else differs"


def test_patch_diffusions_forms_differ_from_patchd_in_their_patches_alone() -> None:
    patchd = patch_method(PatchD().method(LAPTOP))
    for variant in (PatchDiffusion(), ProgressivePatchDiffusion()):
        method = patch_method(variant.method(LAPTOP))
        assert method.patches.full == 0.5
        assert method.replace(patches=patchd.patches) == patchd


def test_cross_attention_differs_from_st_rag_in_its_aggregator_and_trains(cli: Cli) -> None:
    crossed, st_rag = (patch_method(variant.method(LAPTOP)) for variant in (CrossAttentionRag(), SetTransformerRag()))
    assert crossed.replace(aggregator=st_rag.aggregator) == st_rag
    line = f"run ablation-table3 --with cross-attention {SMALL} --only variant=cross-attention|st-rag"
    said = cli(line.replace("training.images=64", "training.images=256"))
    assert said.code == 0, said.err
    records = [json.loads(path.read_text()) for path in Path("prism-bench-store/records").iterdir()]
    sizes = {record["row"]: record["parameters"] for record in records}
    assert sizes["cross-attention"] == pytest.approx(sizes["st-rag"], rel=2e-3)
    costs = {record["row"]: record["cost"] for record in records}
    assert costs["cross-attention"]["train_flops"] > 0
    said = cli("sample ablation-table3/cross-attention --n 2 --k-sample 0 --workers 0 --out none.png")
    assert said.code == 0, said.err


# --- rows that learn nothing ----------------------------------------------------------------------------------------


def fitted(method: Method, images: Pixels, folder: Path, gallery: Gallery | None = None) -> Any:
    data = TrainingData(images, np.arange(5, 12), np.arange(12), gallery)
    method.fit(data, seed=0, folder=folder, runtime=Runtime(), report=Report(folder / "progress.json"))
    model = method.load(folder, resolution=R, embedding_dim=0, runtime=Runtime())

    def draw(indices: range, seed: int = 0) -> Pixels:
        queries = pseudo_queries(indices, seed, data.retrieval)
        drawn: Pixels = model.sample(SampleRequest(indices, seed, Heun(), 1, queries, gallery))
        return drawn

    return draw


@pytest.fixture
def gallery() -> Gallery:
    rng = np.random.default_rng(0)
    ids = np.arange(0, 12)
    table = np.stack([rng.permutation(ids) for _ in range(16)])
    # The first neighbour of most images of D is the image itself.
    for row in range(9):
        table[row] = [row, *(other for other in table[row] if other != row)]
    return Gallery(np.zeros((16, 2), np.float32), table)


def test_real_images_come_from_the_training_set_each_once_a_round(small_images: Pixels, tmp_path: Path) -> None:
    draw = fitted(RealImages(), small_images, tmp_path)
    first = draw(range(7))
    known = {image.tobytes() for image in small_images[5:12]}
    assert {image.tobytes() for image in first} == known
    assert {image.tobytes() for image in draw(range(7, 14))} == known
    assert np.array_equal(np.concatenate([draw(range(3)), draw(range(3, 10))]), draw(range(10)))
    assert not np.array_equal(first, draw(range(7), seed=1))


def test_the_nearest_image_is_never_the_pseudo_query(small_images: Pixels, gallery: Gallery, tmp_path: Path) -> None:
    draw = fitted(NearestImage(), small_images, tmp_path, gallery)
    drawn = draw(range(40))
    queries = pseudo_queries(range(40), 0, np.arange(12))
    for image, query in zip(drawn, queries, strict=True):
        others = [row for row in gallery.neighbours[query] if row != query]
        assert np.array_equal(image, small_images[others[0]])
    assert np.array_equal(np.concatenate([draw(range(3)), draw(range(3, 9))]), drawn[:9])


def test_noise_is_uniform_and_of_its_seed_and_index_alone(small_images: Pixels, tmp_path: Path) -> None:
    draw = fitted(Noise(), small_images, tmp_path)
    drawn = draw(range(60))
    assert drawn.dtype == np.uint8
    assert drawn.mean() == pytest.approx(127.5, abs=1)
    assert np.array_equal(drawn[20:30], draw(range(20, 30)))
    assert len({image.tobytes() for image in drawn}) == 60


def test_their_numbers_say_what_metrics_are_worth(cli: Cli) -> None:
    """Returned images are perfect by distance and caught as copies; noise is the floor of both."""
    rows = ("real-images", "return-nearest", "uniform-noise")
    said = cli(f"run table1 --controls {SMALL} --only variant={'|'.join(rows)}")
    assert said.code == 0, said.err
    records = [json.loads(path.read_text()) for path in Path("prism-bench-store/records").iterdir()]
    found = {
        record["row"]: {value["name"].replace("_efficientnet_lite0", ""): value["value"] for value in record["values"]}
        for record in records
    }
    real, nearest, noise = (found[row] for row in rows)
    assert max(real["fd"], nearest["fd"]) < noise["fd"] / 5
    assert (nearest["copied_d"], nearest["authpct"]) == (100, 0)
    assert (real["copied_train"], real["authpct"]) == (100, 0)
    assert real["copied_d"] < 10
    assert (noise["copied_d"], noise["copied_train"], noise["near_d"], noise["authpct"]) == (0, 0, 0, 100)
    assert abs(noise["far_dependence"]) < 0.1
    assert min(real["far_dependence"], nearest["far_dependence"]) > 0.9
    assert {record["parameters"] for record in records} == {0}
    said = cli("sample table1/return-nearest --n 3 --workers 0 --out copies.png")
    assert said.code == 0, said.err


# --- real images, altered -------------------------------------------------------------------------------------------


ALTERED = (RepairedHalves(), PixelNoise(sd=5), Blurred(), Flat())


@pytest.mark.parametrize("method", ALTERED, ids=lambda method: method.name)
def test_an_alteration_is_of_its_index_and_seed_alone(method: Altered, small_images: Pixels, tmp_path: Path) -> None:
    draw = fitted(method, small_images, tmp_path)
    drawn = draw(range(10))
    assert (drawn.dtype, drawn.shape) == (np.uint8, (10, *small_images.shape[1:]))
    assert np.array_equal(np.concatenate([draw(range(3)), draw(range(3, 10))]), drawn)
    assert not np.array_equal(draw(range(10), seed=1), drawn)


def test_the_halves_of_an_image_are_those_of_two_real_ones(small_images: Pixels, tmp_path: Path) -> None:
    half = small_images.shape[-1] // 2
    rights = {image[..., half:].tobytes(): place for place, image in enumerate(small_images)}
    lefts = {image[..., :half].tobytes(): place for place, image in enumerate(small_images)}
    drawn = fitted(RepairedHalves(), small_images, tmp_path)(range(7))
    from_left, from_right = (
        [where[image[..., side].tobytes()] for image in drawn]
        for where, side in ((lefts, slice(half)), (rights, slice(half, None)))
    )
    assert sorted(from_left) == sorted(from_right) == list(range(5, 12)), "X_train's, each half once a round"
    assert all(left != right for left, right in zip(from_left, from_right, strict=True))


def test_noise_has_the_stated_spread() -> None:
    """Of N values with SD s a standard deviation is off by s / sqrt(2 N); rounding adds 1/12 to the variance."""
    grey = np.full((40, 3, 16, 16), 128, np.uint8)
    request = SampleRequest(range(40), 0, Heun(), 1, np.arange(40), None)
    for sd in (5.0, 10.0):
        drawn = PixelNoise(sd=sd).draw(grey, request, 16).astype(np.float64) - 128
        expected = np.sqrt(sd**2 + 1 / 12)
        assert drawn.std() == pytest.approx(expected, abs=4 * expected / np.sqrt(2 * drawn.size))
        assert abs(drawn.mean()) < 4 * expected / np.sqrt(drawn.size)


def test_flat_images_keep_the_mean_alone_and_blur_keeps_a_plane() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)
    made = flat(images)
    assert np.ptp(made, axis=(2, 3)).max() == 0
    assert np.abs(made[:, :, 0, 0] - images.mean(axis=(2, 3))).max() <= 0.5
    slope = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8), (1, 3, 16, 16))
    assert np.array_equal(blurred(slope)[..., 1:-1], slope[..., 1:-1])
    smooth = blurred(images)[:, :, 1:-1, 1:-1].astype(np.float64)
    assert smooth.var() == pytest.approx(images.astype(np.float64).var() / 9, rel=0.1)


def test_the_paper_tables_with_controls_say_how_large_a_distance_is(cli: Cli) -> None:
    """Distance over pixels is blind to noise and sees lost coherence: both tables show it."""
    rows = ("real-images", "noise-5", "noise-10", "blurred", "repaired-halves", "flat-images")
    for table in ("table1", "ablation-table3"):
        said = cli(f"run {table} --controls {SMALL} --only variant={'|'.join(rows)}")
        assert said.code == 0, said.err
        assert "FD (pixels-pca)" in said.out
    records = [json.loads(path.read_text()) for path in Path("prism-bench-store/records").iterdir()]
    found = {record["row"]: {value["name"]: value["value"] for value in record["values"]} for record in records}
    assert set(found) == set(rows)
    pixels = {row: found[row]["fd_pixels_pca"] for row in rows}
    assert pixels["noise-10"] < 1.2 * pixels["real-images"] + 0.1
    assert pixels["repaired-halves"] > 2 * pixels["real-images"]
    network = {row: found[row]["fd_efficientnet_lite0"] for row in rows}
    assert network["real-images"] < network["noise-5"] < network["noise-10"] < network["flat-images"]


def test_a_changed_variant_is_sampled_and_declined_as_its_base_is() -> None:
    digits, held_out, rissole = Digits(), HeldOutRow(), RissoleRow()
    assert held_out.applies(LAPTOP, digits) is not None
    assert Changed(base=held_out).applies(LAPTOP, digits) == held_out.applies(LAPTOP, digits)
    assert Changed(base=rissole).sampler(LAPTOP) == rissole.sampler(LAPTOP) != PatchD().sampler(LAPTOP)
