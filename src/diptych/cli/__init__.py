"""The command line: parse, call, print. One file per verb; nothing here imports torch."""

import sys
import warnings
from typing import Any

INTERRUPTED = 130  # as a shell reports Ctrl-C


def main() -> None:
    """Run `diptych`: exit 0 when done, 1 when something failed (one line on stderr says what), 2 for wrong usage."""
    from diptych.cli.app import app
    from diptych.errors import DiptychError

    warnings.showwarning = _print_warning
    try:
        app(prog_name="diptych")
    except (DiptychError, ValueError, OSError) as error:
        sys.exit(_report(error))
    except MemoryError:
        sys.exit(_report(MemoryError("There is not enough memory for this: try a smaller model or fewer items.")))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)


def _report(error: Exception) -> int:
    print(f"diptych: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
    return 1


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:  # noqa: ANN401
    print(f"diptych: {message}", file=sys.stderr)  # noqa: T201
