"""The admission webhook: what may be written, and what a person should know who writes it.

Rules are pure and are the index's own parsers wherever there is one, so that what the webhook lets through is what the
index understands.
"""
