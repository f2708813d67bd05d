"""The real `gepa` and DSPy's optimizers on the worlds of `outlast.testing.gym`, at the budgets that ours get.

They run in an environment of their own (`python -m benchmarks.peers --make-venv PATH`). How each is set stands in
`docs/guides/bench-optimizers.md`. Nothing of outlast imports this.
"""
