"""The project's checks, each runnable alone: `nox -s tests coverage lint types layers protos lock bench`.

They run in the environment that calls them, which `./dev` makes from the lock: what is checked is what is locked.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint", "types", "layers", "protos"]
nox.options.error_on_external_run = False

CODE = ["controller", "protos", "tests", "noxfile.py", "dev"]


@nox.session
def tests(session: nox.Session) -> None:
    """Every test; arguments go to pytest."""
    session.run("pytest", "-n", "3", "--dist", "loadfile", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """The pure packages, line by line and branch by branch."""
    session.run("coverage", "run", "-m", "pytest", "tests/unit", "tests/property", *session.posargs)
    pure = "controller/core/*,controller/k8s/*,controller/index/*"
    session.run("coverage", "report", f"--include={pure}", "--show-missing", "--skip-covered", "--fail-under=100")


# Off: 114 and 128 ask for lists of our own startable functions; 127 would put the clients' names into every caller.
ASYNC_RULES = ["--enable=ASYNC1,ASYNC2,ASYNC900", "--disable=ASYNC114,ASYNC127,ASYNC128"]


@nox.session
def lint(session: nox.Session) -> None:
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    modules = (str(path) for path in sorted(Path("controller").rglob("*.py")) if "gen" not in path.parts)
    session.run("flake8-async", *ASYNC_RULES, *modules, log=False)
    session.run("codespell", *CODE, "README.md", "CHANGELOG.md", "docs")


@nox.session
def types(session: nox.Session) -> None:
    session.run("mypy")
    session.run("pyright")


@nox.session
def layers(session: nox.Session) -> None:
    """Who may import whom."""
    session.run("lint-imports")


@nox.session
def protos(session: nox.Session) -> None:
    """Generate the stubs; with `-- --check` fail when the ones in the tree differ."""
    session.run("python", "protos/generate.py", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the locks from pyproject.toml; with `-- --upgrade` take the newest versions that it allows."""
    # No URL and no index get in: whoever installs chooses where from, and the hashes say whether it is the same.
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "pyproject.toml"]
    session.run(*command, "-o", "requirements.lock", *session.posargs, silent=True)
    session.run(*command, "--group=dev", "-o", "requirements-dev.lock", *session.posargs, silent=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Print what the parts cost; names of modules in tests/bench pick some."""
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the pages that say what the code says."""
    session.run("python", "-m", "tests.docs.reference")


@nox.session
def image(session: nox.Session) -> None:
    """Perform the Dockerfile's steps without docker, list the files of the image, and test it."""
    folder = session.create_tmp()
    shutil.rmtree(folder)
    session.run("python", "-m", "tests.image.steps", folder)
    session.run("pytest", "tests/image", *session.posargs, env={"TRELLIS_BUILD_IMAGE": "1"})


KIND = ["docker", "kind", "kubectl"]


@nox.session
def kind(session: nox.Session) -> None:
    """Install Trellis in a kind cluster and test it there; `-- --keep` leaves the cluster, `-- ARGS` go to pytest."""
    missing = [program for program in KIND if shutil.which(program) is None]
    if missing:
        session.skip(f"needs {' and '.join(missing)}")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        session.skip("needs a docker daemon that answers: docker info says why it does not")
    folder = Path(session.create_tmp())
    kubeconfig = folder / "kubeconfig"
    arguments = [argument for argument in session.posargs if argument != "--keep"]
    try:
        _install_in_kind(session, folder, ["kubectl", f"--kubeconfig={kubeconfig}"])
        session.run("pytest", "tests/cluster/kind", *arguments, env={"TRELLIS_KIND_KUBECONFIG": str(kubeconfig)})
    finally:
        if "--keep" not in session.posargs:
            session.run("kind", "delete", "cluster", "--name=trellis", f"--kubeconfig={kubeconfig}")


def _install_in_kind(session: nox.Session, folder: Path, kubectl: list[str]) -> None:
    """Put an image made from this checkout, and everything that `trellis manifests` prints, into a new cluster."""
    kubeconfig = kubectl[-1].replace("--kubeconfig=", "")
    if "trellis" in session.run("kind", "get", "clusters", silent=True).split():
        session.run("kind", "export", "kubeconfig", "--name=trellis", f"--kubeconfig={kubeconfig}")
    else:
        session.run(
            "kind", "create", "cluster", "--config=kind-config.yaml", "--wait=180s", f"--kubeconfig={kubeconfig}"
        )
    session.run("docker", "build", "--tag=trellis:kind", ".")
    session.run("kind", "load", "docker-image", "--name=trellis", "trellis:kind")
    if not (folder / "tls").exists():
        session.run("trellis", "certificate", str(folder / "tls"))
    flags = ["--image=trellis:kind", "--ha", "--replicas=2", "--control-plane-namespace=trellis", "--gateway-api"]
    manifests = session.run("trellis", "manifests", f"--webhook-tls={folder / 'tls'}", *flags, silent=True)
    (folder / "trellis.yaml").write_text(manifests)
    session.run(*kubectl, "apply", "--server-side", f"--filename={folder / 'trellis.yaml'}")
    session.run(*kubectl, "--namespace=trellis", "rollout", "restart", "deployment/trellis")
    session.run(*kubectl, "--namespace=trellis", "rollout", "status", "deployment/trellis", "--timeout=180s")
