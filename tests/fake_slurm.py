"""A Slurm of one machine for tests: called as sbatch, srun, squeue, scancel or scontrol, it runs jobs as processes.

Jobs are files in the folder FAKE_SLURM: <id>.json with state, script and process. Where that folder holds a file
`hold`, jobs wait.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("FAKE_SLURM", "."))
KNOWN = (
    "partition",
    "time",
    "gres",
    "gpus-per-node",
    "cpus-per-task",
    "mem",
    "exclude",
    "exclusive",
    "qos",
    "test-only",
)


def read(job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{job}.json").read_text())
    return found


def write(job: str, **facts: Any) -> None:
    path = FOLDER / f"{job}.json"
    old = read(job) if path.exists() else {}
    path.with_suffix(f".{os.getpid()}").write_text(json.dumps(old | facts))
    path.with_suffix(f".{os.getpid()}").replace(path)


def sbatch(arguments: list[str]) -> None:
    if arguments == ["--help"]:
        print("Usage: sbatch\n" + "\n".join(f"  -x, --{name}=value   what it is" for name in KNOWN))
        return
    if "--partition=nope" in arguments:
        sys.exit("sbatch: error: invalid partition specified: nope")
    if "--test-only" in arguments:
        return
    job = str(1 + len(list(FOLDER.glob("*.json"))))
    write(job, state="PENDING", script=arguments[0], pid=0)
    # Whoever reads what sbatch says must not wait for the job.
    quiet: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.Popen([sys.executable, __file__, "run", job], start_new_session=True, **quiet)
    print(f"Submitted batch job {job}")


def run(job: str) -> None:
    """What slurmd does: the script, again where the job was queued again."""
    while read(job)["state"] == "PENDING":
        if (FOLDER / "hold").exists():
            time.sleep(0.1)
            continue
        write(job, state="RUNNING")
        script = subprocess.run(["bash", read(job)["script"]], env={**os.environ, "SLURM_JOB_ID": job}, check=False)
        if read(job)["state"] == "RUNNING":
            write(job, state="FAILED" if script.returncode else "COMPLETED")


def srun(arguments: list[str]) -> int:
    job = os.environ["SLURM_JOB_ID"]
    out = Path(arguments[2].replace("%j", job).replace("%t", "0"))
    command = [part.replace("%j", job) if part.endswith("/%j") else part for part in arguments[3:]]
    assert arguments[:2] == ["--unbuffered", "--output"]
    assert "submitit.core._submit" in command
    environment = {**os.environ, "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    out.parent.mkdir(exist_ok=True)  # submitit makes it when sbatch has answered
    with out.open("a") as log:
        task = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    write(job, pid=task.pid)
    return task.wait()


def squeue() -> None:
    for path in sorted(FOLDER.glob("*.json")):
        state = read(path.stem)["state"]
        print(f"{path.stem}|{state}|{'Priority' if state == 'PENDING' else 'None'}")


def scancel(arguments: list[str]) -> None:
    polite = arguments[0].startswith("--signal=")
    for job in arguments[polite:]:
        facts = read(job)
        if facts["state"] not in {"PENDING", "RUNNING"}:
            continue
        if not polite:
            write(job, state="CANCELLED")
        if facts["state"] == "RUNNING":
            os.kill(facts["pid"], signal.SIGTERM if polite else signal.SIGKILL)


def main() -> int:
    program, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if program == "fake_slurm.py":
        program, arguments = arguments[0], arguments[1:]
    with (FOLDER / "calls.txt").open("a") as calls:
        calls.write(shlex.join([program, *arguments]) + "\n")
    if program == "srun":
        return srun(arguments)
    if program == "scontrol":
        assert arguments[0] == "requeue"
        write(arguments[1], state="PENDING")
    elif program == "run":
        run(arguments[0])
    elif program == "squeue":
        squeue()
    elif program == "scancel":
        scancel(arguments)
    else:
        sbatch(arguments)
    return 0


def install(folder: Path) -> dict[str, str]:
    """Make the programs in a folder; returns the variables by which they are found."""
    (folder / "bin").mkdir(parents=True)
    for name in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {name} "$@"\n')
        program.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


if __name__ == "__main__":
    sys.exit(main())
