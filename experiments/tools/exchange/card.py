"""The model card of an export: what the weights are, what of the data goes along, what was measured, how to sample.

Every number in it is a record's; what is not known is said to be so.
"""

import json
from collections.abc import Iterator

from prism_bench.analysis import formatting
from prism_bench.experiments.formatting import counted, size
from prism_bench.experiments.tools.exchange.row_results import MetricResult, RowResults
from prism_bench.experiments.tools.find import Trained
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.weights.export_folder import CONFIG, RETRIEVAL, WEIGHTS, ExportConfig

TASK = "unconditional-image-generation"
SCALES = {
    "smoke": "Scale smoke shows that the whole way works: its numbers mean nothing.",
    "laptop": "Scale laptop is small: its numbers compare rows of one table, and no publication's.",
}


def card(config: ExportConfig, trained: Trained, results: RowResults | None, *, licence: str | None, hub: bool) -> str:
    """README.md; with the front matter that the Hugging Face Hub reads where it is for the `hub`.

    licence: of the weights, where whoever hands them on states one.
    """
    parts = [_front_matter(config, results, licence)] if hub else []
    sections = (
        [f"# {config.label}", _about(config, trained)],
        ["## How to sample", *_how(config)],
        ["## Data", *_data(config, trained)],
        ["## Budget", *_budget(results)],
        ["## Results", *_results(results)],
        ["## Licence", *_licence(trained, licence)],
    )
    parts += ["\n\n".join(section) for section in sections]
    return "\n\n".join(parts) + "\n"


def _about(config: ExportConfig, trained: Trained) -> str:
    return (
        f"Images of {config.resolution}x{config.resolution} by the method {trained.stage.method.name} of prism-bench "
        f"{config.version}, which benchmarks PRISM: patch diffusion with retrieved neighbours as its global view. "
        f"These are the weights of the training `{config.training}` (seed {config.train_seed}); {CONFIG} holds the "
        f"method with all its settings (digest `{config.method_digest[:20]}`), and the digest of every file."
    )


def _how(config: ExportConfig) -> Iterator[str]:
    plugins = "".join(f" --plugin {name}" for name in config.plugins)
    yield f"```\npip install prism-bench\nprism-bench sample FOLDER --n 16 --out samples.png{plugins}\n```"
    if config.plugins:
        yield f"Components of it are declared in {', '.join(config.plugins)}, which this folder does not hold."
    sampler = config.sampler
    name, steps = str(sampler["component"]).partition("/")[2], sampler.get("steps")
    guided = f" and {counted(config.k_sample, 'neighbour')}" if config.width else ""
    yield (
        f"By default with {name}, {steps} steps{guided}. Sample i of a seed is the image that `prism-bench sample` "
        "draws where the model was trained: the same bits for the same --n, versions and number of threads on the same "
        "kind of device, the same up to rounding otherwise. The file "
        f"`{WEIGHTS}` opens with `safetensors.torch.load_file`, and `prism-bench train VARIANT --from FOLDER` goes on "
        "from it."
    )


def _data(config: ExportConfig, trained: Trained) -> Iterator[str]:
    data, stage = config.data, trained.stage
    yield (
        f"{data.label}: {data.images:,} images, {data.retrieval:,} of them the retrieval set D and {data.train:,} "
        f"X_train (digest `{data.digest}`). Trained on {stage.method.trained_on}."
    )
    yield " ".join(["What of the data is in this folder:", *_along(config, trained)])


def _along(config: ExportConfig, trained: Trained) -> Iterator[str]:
    method, data = trained.stage.method, config.data
    if RETRIEVAL in config.files:
        places = f"the places of the {data.retrieval:,} images of D in the dataset"
        if config.width and method.conditioning is not None:
            yield (
                f"`{RETRIEVAL}` ({size(config.files[RETRIEVAL].bytes)}) holds {places}, their embeddings by "
                f"{method.conditioning.encoder.name} ({config.embedding_dim} numbers each), and the {config.width} "
                "nearest of each; no pixels. Embeddings tell something of their pictures: whoever has a picture can "
                "tell whether it was in D."
            )
        else:
            yield f"`{RETRIEVAL}` holds {places}."
    more = sorted(config.files.keys() - {WEIGHTS, RETRIEVAL})
    if more:
        what = method.keeps or "what the method kept, of which only its author can say what it tells of the images"
        yield f"{', '.join(f'`{name}`' for name in more)}: {what}."
    if RETRIEVAL not in config.files and not more:
        yield "nothing but what the weights have learnt."


