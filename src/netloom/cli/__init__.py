"""The command line: ``netloom fit | predict | inspect | report | refine | update | diff | export | bench | pretrain``.

One thin file per command; options.py reads what several take, show.py prints. Only typer is imported before a command runs.
Errors become one line and an exit code here and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from netloom import __version__
from netloom.cli import bench, diff, export, fit, inspect, predict, pretrain, refine, report, update
from netloom.errors import NetloomError

__all__ = ["app", "main"]

_WrongUse: Any = typer.BadParameter.__bases__[0]  # click's UsageError, which newer typers carry under another name
LONGEST = 500  # characters of an error: names of columns may be pages long
INTERRUPTED, PIPE_CLOSED, DISK = 130, 141, 4  # as a shell reports SIGINT and SIGPIPE; as `FileError`


class _Commands(TyperGroup):
    """Runs a command; what goes wrong becomes one line on standard error and an exit code."""

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        asked = bool(args)  # reading them takes them away
        try:
            return super().make_context(info_name, args, parent, **extra)
        except _WrongUse as error:  # before any command
            if not asked:  # shows the help, as an error of typer's
                raise
            raise _wrong_use(error) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except NetloomError as error:
            _say(" ".join(str(error).split()))
            raise typer.Exit(error.exit_code) from None
        except _WrongUse as error:  # an option that is unknown, absent or not of its type
            raise _wrong_use(error) from None
        except KeyboardInterrupt:
            _say(f"interrupted; {ctx.obj or 'nothing was written'}")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            _forget_stdout()
            if error.errno == errno.EPIPE:  # whoever read our output has enough
                raise typer.Exit(PIPE_CLOSED) from None
            _say(" ".join(f"{error.filename or 'output'}: {error.strerror or error}".split()))
            raise typer.Exit(DISK) from None
        except MemoryError:
            _say("out of memory; give fewer rows or columns")
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Commands,
    name="netloom",
    help="Generate a small neural network for a labelled table: architecture and weights.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit")(fit.fit)
app.command("predict")(predict.predict)
app.command("inspect")(inspect.inspect)
app.command("report")(report.report)
app.command("refine")(refine.refine)
app.command("update")(update.update)
app.command("diff")(diff.diff)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("pretrain")(pretrain.pretrain)


def main() -> None:
    """The ``netloom`` command."""
    try:
        app(prog_name="netloom")
    except KeyboardInterrupt:  # before a command has begun
        _say("interrupted; nothing was written")
        sys.exit(INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"netloom {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


def _wrong_use(error: Any) -> typer.Exit:
    use = getattr(error, "ctx", None)
    _say(f"{' '.join(error.format_message().split()).rstrip('.')}; see {use.command_path if use else 'netloom'} --help")
    return typer.Exit(error.exit_code)


def _say(line: str) -> None:
    print(f"netloom: {line if len(line) <= LONGEST else line[: LONGEST - 3] + '...'}", file=sys.stderr)


def _forget_stdout() -> None:
    """Nothing more can be written there: keep Python from trying again, and complaining, when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # not a file: a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
