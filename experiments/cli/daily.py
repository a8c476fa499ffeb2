"""`sample`, `evaluate`, `compare` and `export`: what has been trained."""

import shlex

from prism_bench.experiments.cli.command import print_document, screen, takes
from prism_bench.experiments.options.exchange import HandOnOptions
from prism_bench.experiments.options.trained import CompareOptions, EvaluateOptions, SampleOptions


@takes(SampleOptions)
def sample(options: SampleOptions) -> None:
    """Draw images from a trained variant, in the store or exported."""
    from prism_bench.experiments.tools.exchange.draw import run_sample

    say = screen(options)
    out = run_sample(options, say)
    say.tell(f"Samples: {out}")
    if options.as_json:
        print_document({"run": options.run, "n": options.n, "seed": options.seed, "files": [str(out.absolute())]})


@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Measure a trained variant against its own data, or one set of pictures against another."""
    from prism_bench.experiments.tools.evaluate import run_evaluate

    say = screen(options)
    found = run_evaluate(options, say)
    for line in (found.title, *found.lines()):
        say.tell(line)
    if options.out is not None:
        say.tell(f"Written to {options.out.absolute()}")
    if options.as_json:
        written = [] if options.out is None else [str(options.out.absolute())]
        print_document({**found.document(), "files": written})


@takes(CompareOptions)
def compare(options: CompareOptions) -> None:
    """Put computed rows side by side: settings, metrics with paired intervals, samples from the same noise."""
    from prism_bench.experiments.tools.compare import run_compare

    say = screen(options)
    found = run_compare(options)
    found.show(say)
    say.tell(f"\nPictures and tables: {found.folder.absolute()}")
    say.say("  " + "  ".join(path.name for path in found.files))
    if options.as_json:
        print_document(found.document())


@takes(HandOnOptions)
def export(options: HandOnOptions) -> None:
    """Write a trained variant as a folder that can be sampled from and trained on anywhere, with a model card."""
    from prism_bench.experiments.tools.exchange.write_export import run_export

    say = screen(options)
    found = run_export(options, say)
    say.tell(f"Exported: {found.folder}")
    say.say("  " + "  ".join(found.files))
    if found.address is not None:
        say.tell(f"Uploaded: {found.address}")
    plugins = [word for path in options.plugins for word in ("--plugin", str(path))]
    say.say(f"Sample from it: {shlex.join(['prism-bench', 'sample', str(options.out), '--n', '16', *plugins])}")
    if options.as_json:
        files = [str(found.folder / name) for name in found.files]
        print_document(
            {"run": options.run, "training": found.config.training, "address": found.address, "files": files}
        )
