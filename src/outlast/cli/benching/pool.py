"""Runs jobs in processes of their own and keeps each result as it comes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed

from outlast.cli.benching.job import Job, run_job
from outlast.cli.benching.records import Record, Results


def run_all(
    jobs: Sequence[Job],
    results: Results,
    *,
    processes: int,
    told: Callable[[int, int, Record], None],
    run: Callable[[Job], Record] = run_job,
) -> None:
    """Run what `results` lacks, `processes` at once, and add each record as it comes.

    `told(done, of, record)` hears of each. What a job raises ends the rest, and what is done is kept; so does Ctrl-C.
    """
    open_jobs = [job for job in jobs if job.key not in results]
    if processes == 1:
        for number, job in enumerate(open_jobs, 1):
            record = run(job)
            results.add(record)
            told(number, len(open_jobs), record)
        return
    pool = ProcessPoolExecutor(min(processes, max(1, len(open_jobs))), mp_context=multiprocessing.get_context("spawn"))
    try:
        waiting: list[Future[Record]] = [pool.submit(run, job) for job in open_jobs]
        for number, future in enumerate(as_completed(waiting), 1):
            record = future.result()
            results.add(record)
            told(number, len(open_jobs), record)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
