"""The `mlops` command: which subcommands there are, and how their ends become exit codes.

What belongs here: the list of commands and the translation of errors. What does not: any work;
a command's module is loaded when it is called.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
import warnings

import click

from include.errors import MlopsError, UsageError, nearest
from include.settings import home_from_env

_COMMANDS = {
    "demo": "include.cli.demo:demo",
    "down": "include.cli.embedded:down",
    "drift": "include.cli.drift:drift",
    "features": "include.cli.features:features",
    "lake": "include.cli.lake:lake",
    "models": "include.cli.models:models",
    "monitor": "include.cli.pipeline:monitor",
    "nights": "include.cli.nights:nights",
    "orders": "include.cli.orders:orders",
    "outcomes": "include.cli.outcomes:outcomes",
    "performance": "include.cli.performance:performance",
    "sources": "include.cli.sources:sources",
    "policy": "include.cli.policy:policy",
    "predictions": "include.cli.predictions:predictions",
    "registry": "include.cli.registry:registry",
    "reproduce": "include.cli.reproduce:reproduce",
    "retraining": "include.cli.retraining:retraining",
    "score": "include.cli.pipeline:score",
    "serve": "include.cli.serve:serve",
    "serving": "include.cli.serving:serving",
    "train": "include.cli.pipeline:train",
    "training-set": "include.cli.pipeline:training_set",
    "up": "include.cli.embedded:up",
}
_INTERRUPTED = 130
# What a disk says of itself; any other error of the system is a fault of ours, and shows where it happened.
_DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "let this user write there"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "move away what is there"),
}
# What a file system says that keeps no folder of that name, or none at all.
_NO_HOME = (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL)


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(
                f"there is no command {args[0]!r}; known: {', '.join(sorted(_COMMANDS))}{nearest(args[0], _COMMANDS)}"
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Run the life of a model in production from the command line: the same steps that the DAGs run."""


def main() -> None:
    """Run the command and leave with 0 (done), 1 (a "no"), 2 (wrong use or unreadable input) or 3 (it broke)."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Orders, scores and passwords: what a command writes is for whoever runs it.
    os.umask(0o077)
    try:
        code = _run()
    except Exception:
        # Nobody has foreseen it: whoever mends it needs the traceback, and whoever called must not take it for a "no".
        traceback.print_exc()
        code = MlopsError.exit_code
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(prog_name="mlops", standalone_mode=False) or 0
    except MlopsError as err:
        code = _fail(str(err), err.exit_code)
    except click.exceptions.Abort:
        code = _fail("interrupted", _INTERRUPTED)
    except click.ClickException as err:
        code = _refuse(err)
    except BrokenPipeError:
        # The reader of our output has gone: nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as err:
        told = _told_of(err)
        if told is None:
            raise
        code = _fail(str(told), told.exit_code)
    return code


def _told_of(err: OSError) -> MlopsError | None:
    """Return what a person can do about an error of the system; None where it is a fault of ours."""
    if err.errno in _DISK:
        return MlopsError(
            f"{err.filename or 'the disk'}: {os.strerror(err.errno)}; {_DISK[err.errno]}, or point MLOPS_HOME, "
            "MLOPS_LAKE_URI or MLOPS_SPECS elsewhere"
        )
    home = home_from_env()
    # What is missing is no folder above it: those are made with it.
    if err.errno in _NO_HOME and err.filename in map(str, (home, *home.parents)):
        return UsageError(
            f"MLOPS_HOME={str(home)!r} can't be made: {os.strerror(err.errno)}; name a folder that is there for a home "
            "alone, or that can be made"
        )
    return None


def _refuse(err: click.ClickException) -> int:
    """Say what is wrong with the words of a command; one without any has asked for help."""
    if isinstance(err, click.exceptions.NoArgsIsHelpError):
        err.show()
        return UsageError.exit_code
    context = err.ctx if isinstance(err, click.UsageError) else None
    said = " ".join(err.format_message().split()).removesuffix(".")
    return _fail(f"{said}; see {context.command_path if context is not None else 'mlops'} --help", UsageError.exit_code)


def _fail(message: str, code: int) -> int:
    click.echo(f"mlops: {' '.join(message.splitlines())}", err=True)
    return code


if __name__ == "__main__":
    main()
