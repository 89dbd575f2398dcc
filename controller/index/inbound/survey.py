"""What somebody should know who writes a Server, or a route for one: what there is that it would apply to.

Nothing here is kept, and nothing here changes an answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from controller.index.parse.authorizations import RouteTarget

# Enough to tell what is going on, and still quick where thousands of workloads are alike.
LOOKED_AT = 1000


@attrs.frozen
class ServerSurvey:
    """A Server among the workloads of the kind that it selects, in its namespace."""

    workloads: int
    selected: int
    # Of the first thousand that are selected: how many lack a port of the wanted name, and by Server that comes first,
    # on how many it governs the port.
    without_port: int = 0
    looked_at: int = 0
    held: Mapping[str, int] = attrs.field(factory=dict[str, int])


@attrs.frozen
class ProbeSurvey:
    """What kubelets ask of the ports that a Server governs, and may ask because no route is attached to it."""

    paths: tuple[str, ...]
    routes: frozenset[RouteTarget]  # the HTTP routes that are attached already
    open: bool  # whether the Server lets anybody in
