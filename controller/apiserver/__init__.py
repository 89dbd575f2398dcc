"""A Kubernetes API server for development, tests and the demo.

`ApiServer` holds the objects and the faults; `serve` puts it on a socket in the caller's nursery, `open_api_server` for
the length of a block; both are in `serving`, which is the shell together with `http_app`, `stream`, `webhook_client`,
`janitor` and `__main__`. Everything else is pure: `Api.handle` is a generator that takes a request and gives an answer,
and yields what it needs from outside (`effects`). The tests in tests/contract hold it to what a real API server does.
"""
