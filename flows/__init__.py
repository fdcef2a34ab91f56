"""Use cases: load, decide, save, effects. One flow is one short transaction; the network is never inside it.

Owns the wiring (`runtime.py`), the queue (`queue.py`) and every story that more than one package takes part in. Knows
no Flask.
"""
