"""The README.txt of a bundle."""

from collections.abc import Sequence

from prism_bench.experiments.store.inventory import StoredPlan

TEXT = """\
Results of prism-bench
======================

{plans}

What is here
------------
  records/          one JSON file for every result: values, floors, costs, configuration, versions
  experiments/      what was asked: rows, seeds, quoted numbers, the command
  reports/          tables and pictures
  tuning/           what was tuned, and every trial, in a bundle of all that has such studies
  stages/           for every step its stage.json: parameters, inputs, checksums; measured values; training logs
{large}
  environment.json  versions of the libraries that computed the results
  MANIFEST.json     SHA-256 of every other file

Tables again, from the records (prism-bench without torch is enough)
--------------------------------------------------------------------
  prism-bench report all --store .

Compare the runs in a browser
-----------------------------
  prism-bench sync --store .
  prism-bench ui --store .

Compute everything again
------------------------
Use a fresh folder as the store. In the commands, STORE and HOME stand for folders of the machine that wrote them,
and other paths are shortened to their last part: put your own there. Data and plug-ins that they name are not here.

{commands}

The same versions, device, threads and seeds give the same numbers.
{missing}"""


def readme(plans: Sequence[StoredPlan], commands: Sequence[str], *, large: str, missing: Sequence[str]) -> str:
    """What the bundle holds, how to rebuild it, and what is missing from it."""
    gaps = "\n".join(["", "Missing", "-------", *(f"  {line}" for line in missing), ""]) if missing else ""
    return TEXT.format(
        plans="\n".join(dict.fromkeys(f"  {plan.title}" for plan in plans)),
        commands="\n".join(dict.fromkeys(f"  {command}" for command in commands)),
        large=f"                    {large}",
        missing=gaps,
    )
