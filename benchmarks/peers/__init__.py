"""The real `gepa` and DSPy's optimizers on the worlds of `outlast.testing.gym`, at the budgets that ours get.

They run in an environment of their own (`python -m benchmarks.peers --make-venv PATH`); `docs/guides/bench-optimizers.md`
says how each is set. Nothing of outlast imports this.
"""
