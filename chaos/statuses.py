"""Whether what is known of tracked jobs is what has become of them."""

from __future__ import annotations

from collections.abc import Mapping

from resque_fork import Resque


def wrong_statuses(resque: Resque, ids: Mapping[int, str]) -> list[str]:
    """Of a run that is over: each status that is not true, in words. `ids` are by number of job."""
    failed = {job.args[0] for job in resque.failed().each() if job.class_name == "stand_again"}
    wrong = []
    for number, job_id in ids.items():
        status = resque.status(job_id)
        found = (status.state, status.result)
        ought = ("failed", None) if number in failed else ("completed", number)
        if found != ought:
            wrong.append(f"job {number} is {found}, and not {ought}")
    return wrong
