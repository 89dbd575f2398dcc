"""What clients must show, for policies in any namespace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import assert_never

import attrs

from controller.core.identity import IdentityExact, IdentityMatch
from controller.core.inbound import ClientAuthorization, TlsAuthenticated, Unauthenticated
from controller.core.network import ALL_NETWORKS, NetworkMatch
from controller.index.inbound.multimap import Multimap, put_in
from controller.index.inbound.statistics import AuthenticationCounts
from controller.index.parse.authorizations import AuthenticationKey, AuthorizationPolicyForm
from controller.k8s.meta import ObjectKey


@attrs.define(eq=False)
class PolicyEntry:
    """An AuthorizationPolicy, and whom it lets in: nobody while something that it requires does not exist."""

    key: ObjectKey
    form: AuthorizationPolicyForm
    grant: ClientAuthorization | None = attrs.field(default=None, init=False)


@attrs.define(eq=False)
class Authentications:
    """Authentication objects, and the policies that require them."""

    _mesh_tls: dict[ObjectKey, tuple[IdentityMatch, ...]] = attrs.field(
        factory=dict[ObjectKey, "tuple[IdentityMatch, ...]"], init=False
    )
    _networks: dict[ObjectKey, tuple[NetworkMatch, ...]] = attrs.field(
        factory=dict[ObjectKey, "tuple[NetworkMatch, ...]"], init=False
    )
    _required_by: Multimap[AuthenticationKey, ObjectKey, PolicyEntry] = attrs.field(
        factory=Multimap[AuthenticationKey, ObjectKey, PolicyEntry], init=False
    )

    def put_mesh_tls(self, key: ObjectKey, identities: tuple[IdentityMatch, ...] | None) -> list[PolicyEntry]:
        """Set or, with `None`, remove; return the policies that let in others now."""
        if not put_in(self._mesh_tls, key, identities):
            return []
        return self._renew(AuthenticationKey("MeshTLSAuthentication", key))

    def put_networks(self, key: ObjectKey, networks: tuple[NetworkMatch, ...] | None) -> list[PolicyEntry]:
        """Set or, with `None`, remove; return the policies that let in others now."""
        if not put_in(self._networks, key, networks):
            return []
        return self._renew(AuthenticationKey("NetworkAuthentication", key))

    def _renew(self, changed: AuthenticationKey) -> list[PolicyEntry]:
        return [policy for policy in self._required_by.of(changed).values() if self._grant(policy)]

    def _grant(self, policy: PolicyEntry) -> bool:
        before, policy.grant = policy.grant, self._grant_of(policy.form)
        return policy.grant != before

    def add_policy(self, policy: PolicyEntry) -> None:
        """Keep the policy's grant up to date from now on."""
        for required in policy.form.requires:
            self._required_by.put(required, policy.key, policy)
        self._grant(policy)

    def remove_policy(self, policy: PolicyEntry) -> None:
        for required in policy.form.requires:
            self._required_by.discard(required, policy.key)

    def copy(self) -> Authentications:
        """The same authentications, which no policy requires yet."""
        copy = Authentications()
        copy._mesh_tls.update(self._mesh_tls)
        copy._networks.update(self._networks)
        return copy

    def _grant_of(self, form: AuthorizationPolicyForm) -> ClientAuthorization | None:
        if form.contradictory:
            return None
        identities = self._identities_of(form.identity)
        networks = ALL_NETWORKS if form.networks is None else self._networks.get(form.networks.key)
        if identities is None or networks is None:
            return None
        return ClientAuthorization(networks, TlsAuthenticated(identities) if identities else Unauthenticated())

    def _identities_of(self, required: AuthenticationKey | IdentityExact | None) -> tuple[IdentityMatch, ...] | None:
        match required:
            case None:
                return ()
            case IdentityExact():
                return (required,)
            case AuthenticationKey(key=key):
                return self._mesh_tls.get(key)
            case _:
                assert_never(required)

    def counts(self) -> Mapping[str, AuthenticationCounts]:
        mesh_tls = Counter([key.namespace for key in self._mesh_tls])
        networks = Counter([key.namespace for key in self._networks])
        return {
            namespace: AuthenticationCounts(mesh_tls=mesh_tls[namespace], network=networks[namespace])
            for namespace in mesh_tls.keys() | networks.keys()
        }
