"""From a review's bytes to its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from controller.admission import kinds
from controller.admission.findings import Finding, Severity, warning
from controller.admission.kinds import ReviewedKind, find_kind, names_ours
from controller.admission.review import Review, Undecodable, decode_review, to_allowed, to_denied, to_invalid
from controller.admission.rules import findings_of
from controller.k8s.meta import Resource

_MAX_FINDINGS = 20
_MAX_FINDING = 400  # characters; a pattern or a path may be long
# What the API server passes on of warnings: 256 characters of each, 4,096 of all.
_MAX_WARNINGS = 10
_MAX_WARNING = 256


@attrs.frozen
class Verdict:
    """What is answered, and what there is to count and to log about it."""

    answer: bytes
    allowed: bool
    kind: str = "unknown"  # of the kinds that have rules, so that there are not many
    operation: str = "unknown"
    namespace: str = ""
    name: str = ""
    denial: str | None = None
    unread: str | None = None  # why an object was let through that could not be read


def judge(body: bytes, advise: Callable[[Resource, Review], Iterable[Finding]]) -> Verdict:
    """Judge a review. `advise` says what is surprising about a resource that breaks no rule."""
    try:
        review = decode_review(body)
    except Undecodable as error:
        return _invalid(f"cannot decode the review: {error}")
    kind = find_kind(review.group, review.kind)
    if kind is None:
        return _invalid(f"no rules for {review.group}/{review.version} {review.kind}")
    return _judge_object(review, kind, advise)


def _invalid(message: str) -> Verdict:
    message = _cut(message, _MAX_FINDING)
    return Verdict(to_invalid(message), allowed=False, denial=message)


def _judge_object(
    review: Review, kind: ReviewedKind, advise: Callable[[Resource, Review], Iterable[Finding]]
) -> Verdict:
    seen = Verdict(
        b"",
        allowed=True,
        kind=f"{kind.kind}.{kind.group}",
        operation=review.operation,
        namespace=review.metadata.namespace,
        name=review.metadata.name,
    )
    try:
        resource = kind.decode(review.metadata, review.spec)
    except kinds.Undecodable as error:
        if kind.strict:
            return _denied(seen, review, [error.finding])
        surprise = warning(error.finding.path, f"{error.finding.message}: Linkerd cannot read this route")
        told = [surprise] if review.changes_spec and names_ours(review.spec) else []
        return attrs.evolve(seen, answer=to_allowed(review, _warnings(told)), unread=str(error.finding))
    findings = findings_of(resource)
    denials = [finding for finding in findings if finding.severity is Severity.DENY]
    if denials:
        return _denied(seen, review, denials)
    surprises = [*findings, *advise(resource, review)] if review.changes_spec else []
    return attrs.evolve(seen, answer=to_allowed(review, _warnings(surprises)))


def _denied(seen: Verdict, review: Review, denials: Sequence[Finding]) -> Verdict:
    texts = [_cut(str(finding), _MAX_FINDING) for finding in denials[:_MAX_FINDINGS]]
    if len(denials) > _MAX_FINDINGS:
        texts.append(f"and {len(denials) - _MAX_FINDINGS} more")
    message = "; ".join(texts)
    return attrs.evolve(seen, answer=to_denied(review, message), allowed=False, denial=message)


def _warnings(surprises: Sequence[Finding]) -> list[str]:
    return [_cut(str(finding), _MAX_WARNING) for finding in surprises[:_MAX_WARNINGS]]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
