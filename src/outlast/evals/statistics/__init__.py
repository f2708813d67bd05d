"""What a finite set of scores can and cannot say: intervals, paired tests, corrections, power.

Standard library only. Every function is deterministic: where numbers are drawn, the seed is an argument and
neither the order of the rows nor which program is called `a` changes the result (but for its sign). Nothing
here calls an LM.

    estimate_mean(scores)                one program: mean with an interval fit for the kind of scores
    clustered_mean(scores, clusters)     the same where scores come in clusters
    paired_difference(a, b)              two programs on the same examples: difference, interval, p
    reduce_epochs(scores, "mean")        one score for an example that was run several times
    ppi_mean, rogan_gladen               what people would say, from a judge and few labels
    cohen_kappa, weighted_kappa, krippendorff_alpha, spearman, kendall, confusion     how far raters agree
    SequentialTest                       a test that may be looked at after every example
    Running                              the same mean, one score at a time, in constant memory
    holm, benjamini_hochberg             p values of many comparisons
    plan_eval(delta, ...)                how many examples a comparison needs
    minimum_detectable_difference        what this many examples could have seen
    wilson, t_interval, likelihood_interval, bootstrap_interval, tango     the intervals themselves
    mcnemar_exact, mcnemar_unconditional, paired_permutation    the tests themselves
"""

from __future__ import annotations

from outlast.evals.statistics.agreement import Confusion, cohen_kappa, confusion, weighted_kappa
from outlast.evals.statistics.alpha import krippendorff_alpha
from outlast.evals.statistics.bootstrap import bootstrap_interval
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.corrected import informedness, ppi_mean, rogan_gladen
from outlast.evals.statistics.corrections import benjamini_hochberg, holm
from outlast.evals.statistics.intervals import estimate_mean, likelihood_interval, t_interval, wilson
from outlast.evals.statistics.mcnemar import mcnemar_exact, mcnemar_unconditional
from outlast.evals.statistics.paired import Paired, paired_difference, paired_permutation, tango
from outlast.evals.statistics.planning import Plan, plan_eval
from outlast.evals.statistics.power import minimum_detectable_difference
from outlast.evals.statistics.quantiles import normal_quantile, t_quantile
from outlast.evals.statistics.ranks import kendall, spearman
from outlast.evals.statistics.reducers import check_reducer, fewest_scores, reduce_epochs
from outlast.evals.statistics.running import Running
from outlast.evals.statistics.sequential import SequentialTest
from outlast.evals.statistics.values import Estimate, Interval

__all__ = [
    "Confusion",
    "Estimate",
    "Interval",
    "Paired",
    "Plan",
    "Running",
    "SequentialTest",
    "benjamini_hochberg",
    "bootstrap_interval",
    "check_reducer",
    "clustered_mean",
    "cohen_kappa",
    "confusion",
    "estimate_mean",
    "fewest_scores",
    "holm",
    "informedness",
    "kendall",
    "krippendorff_alpha",
    "likelihood_interval",
    "mcnemar_exact",
    "mcnemar_unconditional",
    "minimum_detectable_difference",
    "normal_quantile",
    "paired_difference",
    "paired_permutation",
    "plan_eval",
    "ppi_mean",
    "reduce_epochs",
    "rogan_gladen",
    "spearman",
    "t_interval",
    "t_quantile",
    "tango",
    "weighted_kappa",
    "wilson",
]
