"""Feed everything that reads what others wrote with input that grows towards new code.

Needs atheris. What breaks a target is kept, in the file that is named at the
end; so is, with --keep, what reached new code.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from . import corpus

LONGEST = 4096  # bytes of an input
LONGEST_KEPT = 200
WORDS = (
    *("class", "args", "queue", "run_at", "payload", "failed_at", "retried_at", "raw", "forensics"),
    *("report", "used", "performed", "failed", "handled", "exception", "backtrace", r"\\ud800"),
)


@click.command(help=__doc__)
@click.argument("names", metavar="[TARGET]...", nargs=-1)
@click.option("--seconds", default=60, show_default=True, help="Time for each target.")
@click.option("--keep", is_flag=True, help="Add what reached new code to the corpus.")
@click.option("--list", "only_list", is_flag=True, help="Show the targets.")
def main(names: tuple[str, ...], seconds: int, keep: bool, only_list: bool) -> None:
    known = sorted(path.stem for path in corpus.HERE.glob("*.json"))
    if only_list:
        click.echo("\n".join(known))
        return
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no target is called {min(unknown)}: use {', '.join(known)}")
    broken = [name for name in names or known if not _fuzz(name, seconds, keep)]
    if broken:
        raise click.ClickException(f"broken: {', '.join(broken)}")


def _fuzz(name: str, seconds: int, keep: bool) -> bool:
    """Whether the target kept its promise for so long."""
    with tempfile.TemporaryDirectory(prefix="resque-fork-fuzz-") as folder:
        inputs, words = Path(folder, "inputs"), Path(folder, "words")
        words.write_text("".join(f'"\\"{word}\\""\n' for word in WORDS) + '"1e999"\n"NaN"\n')
        inputs.mkdir()
        seeds = corpus.load(name)
        for number, raw in enumerate(seeds):
            (inputs / f"seed-{number}").write_bytes(raw)
        options = {
            "max_total_time": seconds,
            "timeout": 10,  # seconds for one input
            "max_len": LONGEST,
            "dict": words,
            "artifact_prefix": f"{tempfile.gettempdir()}/resque-fork-fuzz-{name}-",
            "print_final_stats": 1,
        }
        command = [sys.executable, "-m", "fuzz.one", name, str(inputs)]
        command += [f"-{option}={value}" for option, value in options.items()]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode:
            click.echo(done.stderr[-5000:])
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_exec" in line]
        said = "broken" if done.returncode else "fine"
        click.echo(f"{name:>12}  {said} after {runs[-1] if runs else 0} inputs")
        if keep:
            found = [path.read_bytes() for path in inputs.iterdir()]
            corpus.save(name, [*seeds, *(raw for raw in found if len(raw) <= LONGEST_KEPT)])
        return done.returncode == 0


if __name__ == "__main__":
    main()
