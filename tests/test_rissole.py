"""RISSOLE against its definition: blocks, retrieval, noise process, samplers, objective, and sizes."""

import json
import math
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prism_bench.baselines.rissole.block_objective import BlockObjective, Views
from prism_bench.baselines.rissole.blocks import assemble, conditions, split
from prism_bench.baselines.rissole.database import Database, keys, retrieve, rows_of
from prism_bench.baselines.rissole.ddpm import DDIM, DDPM, Ancestral
from prism_bench.baselines.rissole.first_stage.first_stage import FirstStage
from prism_bench.baselines.rissole.first_stage.pixels import Identity, PixelStage
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.first_stage.vqgan_network import Discriminator, QuantisedAutoencoder
from prism_bench.baselines.rissole.first_stage.vqgan_objective import Losses, VQGANNetworks, VQGANObjective
from prism_bench.baselines.rissole.fitted import FittedRissole
from prism_bench.baselines.rissole.method import Rissole
from prism_bench.baselines.rissole.presets import RissoleClean, RissoleRepo, RissoleSmall, rissole_of
from prism_bench.baselines.rissole.rows import RissoleOnTrain, RissoleRow
from prism_bench.baselines.rissole.unet import BlockUNet
from prism_bench.experiments.paper.scales import LAPTOP, SMOKE
from prism_bench.prism.data.split import Parts
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import AllImages, SampleRequest, TrainingData, TrainSplit
from prism_bench.prism.methods.sampling import Heun
from prism_bench.prism.training.adam import Training

R, N = 16, 40
SHORT = Training(images=96, batch=8, learning_rate=1e-3, rampup_images=0, ema_halflife=16)
TINY = Rissole(
    first_stage=PixelStage(training_set=AllImages()),
    k=3,
    query="whole",
    exclude_self=True,
    flip=False,
    unet=BlockUNet(channels=(8, 16), res_per_level=1, time_sin=8, time_dim=16, heads=1, head_dim=8, dropout=0.1),
    training=SHORT,
)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    images = ToyFaces(resolution=R, size=N).build().images
    return TrainingData(images, np.arange(N), np.arange(10, N))


def fit(method: Rissole, data: TrainingData, folder: Path, *, stop_after: int = 0) -> Path:
    """Both stages, as the stages of a plan train them."""
    runtime = Runtime(checkpoint_seconds=1e9)
    folders = [folder / "first", folder / "own"]
    for own, place, rests_on in ((method.first, folders[0], None), (method, folders[1], folders[0])):
        place.mkdir(parents=True, exist_ok=True)
        own.fit(
            data._replace(first=rests_on), seed=0, folder=place, runtime=runtime, report=Report(place / "progress.json")
        )
    return folders[1]


# --- blocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_assembling_undoes_splitting_and_blocks_are_in_raster_order(factor: int) -> None:
    latents = torch.randn(3, 5, 8, 8)
    blocks = split(latents, factor)
    w = 8 // factor
    for i in range(factor**2):
        row, column = divmod(i, factor)
        expected = latents[:, :, row * w : (row + 1) * w, column * w : (column + 1) * w]
        assert torch.equal(blocks[:, i], expected)
    assert torch.equal(assemble(blocks), latents)


def test_the_condition_of_a_block_is_that_block_of_each_neighbour_in_rank_order() -> None:
    neighbours = torch.randn(2, 3, 5, 8, 8)
    found = conditions(neighbours, 2)
    assert found.shape == (2, 4, 15, 4, 4)
    for block in range(4):
        for rank in range(3):
            expected = split(neighbours[:, rank], 2)[:, block]
            assert torch.equal(found[:, block, 5 * rank : 5 * (rank + 1)], expected)


# --- retrieval ------------------------------------------------------------------------------------------------------


