"""amoCRM / Kommo API v4: access, client, hooks.

The only place where the CRM's own words live (lead, status, custom_fields_values). `client.AmoCrm` is the door;
`hooks.parse_hook` reads what amoCRM sends us. Implements the amoCRM reference, sections 1-5, 10 and 12.
"""
