"""The outside world as two local servers: amoCRM (`crm`) and nine acquirers with a Google stand-in (`bank`).

Owns its own copy of every foreign format. Must not import anything of the product; nobody imports it.
"""
