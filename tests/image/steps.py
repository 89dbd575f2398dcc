"""Performs the Dockerfile's steps as plain commands, in a folder: what `docker build` would do, where there is none.

    python -m tests.image.steps FOLDER      make the image's files below FOLDER/image, and list them

Only what our Dockerfile uses is understood, and an instruction that is not is an error. Every stage has the same root
while it is made, so that the paths which programs remember are good in the last one, too. The base image is the Python
that runs this.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
# What the Dockerfile calls by an absolute path, and what is the folder's here.
_OURS = re.compile(r"(?<![\w./$}])/(?=(opt|src|dist|linkerd-policy-controller)\b)")


class Misunderstood(Exception):
    """The Dockerfile says something that this does not know."""


@attrs.define
class Config:
    """How a container of the image is started."""

    env: dict[str, str] = attrs.field(factory=dict[str, str])
    user: str = ""
    entrypoint: list[str] = attrs.field(factory=list[str])
    cmd: list[str] = attrs.field(factory=list[str])
    workdir: str = "/"


@attrs.define
class Builder:
    """One build; `image` is the root of the stage in progress, and in the end of the image."""

    context: Path
    folder: Path
    args: dict[str, str] = attrs.field(factory=dict[str, str])
    config: Config = attrs.field(factory=Config)
    _stage: str = ""

    @property
    def image(self) -> Path:
        return self.folder / "image"

    def build(self) -> None:
        for name, rest in instructions((self.context / "Dockerfile").read_text()):
            step = _STEPS.get(name)
            if step is None:
                raise Misunderstood(f"{name} {rest}")
            step(self, rest)
        (self.folder / "config.json").write_text(json.dumps(attrs.asdict(self.config)))

    def arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self.args.setdefault(name, default)

    def begin(self, rest: str) -> None:
        match = re.fullmatch(r"python:(\d+\.\d+)-slim(@sha256:\w+)?(?: AS (\w+))?", self._with_args(rest))
        if match is None or match[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
            raise Misunderstood(f"FROM {rest}: only a slim image of the Python that runs this")
        if self.image.exists():
            self.image.rename(self.folder / f"stage-{self._stage}")
        self.image.mkdir(parents=True)
        self._stage, self.config = match[3] or "", Config()

    def copy(self, rest: str) -> None:
        *sources, target = shlex.split(rest)
        origin = self.context
        if sources[0].startswith("--from="):
            origin = self.folder / f"stage-{sources.pop(0).removeprefix('--from=')}"
        for source in sources:
            to = self._inside(target)
            _copy(origin / source.lstrip("/"), to / Path(source).name if target.endswith("/") else to, origin=origin)

    def run(self, rest: str) -> None:
        cwd = self._inside(self.config.workdir)
        cwd.mkdir(parents=True, exist_ok=True)
        command = _OURS.sub(f"{self.image}/", rest)
        subprocess.run(["sh", "-euc", command], check=True, cwd=cwd, env=_environment(), stdout=sys.stderr)

    def env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.config.env[name] = value.replace("$PATH", "/usr/local/bin:/usr/bin:/bin")

    def user(self, rest: str) -> None:
        self.config.user = rest

    def workdir(self, rest: str) -> None:
        self.config.workdir = rest

    def entrypoint(self, rest: str) -> None:
        self.config.entrypoint = json.loads(rest)

    def cmd(self, rest: str) -> None:
        self.config.cmd = json.loads(rest)

    def nothing(self, rest: str) -> None:
        """Says something about the image that changes nothing in it."""

    def _with_args(self, text: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda match: self.args[match[1]], text)

    def _inside(self, path: str) -> Path:
        return (
            self.image / self.config.workdir.lstrip("/") / path.lstrip("/") if path[0] != "/" else self.image / path[1:]
        )


_STEPS: Mapping[str, Callable[[Builder, str], None]] = {
    "ARG": Builder.arg,
    "FROM": Builder.begin,
    "COPY": Builder.copy,
    "RUN": Builder.run,
    "ENV": Builder.env,
    "USER": Builder.user,
    "WORKDIR": Builder.workdir,
    "ENTRYPOINT": Builder.entrypoint,
    "CMD": Builder.cmd,
    "LABEL": Builder.nothing,
    "EXPOSE": Builder.nothing,
}


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, each as its name and the rest in one line."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def ignored(path: Path, context: Path) -> bool:
    """Whether `.dockerignore` keeps a file out: all but what is named with `!`, and of that no bytecode."""
    first, *rest = [line for line in (context / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    kept = {line[1:] for line in rest if line.startswith("!")}
    if first != "*" or {line for line in rest if not line.startswith("!")} != {"**/__pycache__"}:
        raise Misunderstood(".dockerignore")
    inside = path.relative_to(context)
    return inside.parts[0] not in kept or "__pycache__" in inside.parts


def _copy(source: Path, target: Path, *, origin: Path) -> None:
    of_context = (origin / ".dockerignore").exists()
    if of_context and ignored(source, origin):
        raise Misunderstood(f"COPY {source}: .dockerignore keeps it out")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():

        def skip(folder: str, names: list[str]) -> list[str]:
            return [name for name in names if of_context and ignored(Path(folder, name), origin)]

        shutil.copytree(source, target, symlinks=True, ignore=skip, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def _environment() -> dict[str, str]:
    """The caller's, for proxies and indexes of packages, but without what would lead Python elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def files(image: Path) -> list[tuple[int, str]]:
    """Size and path of every file."""
    found = (path for path in image.rglob("*") if path.is_symlink() or path.is_file())
    return sorted((path.lstat().st_size, f"/{path.relative_to(image)}") for path in found)


def main(folder: Path) -> None:
    builder = Builder(ROOT, folder)
    builder.build()
    listed = files(builder.image)
    for size, path in sorted(listed, key=lambda row: row[1]):
        print(f"{size:>10}  {path}")
    print(f"{len(listed)} files, {sum(size for size, _ in listed) / 2**20:.1f} MiB on top of the base image")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
