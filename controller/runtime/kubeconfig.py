"""Kubeconfig files: found, merged, and read as far as a client needs them.

The files are written by many tools, so everything that we do not know is ignored, and everything that we need is
checked here, with an error that says which file and which entry.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, cast

import attrs
import yaml

from controller.runtime.endpoint import BadConfiguration, Pem
from controller.runtime.log import get_logger

_log = get_logger(__name__)

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Document = Mapping[str, Any]


@attrs.frozen
class Entry:
    """A named cluster, user or context, and the file that it comes from."""

    name: str
    fields: Document
    source: Path

    def text(self, field: str) -> str | None:
        """Return a field that has to be text; an empty one counts as absent."""
        value = self.fields.get(field)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.bad(field, f"is not text but {type(value).__name__}")
        return value

    def flag(self, field: str) -> bool:
        value = self.fields.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.bad(field, "is neither true nor false")
        return bool(value)

    def mapping(self, field: str) -> Document | None:
        value = self.fields.get(field)
        if value is None:
            return None
        return as_mapping(value, f"{self.source}: {field} of {self.name!r}")

    def path(self, field: str) -> Path | None:
        """Return a file that the entry names; relative ones stand beside the kubeconfig."""
        text = self.text(field)
        return None if text is None else self.source.parent / text

    def pem(self, field: str) -> Pem | None:
        """Return certificates or a key, from `FIELD-data` or else from the file in `FIELD`."""
        data = self.text(f"{field}-data")
        if data is not None:
            try:
                return Pem(data=base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError) as error:
                raise self.bad(f"{field}-data", f"is not base64: {error}") from error
        path = self.path(field)
        return None if path is None else Pem(path=path)

    def bad(self, field: str, what: str) -> BadConfiguration:
        return BadConfiguration(f"{self.source}: {field} of {self.name!r} {what}")


@attrs.frozen
class Kubeconfig:
    """All files as one. Of two entries with the same name the first counts, as a whole."""

    current_context: str | None
    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]
    contexts: Mapping[str, Entry]
    sources: tuple[Path, ...]

    @property
    def where(self) -> str:
        return ", ".join(map(str, self.sources))


def candidates(explicit: Path | None, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the files to read: the one that was named, else those of `$KUBECONFIG`, else the one at home."""
    if explicit is not None:
        return (explicit,)
    listed = tuple(Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part)
    return listed or (home / ".kube" / "config",)


def load(paths: Sequence[Path], read: Callable[[Path], bytes] = Path.read_bytes) -> Kubeconfig | None:
    """Read and merge files; those that do not exist are passed over, and `None` says that none does."""
    found: list[tuple[Path, Document]] = []
    sources: list[Path] = []
    for path in paths:
        try:
            raw = read(path)
        except FileNotFoundError:
            _log.debug("there is no such kubeconfig", path=str(path))
            continue
        except OSError as error:
            raise BadConfiguration(f"{path}: {error.strerror or error}") from error
        sources.append(path.absolute())
        found.extend((path.absolute(), document) for document in _documents(path, raw))
    return merge(found, tuple(sources)) if sources else None


def merge(documents: Sequence[tuple[Path, Document]], sources: tuple[Path, ...]) -> Kubeconfig:
    """Make one kubeconfig of many documents; what comes first counts."""
    current: str | None = None
    kinds: dict[str, dict[str, Entry]] = {"cluster": {}, "user": {}, "context": {}}
    for source, document in documents:
        current = current or _text(document.get("current-context"))
        for kind, entries in kinds.items():
            for entry in _entries(source, document, kind):
                entries.setdefault(entry.name, entry)
    return Kubeconfig(current, kinds["cluster"], kinds["user"], kinds["context"], sources)


def _documents(path: Path, raw: bytes) -> list[Document]:
    try:
        documents = list(yaml.load_all(raw, _Loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: not YAML: {error}") from error
    return [as_mapping(document, str(path)) for document in documents if document is not None]


def _entries(source: Path, document: Document, kind: str) -> list[Entry]:
    entries: list[Entry] = []
    for item in as_list(document.get(f"{kind}s"), f"{source}: {kind}s"):
        fields = as_mapping(item, f"{source}: an entry of {kind}s")
        name = _text(fields.get("name"))
        if name:
            body = fields.get(kind)
            where = f"{source}: {kind} {name!r}"
            entries.append(Entry(name, {} if body is None else as_mapping(body, where), source))
    return entries


def as_mapping(value: Any, where: str) -> Document:
    """Return the value if it is a mapping."""
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where} is not a mapping")
    return cast("Document", value)


def as_list(value: Any, where: str) -> list[Any]:
    """Return the value if it is a list; what is absent is empty."""
    if value is None:
        return []
    if not _is_list(value):
        raise BadConfiguration(f"{where} is not a list")
    return value


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
