"""Acts 1 to 4: what holds on a port of a pod, asked by the proxy beside the pod."""

from __future__ import annotations

from controller.cli.demo.play import Play, Proxy
from controller.cli.demo.rows import Row
from controller.grpc.gen.linkerd import inbound_pb2

SERVER = """\
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: api, namespace: payments}
spec:
  podSelector: {matchLabels: {app: api}}
  port: http
  proxyProtocol: HTTP/1
"""
AUTHENTICATION = """\
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: shop, namespace: payments}
spec:
  identityRefs:
    - {kind: ServiceAccount, name: web, namespace: shop}
"""
AUTHORIZATION = """\
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: shop-may-pay, namespace: payments}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: api}
  requiredAuthenticationRefs:
    - {group: policy.linkerd.io, kind: MeshTLSAuthentication, name: shop}
"""
ROUTE = """\
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: pay, namespace: payments}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: api}]
  rules:
    - matches: [{method: POST, path: {type: Exact, value: /v1/payments}}]
"""

MAY_PAY = "AuthorizationPolicy shop-may-pay"
ONLY_WEB = Row("may call", "web of shop", MAY_PAY)
NOBODY = Row("may call", "nobody", "no policy lets anybody in")
PAY = Row("route", "POST /v1/payments", "HTTPRoute pay")


async def act_default(play: Play) -> Proxy[inbound_pb2.Server]:
    play.screen.act(
        1,
        "A port that nobody wrote a policy for",
        "Pod api-0 in namespace payments starts. Its proxy asks the controller what holds on port 8080, and leaves "
        "the stream open. The cluster's default policy decides.",
    )
    asked = play.now()
    proxy = play.watch_port("payments", "api-0", 8080)
    everybody = "default policy all-unauthenticated"
    await play.told(
        proxy,
        asked,
        Row("protocol", "found out from the first bytes (10 s at most)", everybody),
        Row("may call", "anybody", everybody),
    )
    return proxy


async def act_server(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.act(
        2,
        "A Server",
        "It selects the port and says what is spoken there. From now on only those may call whom a policy "
        "lets in, and there is none yet.",
    )
    written = await play.apply(SERVER)
    await play.told(proxy, written, Row("protocol", "HTTP/1", "Server api"), NOBODY)


async def act_authorization(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.act(
        3,
        "Who may call",
        "First a name for them: the service account of web, in namespace shop. No policy refers to it yet, so no "
        "answer changes, and no proxy is bothered.",
    )
    written = await play.apply(AUTHENTICATION)
    await play.quiet(written)
    play.screen.noted("the controller has seen it; nobody is told anything")
    play.screen.say("Then a policy that lets them in:")
    written = await play.apply(AUTHORIZATION)
    await play.told(proxy, written, Row("protocol", "HTTP/1", "Server api"), ONLY_WEB)


async def act_route(play: Play, proxy: Proxy[inbound_pb2.Server]) -> None:
    play.screen.act(
        4,
        "A route, and its status",
        "A route holds only when its status says that its parent has accepted it. Whoever holds the Lease writes "
        "that: here it is this controller. Its watch brings its own write back, and then the proxy is told.",
    )
    written = await play.apply(ROUTE)
    await play.told(proxy, written, PAY, ONLY_WEB)
    await play.accepted(written)
