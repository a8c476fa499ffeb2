"""Embeddings from one machine to another: a portable file that knows which images and which encoder it belongs to."""

import hashlib
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from prism_bench.experiments.data.open_data import fit_called, open_data
from prism_bench.experiments.data.source import ImageSource
from prism_bench.experiments.options.data import DataOptions, ExportOptions, ImportOptions
from prism_bench.experiments.screen import Screen
from prism_bench.experiments.tools.complete import complete
from prism_bench.prism.component import Json, canonical, diff, from_json, with_setting
from prism_bench.prism.data.split import Split
from prism_bench.prism.encoders.base import Encoder, Vectors
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.clip_files import take
from prism_bench.prism.engine.runtime import Runtime, usable_cores, whole_file
from prism_bench.prism.engine.store import Store, file_digest
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.devices import device_called
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.stages.data import EmbeddingsStage, SplitStage

FORMAT = "prism-bench embeddings 1"


def export_embeddings(options: ExportOptions, screen: Screen) -> Path:
    """Embed every image of X where that has not been done, and write the portable file.

    Raises:
        InputError: no such data or encoder, an encoder that is fitted on D, weights that cannot be had.
    """
    encoder = _encoder(options)
    if encoder.fitted:
        raise InputError(f"the encoder {encoder.name} is fitted on each retrieval set; it needs no weights to be moved")
    if options.out.suffix != ".npz":
        raise InputError(f"--out {options.out}: embeddings are written as .npz; name such a file")
    store = Store.create(options.store)
    stage = _stage(encoder, _source(options, store, screen))
    runtime = Runtime(device=device_called(options.device), threads=usable_cores())
    complete([stage], store, LocalPool.one(store, runtime, here=True), screen)
    vectors: Vectors = np.load(store.folder(stage.address) / "embeddings.npy")
    facts: Json = {
        "format": FORMAT,
        "encoder": encoder.to_json(),
        "weights_sha256": encoder.weights_sha256,
        "dataset": stage.data.dataset.to_json(),
        "data": stage.data.address.key,
        "sha256": hashlib.sha256(vectors.tobytes()).hexdigest(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(options.out) as file:
        np.savez(file, embeddings=vectors, facts=np.array(canonical(facts)))
    screen.say(f"{len(vectors):,} embeddings by {encoder.name}, {vectors.shape[1]} long")
    screen.say(f"Fingerprint: {file_digest(options.out)}")
    return options.out.absolute()


def import_embeddings(options: ImportOptions, screen: Screen) -> Path:
    """Take a portable file into the store, where every command finds it; returns the folder.

    Raises:
        InputError: not such a file, a damaged one, or embeddings of other images than these.
    """
    path = options.file
    vectors, facts = _read(path)
    encoder = from_json(facts["encoder"])
    store = Store.create(options.store)
    source = _source(options, store, screen)
    if source.missing is not None:
        raise InputError(source.missing)
    stage = _stage(encoder, source)
    own, count = stage.data.address.key, len(source.labels)
    if facts["data"] != own or len(vectors) != count:
        raise InputError(
            f"{path} holds embeddings of {len(vectors):,} other images (digest {facts['data']}) than the {count:,} of "
            f"{source.title} at {stage.data.dataset.resolution}x{stage.data.dataset.resolution} (digest {own}); give "
            "the same images at the same --resolution"
        )
    with store.making(stage.address):
        if store.manifest(stage.address) is None:
            work = store.work(stage.address)
            np.save(work / "embeddings.npy", vectors)
            stage.publish(store, work, seconds=0.0, runtime=Runtime())
    screen.say(f"{count:,} embeddings by {encoder.name} for {source.title}")
    screen.say(f"Retrieve by them: prism-bench run ... {_settings(encoder)}")
    return store.folder(stage.address)


def _settings(encoder: Encoder) -> str:
    """The options of `run` that name an encoder."""
    usual = type(encoder)()
    changed = [f"--set retrieval.encoder.{field}={new}" for field, (_, new) in diff(usual, encoder).items()]
    return " ".join([f"--set retrieval.encoder={encoder.name}", *changed])


def _read(path: Path) -> tuple[Vectors, dict[str, Any]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            vectors, facts = file["embeddings"], json.loads(str(file["facts"]))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(
            f"{path} holds no embeddings ({error}); it should be what `prism-bench data embeddings export` wrote"
        ) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"{path} is not a file of the kind {FORMAT!r}; export it again with this version")
    found = hashlib.sha256(vectors.tobytes()).hexdigest()
    if vectors.dtype != np.float32 or vectors.ndim != 2 or found != facts["sha256"]:
        raise InputError(
            f"{path} is damaged: its embeddings have sha256 {found}, expected {facts['sha256']}; copy it again"
        )
    return vectors, facts


def _encoder(options: ExportOptions) -> Encoder:
    encoder = Encoder.called(options.encoder)
    for setting in options.settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting!r} is not of the form field=value, for example model=ViT-B-16-quickgelu")
        encoder = with_setting(encoder, path, text)
    if options.clip_weights is not None:
        if not isinstance(encoder, CLIP):
            raise InputError(f"--clip-weights {options.clip_weights}: {options.encoder} is no CLIP; leave it out")
        encoder = encoder.replace(pretrained=take(options.clip_weights))
    return encoder


def _source(options: DataOptions, store: Store, screen: Screen) -> ImageSource:
    from prism_bench.experiments.paper.scales import LAPTOP

    return open_data(
        options.data,
        options.dataset,
        LAPTOP.dataset,
        resolution=options.resolution,
        skip_bad=options.skip_bad,
        fit=fit_called(options.fit, files=options.data is not None),
        store=store,
        console=screen.said,
    )


def _stage(encoder: Encoder, source: ImageSource) -> EmbeddingsStage:
    # The split is no part of the identity of an encoder that is not fitted on D.
    split = SplitStage(data=source.stage, split=Split())
    return EmbeddingsStage(data=source.stage, split=split, encoder=encoder, label=f"{encoder.name}, {source.title}")