def _budget(results: RowResults | None) -> Iterator[str]:
    if results is None:
        yield f"The method's settings are in {CONFIG}; no record says what the training cost."
        return
    record, cost = results.record, results.record.cost
    known = {
        "parameters": record.parameters and formatting.parameters(record.parameters),
        "images (patches) seen in training": cost.images and formatting.count(cost.images),
        "operations of training": cost.train_flops and formatting.operations(cost.train_flops),
        "time of training": cost.train_seconds and formatting.duration(cost.train_seconds),
    }
    yield "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| scale | {record.scale} |",
            *(f"| {name} | {it} |" for name, it in known.items() if it),
        ]
    )


def _results(results: RowResults | None) -> Iterator[str]:
    if results is None or not results.metrics:
        yield "Nothing was measured under the name by which this was exported."
        return
    record = results.record
    yield (
        f"{record.variant} on {record.dataset.label} (digest `{record.dataset.digest}`) at scale {record.scale}: mean "
        f"and 95% t interval over {formatting.seeds(results.seeds)}, the value of these weights, and what real images "
        f"score in place of samples. {SCALES.get(record.scale, '')}".rstrip()
    )
    head = ["| metric | mean over seeds | seeds | these weights | real images | n |", "|---|---|---|---|---|---|"]
    yield "\n".join([*head, *map(_line, results.metrics)])
    few = "One seed has no interval. " if len(results.seeds) == 1 else ""
    yield (
        f"{few}Values compare only where metric, encoder, n and reference are the same. `real images`: as many real "
        "images in place of samples, against other real ones; what is better than that is so by chance, or by copying."
    )


def _line(metric: MetricResult) -> str:
    own, over = metric.own, metric.over_seeds
    places = formatting.decimals([own.value, over.mean])
    half = "" if over.half_width is None else f" ± {formatting.fixed(over.half_width, places)}"
    floor = "" if own.floor is None else formatting.fixed(own.floor, places)
    arrow = "lower" if own.better == "lower" else "higher"
    unit = f", {own.unit}" if own.unit else ""
    return (
        f"| {own.label}{unit} ({arrow} is better) | {formatting.fixed(over.mean, places)}{half} | {over.n} | "
        f"{formatting.fixed(own.value, places)} | {floor} | {own.n:,} |"
    )


def _licence(trained: Trained, licence: str | None) -> Iterator[str]:
    weights = (
        "No licence is stated for these weights: whoever hands them on decides (--licence)."
        if licence is None
        else f"These weights: {licence}."
    )
    yield f"{weights} prism-bench itself is under Apache-2.0."
    dataset = trained.stage.data.dataset
    if isinstance(dataset, PaperDataset):
        yield f"The data: {dataset.title}, {dataset.supply.page}; licence: {dataset.supply.licence}."
    else:
        yield "The licence of the data is not known to prism-bench."


def _front_matter(config: ExportConfig, results: RowResults | None, licence: str | None) -> str:
    """YAML, each value as JSON, which YAML takes. A licence only where one is stated: it is not ours to choose."""
    dataset = str(config.data.dataset["component"]).partition("/")[2]
    lines: dict[str, object] = {
        "library_name": config.library_name,
        "pipeline_tag": TASK,
        "tags": ["prism-bench", "diffusion", "safetensors", TASK],
        "datasets": [dataset],
    }
    if licence is not None:
        lines["license"] = licence
    if results is not None and results.metrics:
        lines["metrics"] = [metric.own.name for metric in results.metrics]
        lines["model-index"] = [{"name": config.label, "results": [_indexed(config, dataset, results)]}]
    text = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in lines.items())
    return f"---\n{text}\n---"


def _indexed(config: ExportConfig, dataset: str, results: RowResults) -> dict[str, object]:
    """As the Hub shows them: the means."""
    scale = results.record.scale
    return {
        "task": {"type": TASK},
        "dataset": {"type": dataset, "name": config.data.label},
        "metrics": [
            {
                "type": metric.own.name,
                "name": f"{metric.own.label}, scale {scale}, n = {metric.own.n}, mean of {metric.over_seeds.n} seeds",
                "value": metric.over_seeds.mean,
            }
            for metric in results.metrics
        ],
    }