def test_retrieval_is_by_cosine_and_can_leave_the_query_out(data: TrainingData) -> None:
    module = Identity()
    codes = module.encode(torch.from_numpy(data.images).float() / 127.5 - 1).numpy()
    assert np.array_equal(codes, data.images), "the identity stage loses nothing"
    whole, first = (keys(module, codes, 2, "cpu", whole=whole) for whole in (True, False))
    assert whole.shape[1] == 4 * first.shape[1]
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    slow = np.argsort(-(whole.astype(float) @ whole.astype(float).T), axis=1)[:, :4]
    found = retrieve(whole, whole, 4, threads=1)
    assert np.array_equal(found, slow)
    assert np.array_equal(found[:, 0], np.arange(N)), "an image is its own nearest"
    apart = retrieve(whole, whole, 3, threads=1, own=np.arange(N))
    assert np.array_equal(apart, found[:, 1:])
    assert not (apart == np.arange(N)[:, None]).any()
    # A query that is not among its own nearest loses the last of them, not another.
    elsewhere = np.array([next(row for row in range(N) if row not in found[i]) for i in range(N)])
    assert np.array_equal(retrieve(whole, whole, 3, threads=1, own=elsewhere), found[:, :3])


def test_where_images_stand_in_a_database_that_holds_some_of_them() -> None:
    rows = rows_of(np.array([5, 2, 9]), np.array([9, 4, 5]))
    assert rows is not None
    assert rows.tolist() == [2, -1, 0]
    assert rows_of(np.array([5, 2]), np.array([1, 3])) is None


def test_no_image_of_d_is_its_own_neighbour_where_d_is_the_database(data: TrainingData) -> None:
    """A part of what it trains on lies in D; the others are in nobody's way."""
    method, half = TINY.replace(database="D"), data.ids[: N // 2]
    views, database = method._retrieved(data._replace(retrieval=half), Identity(), Runtime(threads=1))
    assert np.array_equal(database.ids, half)
    own = views.neighbours[: N // 2] == np.arange(N // 2)[:, None, None]
    assert not own[:, 0].any()


def test_a_database_finds_its_rows_by_image() -> None:
    database = Database(np.array([30, 7, 12]), np.zeros((3, 1)), np.zeros((3, 1), np.int64))
    assert database.row(np.array([12, 30, 7, 7])).tolist() == [2, 0, 1, 1]


# --- noise process and samplers -------------------------------------------------------------------------------------


def test_the_ancestral_step_is_ddpms_posterior() -> None:
    # Ho et al. 2020, eq. 6 and 7, written out with beta.
    process = DDPM(steps=5, beta_start=0.1, beta_end=0.4)
    betas = torch.linspace(0.1, 0.4, 5, dtype=torch.float64)
    kept = (1 - betas).cumprod(0)
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(1000, dtype=torch.float64, generator=generator) for _ in range(6)]

    def predict(noisy: Tensor, t: int) -> Tensor:
        return (0.3 + 0.1 * t) * noisy

    drawn = iter(noises[1:])
    found = Ancestral(steps=5).sample(predict, noises[0], process, lambda: next(drawn))
    x, fresh = noises[0], iter(noises[1:])
    for t in range(4, -1, -1):
        before = kept[t - 1] if t else torch.ones(())
        mean = (x - betas[t] / (1 - kept[t]).sqrt() * predict(x, t)) / (1 - betas[t]).sqrt()
        variance = betas[t] * (1 - before) / (1 - kept[t])
        x = mean + variance.sqrt() * next(fresh) if t else mean
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-9)


def gaussian(process: DDPM, spread: float) -> object:
    """The exact prediction of the noise for N(0, spread^2)."""
    kept = process.signal()

    def predict(noisy: Tensor, t: int) -> Tensor:
        a = kept[t]
        return noisy * (1 - a).sqrt() / (a * spread**2 + 1 - a)

    return predict


def test_ddim_converges_to_the_spread_of_the_data_at_first_order() -> None:
    process, spread = DDPM(), 0.5
    a = process.signal()[-1]
    noise = torch.ones(1, dtype=torch.float64)
    exact = spread / math.sqrt(a * spread**2 + 1 - a)
    errors = []
    for steps in (50, 100, 200):
        found = DDIM(steps=steps).sample(gaussian(process, spread), noise, process, lambda: noise)  # type: ignore[arg-type]
        errors.append(abs(float(found) - exact))
    assert errors[0] < 0.1
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.3)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.3)


