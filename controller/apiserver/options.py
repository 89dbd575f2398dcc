"""The parameters of a write."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from controller.apiserver import causes
from controller.apiserver.requests import Request
from controller.apiserver.status import Cause, Object, invalid

_POLICIES = ("", "Ignore", "Strict", "Warn")


@attrs.frozen(kw_only=True)
class WriteOptions:
    """How to write: who does it, whether for real, and how strict to be about unknown fields."""

    kind: str
    dry_run: bool = False
    manager: str = "unknown"
    field_validation: str = "Warn"
    force: bool = False

    @classmethod
    def parse(cls, request: Request, kind: str) -> WriteOptions:
        query = request.query
        found = list(_problems(request, kind))
        if found:
            raise invalid("meta.k8s.io", kind, "", found)
        return cls(
            kind=kind,
            dry_run=query.get("dryRun") == "All",
            manager=request.manager,
            field_validation=query.get("fieldValidation") or "Warn",
            force=request.flag("force"),
        )

    def to_object(self, kind: str) -> Object:
        """What a webhook is told about them; to it a patch is an update, or a creation."""
        found: Object = {"kind": kind, "apiVersion": "meta.k8s.io/v1", "fieldManager": self.manager}
        if self.dry_run:
            found["dryRun"] = ["All"]
        return found


def _problems(request: Request, kind: str) -> Iterator[Cause]:
    query = request.query
    if query.get("force") is not None and kind == "PatchOptions" and not _applies(request):
        yield causes.forbidden_field("force", "may not be specified for non-apply patch")
    if kind == "PatchOptions" and _applies(request) and not query.get("fieldManager"):
        yield causes.required("fieldManager", "is required for apply patch")
    manager = query.get("fieldManager", "")
    if len(manager) > 128:
        yield causes.too_long("fieldManager", 128)
    if not manager.isprintable():
        yield causes.invalid_value("fieldManager", manager, "should only contain printable characters")
    if query.get("dryRun", "") not in ("", "All"):
        yield causes.not_supported("dryRun", [query["dryRun"]], ("All",))
    if query.get("fieldValidation", "") not in _POLICIES:
        yield causes.not_supported("fieldValidation", query["fieldValidation"], _POLICIES)


def _applies(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/apply-patch+")
