"""What handling a request may have to wait for; the pure code asks by yielding one of these."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

import attrs

from controller.apiserver.status import Object


@attrs.frozen
class WaitForRevision:
    """Go on when the store has come to a revision, or after the time a server waits for it."""

    revision: int


@attrs.frozen
class CallWebhook:
    """Post a review to an admission webhook; the result is its answer, or a `WebhookFailed`."""

    name: str
    url: str
    ca_bundle: str
    timeout: float
    review: Object


@attrs.frozen
class WebhookFailed:
    """Why there is no answer from a webhook."""

    message: str


Effect: TypeAlias = WaitForRevision | CallWebhook
T = TypeVar("T")
Steps: TypeAlias = Generator[Effect, Any, T]