def test_ancestral_samples_have_the_spread_of_the_data() -> None:
    process, spread = DDPM(), 0.5
    generator = torch.Generator().manual_seed(0)

    def fresh() -> Tensor:
        return torch.randn(4000, dtype=torch.float64, generator=generator)

    found = Ancestral().sample(gaussian(process, spread), fresh(), process, fresh)  # type: ignore[arg-type]
    assert float(found.std()) == pytest.approx(spread, rel=0.04)
    assert float(found.mean()) == pytest.approx(0, abs=0.03)


def test_samplers_visit_the_last_and_the_first_step_and_call_as_often_as_they_say() -> None:
    process = DDPM()
    for sampler in (DDIM(steps=7), Ancestral()):
        times = sampler.times(process)
        assert (times[0], times[-1], len(times)) == (999, 0, sampler.evaluations)
        assert all(later < earlier for earlier, later in pairwise(times))


def test_noise_is_added_as_the_process_says() -> None:
    process = DDPM(steps=10)
    clean, noise = torch.full((2, 3, 4, 4), 2.0), torch.full((2, 3, 4, 4), -1.0)
    noisy = process.noisy(clean, noise, torch.tensor([0, 9]))
    for row, t in enumerate((0, 9)):
        a = float(process.signal()[t])
        assert float(noisy[row, 0, 0, 0]) == pytest.approx(2 * a**0.5 - (1 - a) ** 0.5, rel=1e-6)


# --- objective ------------------------------------------------------------------------------------------------------


def objective_of(data: TrainingData, process: DDPM | None = None) -> BlockObjective:
    codes = data.images
    near = retrieve(*[keys(Identity(), codes, 2, "cpu", whole=True)] * 2, 3, threads=1)
    views = Views(codes[:, None], near[:, None], codes)
    return BlockObjective(
        views, Identity(), process or DDPM(), block=(3, R // 2), factor=2, scale=0.5, batch_size=6, seed=1, device="cpu"
    )


def test_the_fused_loss_is_that_of_a_loop_over_positions(data: TrainingData) -> None:
    objective, network = objective_of(data), TINY.replace(unet=TINY.unet.replace(use_pos=True)).build(R).eval()
    batch = objective.gather(objective.draw(3, 10))
    (fused,) = objective.losses(network, batch)
    module, slow = Identity(), []
    for position in range(4):
        row, column = divmod(position, 2)
        at = (..., slice(8 * row, 8 * row + 8), slice(8 * column, 8 * column + 8))
        clean = module.latents(batch.codes)[at] / 0.5
        condition = (module.latents(batch.neighbours)[at] / 0.5).flatten(1, 2)
        t = batch.t[:, position]
        noisy = DDPM().noisy(clean, batch.noise[:, position], t)
        predicted = network(noisy, t, condition, torch.full((6,), position))
        slow.append(((predicted - batch.noise[:, position]) ** 2).mean())
    assert fused is not None
    torch.testing.assert_close(fused, torch.stack(slow).mean(), rtol=1e-5, atol=1e-6)


def test_the_batch_of_a_step_is_a_function_of_the_step_alone(data: TrainingData) -> None:
    one, other = (it.gather(it.draw(3, 10)) for it in (objective_of(data), objective_of(data)))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(set(one.t.flatten().tolist())) > 4, "every block has a time step of its own"
    objective = objective_of(data, DDPM(shared_t=True))
    shared = objective.gather(objective.draw(3, 10)).t
    assert (shared == shared[:1]).all()
    assert len(set(shared[0].tolist())) == 4


# --- the network ----------------------------------------------------------------------------------------------------


def parameters(method: Rissole) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in method.build(32).parameters())


