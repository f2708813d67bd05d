"""Operators: each makes candidates out of one in its own way. Optimizers are policies that choose among them."""
