"""Every outgoing socket and every foreign wire format: amoCRM, acquirers, Google.

Owns the translation between foreign words and ours, and the failures of the network (`errors.py`).
Does not touch the database, the queue or the settings: what it must remember between calls arrives through the
protocols of `protocols.py`. It imports `loyalty` and nothing else of ours.
"""