def test_the_published_size() -> None:
    method = rissole_of(RissoleRepo().method)
    method.check(32)
    assert method.first_stage.latent(32) == (10, 16)
    assert parameters(method) == pytest.approx(49.1e6, rel=0.01)
    # By hand (the reference's layer shapes): 49,112,586 and 49,665,802 with positions; the rest is a norm and heads.
    assert parameters(method) == pytest.approx(49_112_586, rel=1e-4)
    assert parameters(rissole_of(RissoleClean().method)) == pytest.approx(49_665_802, rel=1e-4)
    assert parameters(rissole_of(RissoleSmall().method)) == pytest.approx(0.85e6, rel=0.01)


def test_readings_differ_in_four_choices() -> None:
    repo, clean = rissole_of(RissoleRepo().method), rissole_of(RissoleClean().method)
    assert (repo.query, repo.exclude_self, repo.unet.use_pos, repo.unet.dropout) == ("first_block", False, False, 0.5)
    assert (clean.query, clean.exclude_self, clean.unet.use_pos, clean.unet.dropout) == ("whole", True, True, 0.1)
    same = clean.replace(query="first_block", exclude_self=False, unet=repo.unet)
    assert same == repo


def test_a_network_without_positions_does_not_know_them_and_one_with_does() -> None:
    for use_pos in (False, True):
        network = TINY.replace(unet=TINY.unet.replace(use_pos=use_pos)).build(R).eval()
        block, guide, t = torch.randn(1, 3, 8, 8), torch.randn(1, 9, 8, 8), torch.tensor([5])
        one, other = (network(block, t, guide, torch.tensor([place])) for place in (0, 3))
        assert torch.equal(one, other) == (not use_pos)


@pytest.mark.parametrize("fusion", ["add", "concat"])
def test_rissole_is_not_invariant_to_the_order_of_its_neighbours(fusion: str) -> None:
    network = TINY.replace(unet=TINY.unet.replace(fusion=fusion)).build(R).eval()
    block, neighbours, t = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 3, 8, 8), torch.tensor([5])
    place = torch.tensor([0])
    with torch.inference_mode():
        one, other = (network(block, t, order.flatten(1, 2), place) for order in (neighbours, neighbours.flip(1)))
    assert float((one - other).abs().max()) > 1e-3


# --- the whole method -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> FittedRissole:
    folder = fit(TINY, data, tmp_path_factory.mktemp("trained"))
    found = TINY.load(folder, resolution=R, embedding_dim=0, runtime=Runtime())
    assert isinstance(found, FittedRissole)
    return found


def requested(indices: range, queries: list[int]) -> SampleRequest:
    return SampleRequest(indices, 0, DDIM(steps=4), 1, np.array(queries), None)


def test_a_sample_does_not_depend_on_its_batch(trained: FittedRissole) -> None:
    whole = trained.sample(requested(range(4), [10, 11, 12, 13]))
    assert (whole.shape, whole.dtype) == ((4, 3, R, R), np.uint8)
    alone = trained.sample(requested(range(2, 3), [12]))
    assert np.abs(whole[2].astype(int) - alone[0].astype(int)).max() <= 1, "but for the rounding of another batch size"
    assert not np.array_equal(whole[0], whole[1])


def test_the_pseudo_query_is_its_own_first_neighbour(trained: FittedRissole, data: TrainingData) -> None:
    condition = trained.condition(requested(range(2), [12, 30]))
    own = split(torch.from_numpy(data.images[[12, 30]]).float() / 127.5 - 1, 2) / trained.scale
    torch.testing.assert_close(condition[:, :, :3], own)


def test_the_noise_of_one_block_changes_no_other(trained: FittedRissole) -> None:
    guide = trained.condition(requested(range(1), [12]))[0]
    position = torch.arange(4)
    noise = torch.randn(4, 3, 8, 8)
    changed = noise.clone()
    changed[2] = torch.randn(3, 8, 8)

    def predict(noisy: Tensor, t: int) -> Tensor:
        found: Tensor = trained.network(noisy, torch.full_like(position, t), guide, position)
        return found

    with torch.inference_mode():
        one, other = (
            DDIM(steps=4).sample(predict, start, trained.process, lambda: noise) for start in (noise, changed)
        )
    moved = (one - other).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert moved.tolist() == [False, False, True, False]


