"""What holds for each port of each workload."""

from controller.index.inbound.index import InboundIndex
from controller.index.inbound.statistics import InboundStatistics, NamespaceCounts

__all__ = ["InboundIndex", "InboundStatistics", "NamespaceCounts"]
