"""The image as its Dockerfile's steps make it: what is in it, and that it runs as it will have to.

It takes the package index, so it is made where `nox -s image` or CI asks for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import yaml

from tests.cluster import linkerd_chart
from tests.cluster.processes import Controller, eventually
from tests.image.steps import ROOT, Builder, Config, files, instructions
from tests.kube import free_port

pytestmark = pytest.mark.timeout(600)  # packages have to be fetched

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
WANTED = "TRELLIS_BUILD_IMAGE"


@attrs.frozen
class Image:
    root: Path
    config: Config

    @property
    def packages(self) -> Path:
        [folder] = self.root.glob("opt/trellis/lib/python3.*/site-packages")
        return folder

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a container of it, with arguments as an orchestrator gives them, and no place to write to."""
        program = str(self.root) + self.config.entrypoint[0]
        path = self.config.env["PATH"].replace("/opt/", f"{self.root}/opt/")
        env = self.config.env | {"PATH": path, "HOSTNAME": "pod-0", "TMPDIR": "/nowhere"}
        return subprocess.Popen([program, *arguments], env=env, cwd="/", text=True, **options, **self._as_user())  # type: ignore[call-overload, no-any-return]

    def _as_user(self) -> dict[str, object]:
        """The image's user, where that can be: not where this Python lies in somebody's home."""
        user, group = map(int, self.config.user.split(":"))
        options: dict[str, object] = {"user": user, "group": group, "extra_groups": []}
        try:
            subprocess.run([sys.executable, "-c", ""], check=True, **options)  # type: ignore[call-overload]
        except (OSError, subprocess.SubprocessError):
            return {}
        return options

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if not (os.environ.get(WANTED) or os.environ.get("CI")):
        pytest.skip(f"takes the package index: nox -s image makes it, and so does {WANTED}=1")
    folder = tmp_path_factory.mktemp("docker")
    builder = Builder(ROOT, folder)
    builder.build()
    for path in (folder, *folder.parents[:2]):  # others than root have to get there
        path.chmod(0o755)
    return Image(builder.image, builder.config)


@pytest.fixture
def controller(image: Image, tmp_path: Path) -> Iterator[Controller]:
    """One that runs with the arguments of Linkerd's chart, but for addresses, certificate, and an API server."""
    admin, grpc = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(nobodys_kubeconfig(f"http://127.0.0.1:{free_port()}")))
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    local = {"--admin-addr": admin, "--grpc-addr": grpc}
    arguments = [
        f"{name}={local.get(name, value)}"
        for name, value in (argument.split("=", 1) for argument in linkerd_chart.ARGUMENTS)
        if not name.startswith("--server-")
    ]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = image.start(
            *arguments, "--admission-controller-disabled", f"--kubeconfig={kubeconfig}", stdout=output, stderr=output
        )
    try:
        yield Controller(process, admin, grpc, log)  # type: ignore[arg-type]
    finally:
        process.kill()
        process.wait()


def nobodys_kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {}}],
    }


def test_it_runs_as_linkerds_program(image: Image, controller: Controller) -> None:
    """With the chart's arguments, as nobody in particular, writing nothing, until it is told to end."""
    before = written(image)
    eventually(lambda: controller.get("/live")[0] == 200 or controller.process.poll(), controller.log.read_text())

    assert controller.get("/live") == (200, "alive\n"), controller.log.read_text()
    assert controller.get("/ready")[0] == 500  # there is no API server
    controller.process.send_signal(signal.SIGTERM)
    assert controller.process.wait(30) == 0, controller.log.read_text()
    assert written(image) == before


def written(image: Image) -> dict[Path, int]:
    """When each file and folder was last written to."""
    return {path: path.lstat().st_mtime_ns for path in image.root.rglob("*")}


def test_every_command_runs_in_it(image: Image) -> None:
    """What an operator asks of the image is what `trellis` is asked elsewhere."""
    assert image.run("version") == (0, f"{VERSION}\n")
    code, output = image.run("manifests", "--no-webhook")
    assert code == 0
    assert any(document["kind"] == "Deployment" for document in yaml.safe_load_all(output))
    code, output = image.run("--help")
    assert code == 0
    assert "--control-plane-namespace" in output


def test_what_is_in_it_is_what_is_locked(image: Image) -> None:
    """No package more than the lock has, none of another version; and nothing that installs packages."""
    found = {
        (match[1].lower().replace("_", "-"), match[2])
        for path in image.packages.glob("*.dist-info")
        if (match := re.fullmatch(r"(.+?)-([^-]+)\.dist-info", path.name))
    }
    lock = (ROOT / "requirements.lock").read_text()
    locked = {(match[1].lower(), match[2]) for match in re.finditer(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}

    assert found - locked == {("trellis", VERSION)}
    assert len(found) > 20
    assert not {name for name, _ in found} & {"pip", "setuptools", "pytest"}


def test_everything_is_compiled(image: Image) -> None:
    """So that a start on a read-only file system is a fast one; and the bytecode is used without looking at sources."""
    sources = list((image.packages / "controller").rglob("*.py"))
    assert len(sources) > 100

    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        assert int.from_bytes(compiled[4:8], "little") == 0b01, f"{source}: not by an unchecked hash"


def test_nobody_else_may_write_to_it(image: Image) -> None:
    """Files are root's, and other users can read each of them."""
    for path in image.root.rglob("*"):
        if not path.is_symlink():
            mode = path.stat().st_mode
            assert mode & 0o022 == 0, f"{path} is writable"
            assert mode & 0o004, f"{path} is not readable"


def test_the_files_are_few_enough(image: Image) -> None:
    """A wheel with a debug build or a data set in it would show here."""
    assert sum(size for size, _ in files(image.root)) < 150 * 2**20


def test_the_image_says_how_it_runs() -> None:
    """As a user by number, which a cluster can check not to be root, and at the ports that manifests name."""
    said = dict(instructions((ROOT / "Dockerfile").read_text()))  # of an instruction that comes twice, the last

    assert said["USER"] == "2103:2103"
    assert said["EXPOSE"].split() == ["8090", "9990", "9443"]
    assert json.loads(said["ENTRYPOINT"]) == ["/linkerd-policy-controller"]
