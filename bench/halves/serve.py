"""The end of a pipe: one measurement for each line of JSON that comes in, its answer a line of JSON that goes out.

A half stays alive for all rounds, so that it loads once and waits while the other half is measured. No half but
Diptych's own imports Diptych.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(measure: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer requests until there are no more; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(measure(json.loads(line))) + "\n")
