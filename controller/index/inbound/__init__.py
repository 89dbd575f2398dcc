"""What holds for each port of each workload."""

from controller.index.inbound.index import KINDS, InboundIndex
from controller.index.inbound.statistics import AuthenticationCounts, InboundStatistics, NamespaceCounts

__all__ = ["KINDS", "AuthenticationCounts", "InboundIndex", "InboundStatistics", "NamespaceCounts"]
