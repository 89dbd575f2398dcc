"""What to change in a cluster that runs Linkerd so that Trellis is its policy controller."""

from __future__ import annotations

from controller.analysis.manifests.objects import (
    Container,
    Deployment,
    DeploymentSpec,
    JsonObject,
    Metadata,
    PodSpec,
    PodTemplate,
)
from controller.analysis.manifests.rights import LINKERD_DEPLOYMENT

# In the image; takes the arguments of Linkerd's program of that name, which the chart goes on passing.
COMMAND = "/linkerd-policy-controller"


def linkerd_patch(*, namespace: str, image: str) -> JsonObject:
    """A strategic merge patch that swaps the program of the policy container, and leaves everything else to the chart.

    Arguments, probes, certificate and rights stay what they are: Trellis needs no others.
    """
    policy = Container(name="policy", image=image, image_pull_policy="IfNotPresent", command=(COMMAND,))
    return Deployment(
        metadata=Metadata(name=LINKERD_DEPLOYMENT, namespace=namespace),
        spec=DeploymentSpec(template=PodTemplate(spec=PodSpec(containers=(policy,)))),
    ).to_document()
