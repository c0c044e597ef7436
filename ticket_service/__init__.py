"""Ticket service: verifies tokens, issues and redeems single-use tickets and resume credentials kept in Redis."""
