"""The Services that exist, by name and by address."""

from __future__ import annotations

import attrs

from controller.core.network import IPAddress
from controller.index.parse.destinations import ServiceForm
from controller.k8s.meta import ObjectKey


@attrs.define
class ServiceTable:
    """What is known of each Service, and whose each address is."""

    _forms: dict[ObjectKey, ServiceForm] = attrs.field(factory=dict[ObjectKey, ServiceForm], init=False)
    _claims: dict[IPAddress, tuple[ObjectKey, ...]] = attrs.field(
        factory=dict[IPAddress, "tuple[ObjectKey, ...]"], init=False
    )

    def get(self, key: ObjectKey) -> ServiceForm | None:
        return self._forms.get(key)

    def put(self, key: ObjectKey, form: ServiceForm | None) -> None:
        """Keep what is known now; `None` if the Service is gone."""
        old = self._forms.get(key)
        for address in (old.addresses if old else frozenset[IPAddress]()) - (form.addresses if form else frozenset()):
            self._withdraw(address, key)
        if form is None:
            self._forms.pop(key, None)
            return
        self._forms[key] = form
        for address in form.addresses:
            claims = self._claims.get(address, ())
            if key not in claims:
                self._claims[address] = (*claims, key)

    def _withdraw(self, address: IPAddress, key: ObjectKey) -> None:
        claims = tuple([claim for claim in self._claims[address] if claim != key])
        if claims:
            self._claims[address] = claims
        else:
            del self._claims[address]

    def at(self, address: IPAddress) -> ObjectKey | None:
        """Whose the address is.

        The API server gives an address to one Service at a time, so of several that claim it the youngest is the one
        that has it, and the others are about to be deleted.
        """
        match self._claims.get(address, ()):
            case ():
                return None
            case (key,):
                return key
            case claims:
                return max(claims, key=self._youth)

    def _youth(self, key: ObjectKey) -> tuple[float, ObjectKey]:
        created = self._forms[key].created
        return created.timestamp() if created else 0.0, key

    def __len__(self) -> int:
        return len(self._forms)

    @property
    def addresses(self) -> int:
        """How many addresses belong to Services."""
        return len(self._claims)
