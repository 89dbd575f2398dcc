"""How a kind is found in the Kubernetes API, and how its objects are read."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs
import msgspec

from controller.k8s.meta import Resource

R_co = TypeVar("R_co", bound=Resource, covariant=True)


def _decoder_of(resource_type: ResourceType[R_co]) -> msgspec.json.Decoder[R_co]:
    return msgspec.json.Decoder(resource_type.model)


@attrs.frozen(repr=False)
class ResourceType(Generic[R_co]):
    """A kind in one of its versions, and the class its objects become."""

    model: type[R_co]
    group: str  # empty: the core group
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    label_selector: str = ""  # only objects with these labels are listed and watched
    _decoder: msgspec.json.Decoder[R_co] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(_decoder_of, takes_self=True)
    )

    @property
    def api_version(self) -> str:
        """As objects spell it: `v1`, `policy.linkerd.io/v1beta3`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_path(self) -> str:
        """Where all objects of the kind are listed and watched, in every namespace."""
        return (
            f"/apis/{self.group}/{self.version}/{self.plural}" if self.group else f"/api/{self.version}/{self.plural}"
        )

    def decode(self, raw: bytes | msgspec.Raw) -> R_co:
        """Read one object, or raise `msgspec.DecodeError` (of which `ValidationError` is one)."""
        return self._decoder.decode(raw)

    def __repr__(self) -> str:
        return f"<ResourceType {self.api_version} {self.kind}>"
