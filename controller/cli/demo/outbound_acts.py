"""Act 5: how to reach a destination, asked by the proxy beside the client."""

from __future__ import annotations

from controller.cli.demo.play import Play
from controller.cli.demo.rows import Row

SPLIT = """\
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: try-v2, namespace: payments}
spec:
  parentRefs: [{group: core, kind: Service, name: api, port: 8080}]
  rules:
    - timeouts: {request: 300ms}
      backendRefs:
        - {name: api, port: 8080, weight: 9}
        - {name: api-v2, port: 8080, weight: 1}
"""
DENY = """\
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: internet, namespace: shop}
spec:
  trafficPolicy: Deny
"""
EXCEPTION = """\
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: to-the-bank, namespace: shop}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet, port: 443}]
  hostnames: [bank.example]
  rules:
    - backendRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet}]
"""

NAME = "api.payments.svc.cluster.local:8080"
OUTSIDE = "203.0.113.7"
TRY_V2 = "HTTPRoute payments/try-v2"


async def act_outbound(play: Play) -> None:
    play.screen.act(
        5,
        "The other side: the client's proxy",
        f"Pod web-0 in namespace shop calls {NAME}. Its proxy asks how to get there.",
    )
    asked = play.now()
    proxy = play.watch_authority("shop", "web-0", NAME)
    await play.told(
        proxy,
        asked,
        Row("target", "Service payments/api, port 8080"),
        Row("HTTP", "/* → api:8080", "default route http"),
    )
    play.screen.say("A route of the Service: one request in ten goes to the next version, and none takes for ever.")
    written = await play.apply(SPLIT)
    await play.told(
        proxy,
        written,
        Row("HTTP", "/* → 90 % to api:8080, 10 % to api-v2:8080", TRY_V2),
        Row("  timeout", "300 ms for a request", TRY_V2),
    )
    await play.accepted(written)
    await _outside(play)


async def _outside(play: Play) -> None:
    play.screen.say(f"web-0 also calls {OUTSIDE}:443, which is outside the cluster.")
    asked = play.now()
    proxy = play.watch_address("shop", "web-0", OUTSIDE, 443)
    await play.told(
        proxy,
        asked,
        Row("target", "egress-fallback"),
        Row("other TCP", f"→ {OUTSIDE}:443", "default route egress-fallback"),
    )
    play.screen.say("The shop's people decide that nothing leaves their namespace:")
    written = await play.apply(DENY)
    await play.ended(proxy)
    play.screen.noted("the address belongs to another target now: the stream ends with OK, and the proxy asks again")
    proxy.ask_again()
    await play.told(
        proxy,
        written,
        Row("target", "EgressNetwork shop/internet, port 443"),
        Row("HTTP", "/* → refused with 403", "default route http-egress-deny"),
        Row("other TCP", "→ refused", "default route tcp-egress-deny"),
    )
    play.screen.say("With one exception:")
    written = await play.apply(EXCEPTION)
    await play.told(
        proxy,
        written,
        Row("TLS", f"bank.example → {OUTSIDE}:443", "TLSRoute shop/to-the-bank"),
        Row("TLS", "any name → refused", "default route tls-egress-deny"),
    )
    await play.accepted(written)
