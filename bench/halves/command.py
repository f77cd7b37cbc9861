"""Run a command and print {"seconds", "megabytes", "output"} as JSON: wall time and peak resident memory.

It imports next to nothing: until a command begins, its peak is that of the process which starts it.
"""

import json
import os
import subprocess
import sys
import time

start = time.perf_counter()
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
if process.returncode:
    sys.exit(f"{sys.argv[1:]} failed with {process.returncode}")
megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "output": output}))