def test_an_interrupted_training_ends_in_the_same_bits(data: TrainingData, tmp_path: Path) -> None:
    method = TINY.replace(
        first_stage=VQGAN(
            training_set=AllImages(),
            channels=(8,),
            latent_channels=3,
            codebook=16,
            heads=1,
            head_dim=8,
            adversarial=0.1,
            adversarial_after=3,
            training=SHORT,
        ),
        flip=True,
    )
    whole = fit(method, data, tmp_path / "whole")

    folders = [tmp_path / "broken" / name for name in ("first", "own")]
    for own, place, rests_on in ((method.first, folders[0], None), (method, folders[1], folders[0])):
        place.mkdir(parents=True)
        stops = 0
        while not (place / "model.safetensors").exists():
            # Asked after every step, and again once the checkpoint is written.
            looks = count(1)
            report = Report(place / "progress.json", should_stop=lambda looks=looks: next(looks) >= 6)  # type: ignore[misc]
            with suppress(StopRequestedError):
                runtime = Runtime(checkpoint_seconds=1e9)
                own.fit(data._replace(first=rests_on), seed=0, folder=place, runtime=runtime, report=report)
            stops += 1
        assert stops >= 3
    assert (folders[1] / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (folders[0] / "codes.npy").read_bytes() == (tmp_path / "whole" / "first" / "codes.npy").read_bytes()


# --- the first stage ------------------------------------------------------------------------------------------------


def autoencoder() -> QuantisedAutoencoder:
    torch.manual_seed(0)
    return QuantisedAutoencoder((8, 16), latent=4, codebook=32, heads=2, head_dim=8)


def test_codes_are_the_nearest_codebook_entries_and_decoding_quantises_first() -> None:
    network = autoencoder()
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    z = network.encoder(images)
    assert z.shape == (3, 4, 4, 4), "every level halves"
    codes = network.encode(images)
    assert (codes.dtype, codes.shape) == (torch.int16, (3, 4, 4))
    slow = ((z.movedim(1, -1)[..., None, :] - network.codewords) ** 2).sum(-1).argmin(-1)
    assert torch.equal(codes.long(), slow)
    latents = network.latents(codes)
    assert torch.equal(latents[1, :, 2, 3], network.codewords[codes[1, 2, 3].long()])
    assert torch.equal(network.decode(latents + 1e-6), network.decode(latents))
    assert network.decode(latents).shape == images.shape
    assert bool((network.decode(latents).abs() <= 1).all())


def losses_of(images: Tensor, weights: Losses, step: int) -> tuple[VQGANNetworks, list[Tensor | None]]:
    data = TrainingData((images * 127.5 + 127.5).byte().numpy(), np.arange(len(images)), np.arange(1))
    torch.manual_seed(0)
    networks = VQGANNetworks(autoencoder(), Discriminator() if weights.adversarial else None)
    objective = VQGANObjective(data, weights, len(images), 0, flip=False, runtime=Runtime())
    batch = objective.gather(objective.draw(step, 0))
    return networks, list(objective.losses(networks, batch))


def test_the_quantisation_loss_moves_the_codebook_and_the_commitment_loss_the_encoder() -> None:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    bare, (plain, _) = losses_of(images, Losses(0.0, 0.25, 0.0, 0), 0)
    full, (whole, _) = losses_of(images, Losses(0.9, 0.25, 0.0, 0), 0)
    assert plain is not None
    assert whole is not None
    plain.backward()  # type: ignore[no-untyped-call]
    whole.backward()  # type: ignore[no-untyped-call]
    first, second = bare.autoencoder, full.autoencoder
    assert first.codewords.grad is not None
    assert float(first.codewords.grad.abs().sum()) == 0, "the gradient of the pixels passes the codebook"
    assert second.codewords.grad is not None
    assert float(second.codewords.grad.abs().sum()) > 0
    moved = [p.grad for p in first.encoder.parameters()]
    assert all(grad is not None and float(grad.abs().sum()) > 0 for grad in moved), "and reaches the encoder"
    # By hand: 0.9 (1 + 0.25) times the squared distance to the codebook entries.
    batch = (images * 127.5 + 127.5).byte().float() / 127.5 - 1
    order = VQGANObjective(
        TrainingData(batch.numpy(), np.arange(4), np.arange(1)),
        Losses(0.9, 0.25, 0.0, 0),
        4,
        0,
        flip=False,
        runtime=Runtime(),
    ).epochs.rows(0, 4)
    z = second.encoder(batch[order])
    gap = ((z - second.latents(second.nearest(z))) ** 2).mean()
    assert float((whole - plain).detach()) == pytest.approx(0.9 * 1.25 * float(gap.detach()), rel=1e-4)


def test_the_discriminator_joins_at_its_first_step_with_a_weight_that_does_not_cancel() -> None:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    _, early = losses_of(images, Losses(0.9, 0.25, 0.1, 5), 4)
    assert early[1] is None
    networks, (own, discriminator_loss) = losses_of(images, Losses(0.9, 0.25, 0.1, 5), 5)
    assert own is not None
    assert discriminator_loss is not None
    # An untrained discriminator says one half: its loss is ln 2.
    assert float(discriminator_loss.detach()) == pytest.approx(math.log(2), rel=0.2)
    _, (twice, _) = losses_of(images, Losses(0.9, 0.25, 0.2, 5), 5)
    _, (without, _) = losses_of(images, Losses(0.9, 0.25, 0.0, 5), 5)
    assert twice is not None
    assert without is not None
    assert float((twice - without).detach()) == pytest.approx(2 * float((own - without).detach()), rel=1e-3)
    last = networks.autoencoder.decoder_end.weight
    pull = torch.autograd.grad(own, last, retain_graph=True)[0].norm()
    assert float(pull) > 0


def test_training_restores_images_better_than_their_mean(data: TrainingData, tmp_path: Path) -> None:
    own = VQGAN(
        training_set=AllImages(),
        channels=(16,),
        latent_channels=4,
        codebook=64,
        heads=1,
        head_dim=8,
        adversarial=0.0,
        training=SHORT.replace(images=6000, learning_rate=3e-3),
    )
    own.fit(data, seed=0, folder=tmp_path, runtime=Runtime(), report=Report(tmp_path / "progress.json"))
    fitted = own.load(tmp_path, resolution=R, embedding_dim=0, runtime=Runtime())
    shown = fitted.sample(SampleRequest(range(N), 0, Heun(), 0, np.zeros(N, np.int64), None)).astype(float)
    real = data.images.astype(float)
    nearest = np.sort(((shown[:, None] - real[None]) ** 2).mean(axis=(2, 3, 4)), axis=1)[:, 0]
    assert nearest.mean() < 0.25 * real.var(axis=0).mean()
    assert len(np.unique(np.load(tmp_path / "codes.npy"))) > 8


# --- refusals and budgets -------------------------------------------------------------------------------------------


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"latent of 16x16 cannot be cut into 3x3 equal blocks.*one of 1, 2, 4, 8, 16"):
        TINY.replace(factor=3).check(16)
    with pytest.raises(InputError, match="blocks of 2x2 latent pixels cannot be halved 2 times"):
        TINY.replace(factor=8).check(16)
    parts = Parts(np.arange(4), np.arange(4, 9))
    with pytest.raises(InputError, match=r"k = 9 is more than its database holds: 9 latents, the query.*k <= 8"):
        TINY.replace(k=9).check_parts(parts)
    with pytest.raises(InputError, match=r"k = 4 is more than its database holds: 4 latents, the query.*k <= 3"):
        TINY.replace(k=4, database="D").check_parts(parts)
    with pytest.raises(InputError, match=r"k = 5 is more than its database holds: 4 latents; use k <= 4"):
        TINY.replace(k=5, database="D", training_set=TrainSplit()).check_parts(parts)
    for method in (TINY, VQGAN()):
        with pytest.raises(InputError, match=r"training.pieces = 2: RISSOLE's .* trains on whole batches only"):
            method.replace(training=SHORT.replace(pieces=2)).check_training(16, 0)
    with pytest.raises(InputError, match="an even number, not 5"):
        BlockUNet(time_sin=5)
    with pytest.raises(InputError, match="would not hold the images of D"):
        TINY.replace(training_set=TrainSplit()).check_parts(parts)
    with pytest.raises(InputError, match="sampler heun does not fit method rissole; use one of ddim, ddpm"):
        TINY.check_sampler(Heun())
    with pytest.raises(InputError, match=r"sampler.steps = 50 but the noise process has 20 steps"):
        TINY.replace(process=DDPM(steps=20)).check_sampler(DDIM())


