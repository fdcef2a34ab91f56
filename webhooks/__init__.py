"""Inbound HTTP: parse the request, call a flow, shape the answer. No SQL, no HTTP client, no queue, no rules here."""
