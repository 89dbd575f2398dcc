"""`trellis demo`: the controller at work, without a cluster.

The API server is the embedded one and listens on loopback; the controller is the one of `trellis run` and reaches it
over HTTP, as any other; the proxies are gRPC clients. They share a process and a loop, and nothing else.
"""
