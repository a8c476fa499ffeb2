"""The reference of `import prism_bench`: the names that it has, from its own list."""

from prism_bench import _MODULES

INTRODUCTION = """# Python

```python
import prism_bench as pb
```

What cannot be done raises `pb.InputError` before anything is computed. Options are those of the \
[commands](commands.md), with the same names and values: `seeds=(0, 1)`, `settings={"training.images": 50000}`; \
`help(pb.run)` lists them. Notebooks: [first steps](../../examples/first-steps.ipynb), \
[a variant of your own](../../examples/own-variant.ipynb), [reading results](../../examples/reading-results.ipynb).
"""
FUNCTIONS = "## What the commands do\n"
CLASSES = """## What a plug-in builds on

Which of them to take for what, and where it goes: [contributing](../../CONTRIBUTING.md#one-place-to-touch). Their \
members are listed by `prism-bench list FAMILY`.
"""
CONTRACTS = """## Contracts for the tests of a plug-in

```python
from prism_bench.testing import ScheduleContract
```
"""


def python_page() -> str:
    """Markdown for mkdocstrings."""
    from prism_bench import testing

    parts = [INTRODUCTION, FUNCTIONS]
    names = {name: f"prism_bench.{module}.{name}" for module, names in _MODULES.items() for name in names}
    functions = {name: path for name, path in names.items() if name[0].islower()}
    parts += [entry(f"pb.{name}", path) for name, path in functions.items()]
    parts += [CLASSES, *(entry(f"pb.{name}", path) for name, path in names.items() if name not in functions), CONTRACTS]
    parts += [entry(f"testing.{law}", f"{getattr(testing, law).__module__}.{law}") for law in testing.__all__]
    return "\n".join(parts)


def entry(heading: str, path: str) -> str:
    """One name."""
    return f'::: {path}\n    options:\n      heading: "{heading}"\n      toc_label: "{heading}"\n'
