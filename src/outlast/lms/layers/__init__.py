"""LMs around an LM: limits, retries, timeouts, budgets, and the ways to choose between models."""
