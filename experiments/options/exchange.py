"""Options of `prism-bench export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prism_bench.experiments.options import completion
from prism_bench.experiments.options.option import Option
from prism_bench.experiments.options.trained import TrainedOptions

FORMS = ("safetensors", "hf")
"""What --to takes."""


@dataclass(frozen=True, kw_only=True)
class HandOnOptions(TrainedOptions):
    """The options of `prism-bench export`."""

    run: Annotated[
        str,
        Option(
            completes=completion.rows_run,
            argument=True,
            help="What to hand on: EXPERIMENT/ROW, or the first characters of a training's key or a record.",
        ),
    ]
    out: Annotated[Path, Option(argument=True, help="The folder to write.", writes="folder")]
    to: Annotated[
        str,
        Option(
            completes=completion.words(*FORMS),
            help="safetensors, or hf: with a model card as the Hugging Face Hub reads it.",
        ),
    ] = "safetensors"
    licence: Annotated[
        str | None, Option(help="Licence of the weights, for the card: cc-by-4.0 (default: none is stated).")
    ] = None
    push: Annotated[str | None, Option(help="Upload the folder to this repository of the Hub: USER/NAME.")] = None
    public: Annotated[
        bool, Option(flag="--public", help="A repository that --push makes is open to all (default: to you).")
    ] = False
    endpoint: Annotated[
        str | None, Option(envvar="HF_ENDPOINT", help="Address of the Hub (default: Hugging Face's own).")
    ] = None
    force: Annotated[bool, Option(flag="--force", help="Write over what is there.")] = False