def test_budgets_are_those_of_prism() -> None:
    for scale, resolution, share in ((LAPTOP, 16, 1.0), (LAPTOP, 32, 1.0), (SMOKE, 16, 1.05)):
        at = scale.replace(dataset=ToyFaces(resolution=resolution, size=64))
        whole = at.method.training_flops(resolution, 64)
        for row in (RissoleRow(), RissoleOnTrain()):
            method = rissole_of(row.method(at))
            own = method.training_flops(resolution, 0)
            first = method.first_stage.training_flops(resolution, 0)
            assert 0.95 * whole <= own + first <= share * whole
            assert first == pytest.approx(0.25 * whole, rel=0.02)


def test_the_small_ones_samples_are_given_more_than_prisms() -> None:
    for resolution in (16, 32):
        at = LAPTOP.replace(dataset=ToyFaces(resolution=resolution, size=64))
        row = RissoleRow()
        own = row.method(at).sampling_flops(row.sampler(at), resolution, 0, 1)
        whole = at.method.sampling_flops(at.sampler, resolution, 64, 1)
        assert own is not None
        assert 1.3 < own / whole < 1.5, "as the preset says"


def test_what_sampling_leaves_idle_is_the_encoder() -> None:
    method = Rissole()
    assert method.active("unet.out.weight")
    assert method.active("first_stage.codewords")
    assert not method.active("first_stage.encoder.0.weight")


