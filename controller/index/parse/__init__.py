"""From what users write to what proxies are told.

Each `parse_*` returns a value or raises `Invalid`. The index and admission call the same ones, so that what the webhook
lets through is what the index understands.
"""
