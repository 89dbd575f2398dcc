"""Run the measurements beside this file, each in a process of its own: `python -m tests.bench [NAME...]`.

Every module here measures one part and prints its rows. Figures of two machines cannot be compared, nor those of two
hours on a shared one: the first line says how fast a fixed loop ran just now, before and after.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
LOOP = 2_000_000


def loop_seconds() -> float:
    """How long a fixed piece of work takes just now; the best of three."""
    times: list[float] = []
    for _ in range(3):
        begin = time.process_time()
        total = 0
        for number in range(LOOP):
            total += number & 7
        times.append(time.process_time() - begin)
    return min(times)


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def main(wanted: list[str]) -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    if unknown := set(wanted) - set(names):
        raise SystemExit(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    print(f"{machine()}; fixed loop: {loop_seconds() * 1e3:.0f} ms")
    failed = False
    for name in wanted or names:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode != 0
    print(f"\nfixed loop: {loop_seconds() * 1e3:.0f} ms")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
