"""Default policies, as annotations, flags and `accessPolicy` name them."""

from __future__ import annotations

from controller.core.cluster import DefaultPolicy
from controller.index.parse.invalid import Invalid

_BY_NAME = {policy.value: policy for policy in DefaultPolicy}


def parse_default_policy(text: str) -> DefaultPolicy:
    """Read the name of a default policy, exactly as it is spelled."""
    policy = _BY_NAME.get(text)
    if policy is None:
        raise Invalid(f"{text!r} is not one of {', '.join(_BY_NAME)}")
    return policy
