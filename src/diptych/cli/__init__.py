"""The command line: parse, call, print. One file per verb; nothing here imports torch."""

import io
import sqlite3
import sys
import warnings
from typing import Any

INTERRUPTED = 130  # as a shell reports Ctrl-C
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")  # CUDA's and the CPU's words


def main() -> None:
    """Run `diptych`: exit 0 when done, 1 when something failed, 2 for wrong usage; one line on stderr says what."""
    warnings.showwarning = _print_warning
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold what the terminal's encoding does not
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run(sys.argv[1:] or ["--help"]))
    except KeyboardInterrupt:
        sys.exit(_interrupted())


def _run(arguments: list[str]) -> int:
    import typer

    from diptych.cli.app import app
    from diptych.errors import DiptychError

    # Click's UsageError; some versions of typer use click's own, others carry a copy.
    usage_error: type[Any] = typer.BadParameter.__mro__[1]
    try:
        status = app(args=arguments, prog_name="diptych", standalone_mode=False)
        return _interrupted() if status == INTERRUPTED else int(status or 0)
    except typer.Abort:  # what older versions of typer make of Ctrl-C
        return _interrupted()
    except usage_error as error:
        command = error.ctx.command_path if error.ctx else "diptych"
        message = error.format_message()
        return _report(f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{command} --help`.", status=2)
    except DiptychError as error:
        return _report(error)
    except sqlite3.Error as error:  # the library raises its own errors, but for a file that is damaged within
        return _report(f"The library's database cannot be used ({error}): `diptych library check` says more.")
    except OSError as error:
        return _report(f"{str(error.filename)[:200]}: {error.strerror}." if error.filename else error)
    except ValueError as error:  # the library's word for a bad argument
        return _report(error, status=2)
    except (MemoryError, RuntimeError) as error:  # torch's allocators raise RuntimeErrors
        if not isinstance(error, MemoryError) and not any(each in str(error) for each in _OUT_OF_MEMORY):
            raise
        return _report("There is not enough memory for this: try a smaller model, smaller batches or fewer items.")


def _interrupted() -> int:
    print("diptych: interrupted.", file=sys.stderr)  # noqa: T201
    return INTERRUPTED


def _report(error: object, *, status: int = 1) -> int:
    line = " ".join(str(error).split())
    # Names of files and what servers answer may hold what a terminal obeys.
    shown = line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    print(f"diptych: {shown}", file=sys.stderr)  # noqa: T201
    return status


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:  # noqa: ANN401
    _report(message)