def test_operations_by_hand() -> None:
    method = TINY.replace(unet=BlockUNet(channels=(8,), res_per_level=1, time_sin=8, time_dim=8, heads=1, head_dim=8))

    def conv(inputs: int, outputs: int, side: int, kernel: int = 3) -> int:
        return 2 * inputs * outputs * side**2 * kernel**2

    def residual(inputs: int, outputs: int, side: int) -> int:
        skip = conv(inputs, outputs, side, 1) if inputs != outputs else 0
        return conv(inputs, outputs, side) + conv(outputs, outputs, side) + skip + 2 * 8 * outputs

    stem = conv(3, 4, 8) + conv(9, 4, 8) + conv(4, 8, 8)
    attention = conv(8, 24, 4, 1) + conv(8, 8, 4, 1) + 2 * 2 * 16 * 16 * 8
    rising = 2 * 8 * 8 * 4**2 * 4**2
    each = stem + 2 * 2 * 8 * 8 + residual(8, 8, 8) + conv(8, 8, 4) + 2 * residual(8, 8, 4) + attention
    each += rising + residual(16, 8, 8) + conv(8, 3, 8, 1)
    assert method.sampling_flops(DDIM(steps=10), R, 0, 1) == 10 * 4 * each
    assert method.training_flops(R, 0) == 3 * 4 * each * 96
    assert isinstance(method.first, FirstStage)
    assert json.dumps(method.to_json())
    assert isinstance(method.build(R), nn.Module)
