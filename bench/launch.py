"""Run a program and write down what it took. Small on purpose: a child's peak memory begins with that of its parent."""

import json
import os
import sys
import time


def main() -> None:
    """Run argv[2:] and write seconds, CPU seconds, peak KiB and exit code as JSON to the file descriptor argv[1]."""
    report, argv = int(sys.argv[1]), sys.argv[2:]
    before = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, usage = os.wait4(child, 0)
    taken = {
        "seconds": time.perf_counter() - before,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    os.write(report, json.dumps(taken).encode())


if __name__ == "__main__":
    main()
