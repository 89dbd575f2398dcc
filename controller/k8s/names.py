"""The texts that policy kinds take for names: types that carry the API server's checks."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from controller.k8s.custom_resource.markers import Format, Ge, Le, MaxLen, MinLen, Pattern

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

Group: TypeAlias = Annotated[str, MaxLen(253), Pattern(rf"^$|^{_SUBDOMAIN}$")]
Kind: TypeAlias = Annotated[str, MinLen(1), MaxLen(63), Pattern(r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")]
ObjectName: TypeAlias = Annotated[str, MinLen(1), MaxLen(253)]
Namespace: TypeAlias = Annotated[str, MinLen(1), MaxLen(63), Pattern(rf"^{_LABEL}$")]
SectionName: TypeAlias = Annotated[str, MinLen(1), MaxLen(253), Pattern(rf"^{_SUBDOMAIN}$")]
Hostname: TypeAlias = Annotated[str, MinLen(1), MaxLen(253), Pattern(rf"^(\*\.)?{_SUBDOMAIN}$")]
PreciseHostname: TypeAlias = Annotated[str, MinLen(1), MaxLen(253), Pattern(rf"^{_SUBDOMAIN}$")]
HeaderName: TypeAlias = Annotated[str, MinLen(1), MaxLen(256), Pattern(r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")]
Identity: TypeAlias = Annotated[str, Pattern(rf"^(\*|{_LABEL})(\.{_LABEL})*$")]
LabelText: TypeAlias = Annotated[str, Pattern(rf"^{_LABEL}$")]
ConditionType: TypeAlias = Annotated[
    str, MaxLen(316), Pattern(rf"^({_SUBDOMAIN}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$")
]
ConditionReason: TypeAlias = Annotated[
    str, MinLen(1), MaxLen(1024), Pattern(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
]
ConditionStatus: TypeAlias = Literal["True", "False", "Unknown"]
ControllerName: TypeAlias = Annotated[
    str, MinLen(1), MaxLen(253), Pattern(rf"^{_SUBDOMAIN}\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$")
]
# The one check that decoding makes too: a port that is none makes an object unreadable, not just wrong.
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=65535), Format("int32"), Ge(1), Le(65535)]
