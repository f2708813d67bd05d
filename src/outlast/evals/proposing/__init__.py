"""Checks from data: candidates from templates and from a model, chosen on labels, measured on others."""

from outlast.evals.proposing.candidates import Candidate
from outlast.evals.proposing.proposals import Proposals, Proposed
from outlast.evals.proposing.propose import apropose_checks, propose_checks
from outlast.evals.proposing.written import CheckWriter, WriteChecks

__all__ = ["Candidate", "CheckWriter", "Proposals", "Proposed", "WriteChecks", "apropose_checks", "propose_checks"]
