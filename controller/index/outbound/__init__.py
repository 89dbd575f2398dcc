"""What callers are told about Services, EgressNetworks and addresses; events in, changed targets out."""
