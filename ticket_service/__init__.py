"""Ticket service: verifies tokens, issues and redeems single-use tickets kept in Redis."""
