"""Checks: what makes an output acceptable, said once and used to serve, evaluate, search and test."""

from outlast.checks.check import Check, CheckResult, Found, check
from outlast.checks.policy import Policy, fallback, fix, retry

__all__ = ["Check", "CheckResult", "Found", "Policy", "check", "fallback", "fix", "retry"]
