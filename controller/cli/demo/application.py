"""The application of the demo, as its people wrote it: a shop that lets a bank take its money."""

from __future__ import annotations

NAMESPACES = ("linkerd", "shop", "payments")

_POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {namespace}
  labels: {{app: {app}, linkerd.io/control-plane-ns: linkerd}}
spec:
  nodeName: node-1
  serviceAccountName: {app}
  containers:
    - name: {app}
      image: registry.example/{app}:1
      ports: [{{name: http, containerPort: 8080}}]
status:
  phase: Running
  podIP: {ip}
  podIPs: [{{ip: {ip}}}]
  conditions: [{{type: Ready, status: "True"}}]
  containerStatuses:
    - {{name: {app}, image: "registry.example/{app}:1", imageID: "", ready: true, restartCount: 0}}
"""

_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  clusterIP: {ip}
  clusterIPs: [{ip}]
  selector: {{app: {app}}}
  ports: [{{name: http, port: 8080, targetPort: http}}]
"""

_PODS = (
    ("shop", "web", "web-0", "10.0.1.1"),
    ("shop", "web", "web-1", "10.0.1.2"),
    ("shop", "cart", "cart-0", "10.0.1.3"),
    ("payments", "api", "api-0", "10.0.2.1"),
    ("payments", "api", "api-1", "10.0.2.2"),
    ("payments", "api-v2", "api-v2-0", "10.0.2.3"),
)

_SERVICES = (
    ("shop", "web", "10.96.0.11"),
    ("shop", "cart", "10.96.0.12"),
    ("payments", "api", "10.96.0.21"),
    ("payments", "api-v2", "10.96.0.22"),
)


def manifests() -> str:
    """What is there when the demo begins, as YAML."""
    documents = [f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in NAMESPACES]
    documents += [_POD.format(namespace=ns, app=app, name=name, ip=ip) for ns, app, name, ip in _PODS]
    documents += [_SERVICE.format(namespace=ns, app=name, name=name, ip=ip) for ns, name, ip in _SERVICES]
    return "---\n".join(documents)
