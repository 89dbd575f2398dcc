"""Generate `controller/grpc/gen` from the definitions beside this file, or check that it is up to date.

Usage: python protos/generate.py [--check]

protoc writes imports as if its output folder were on `sys.path`. Ours is a package inside `controller`, so every
mention of a generated module gets that prefix, and no folder has to be on the path.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
OUTPUT = PROTOS.parent / "controller" / "grpc" / "gen"
PACKAGE = "controller.grpc.gen"

_HEAD = '"""Generated from `protos/`; see there."""\n'
_ROOTS = "|".join(sorted(path.name for path in PROTOS.iterdir() if path.is_dir() and not path.name.startswith("_")))
_MODULE = re.compile(rf"(?<![\w.])(?:{_ROOTS})(?:\.\w+)*_pb2\b")
_FROM_IMPORT = re.compile(rf"^from ((?:{_ROOTS})(?:\.\w+)*) import ", re.MULTILINE)


def generate(folder: Path) -> None:
    """Fill the folder with the modules of all definitions."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    # The plugin is run as a module of this very interpreter: its script need not be on the PATH.
    plugin = folder.parent / "protoc-gen-grpclib_python"
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from grpclib.plugin.main import main; main()"\n')
    plugin.chmod(0o700)
    outputs = [f"--{name}_out={folder}" for name in ("python", "pyi", "grpclib_python")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"--plugin={plugin}", *outputs, *sources], check=True
    )
    for path in sorted(folder.rglob("*_grpc.py")):
        if "class " not in path.read_text():
            path.unlink()  # a definition without a service
    for path in sorted(folder.rglob("*.py*")):
        text = _MODULE.sub(lambda match: f"{PACKAGE}.{match[0]}", path.read_text())
        path.write_text(_FROM_IMPORT.sub(rf"from {PACKAGE}.\1 import ", text))
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (inner / "__init__.py").write_text(_HEAD)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py*") if path.suffix != ".pyc"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something would change")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary) / "gen"
        fresh.mkdir()
        generate(fresh)
        new = contents(fresh)
    old = contents(OUTPUT) if OUTPUT.exists() else {}
    stale = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
    if check:
        for name in stale:
            print(f"{OUTPUT / name} does not match protos/: run `nox -s protos`", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name not in new:
            (OUTPUT / name).unlink()
            continue
        (OUTPUT / name).parent.mkdir(parents=True, exist_ok=True)
        (OUTPUT / name).write_text(new[name])
        print(f"wrote {OUTPUT / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
