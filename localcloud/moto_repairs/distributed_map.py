"""Map states as AWS runs them: a failed item fails a distributed map, and neither many items nor many workers hurt.

Restores, too: a tolerated failure percentage that is a whole number, and States.ItemReaderFailed when the items cannot
be read.
"""

import logging
import re
from importlib import import_module
from typing import Any

from localcloud.patches import Patches

log = logging.getLogger(__name__)
ASL = "moto.stepfunctions.parser.asl"
MAP = f"{ASL}.component.state.exec.state_map.iteration"
WORKERS = 16
EXCEEDED = "The specified tolerated failure threshold was exceeded"
PERCENTAGE = re.compile(r'("ToleratedFailurePercentage"\s*:\s*\d+)(?=\s*[,}])')


def repair_maps(patches: Patches) -> None:
    """Install the repairs."""
    _limit_workers(patches)
    inline = import_module(f"{MAP}.iteration_worker").IterationWorker
    patches.replace(inline, "_eval_pool", _work_through_items)
    distributed = import_module(f"{MAP}.itemprocessor.distributed_item_processor_worker").DistributedItemProcessorWorker
    patches.replace(distributed, "_eval_pool", _work_through_child_executions)
    _take_whole_percentages(patches)
    _name_reader_failures(patches)


def _take_whole_percentages(patches: Patches) -> None:
    """moto's grammar wants a decimal point."""
    language = import_module(f"{ASL}.parse.asl_parser").AmazonStateLanguageParser
    original = vars(language)["parse"].__func__
    patches.replace(language, "parse", staticmethod(lambda definition: original(PERCENTAGE.sub(r"\1.0", definition))))


def _name_reader_failures(patches: Patches) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    reader = import_module(f"{MAP.rpartition('.')[0]}.item_reader.item_reader_decl").ItemReader
    read = vars(reader)["_eval_body"]

    def named(component: Any, env: Any) -> None:
        try:
            read(component, env)
        except Exception as error:
            raise _failure(env, "StatesItemReaderFailed", str(error)) from error

    patches.replace(reader, "_eval_body", named)


def _limit_workers(patches: Patches) -> None:
    """moto starts a thread for every item when MaxConcurrency is not given."""
    component = import_module(f"{MAP}.inline_iteration_component").InlineIterationComponent
    launch = vars(component)["_launch_worker"]

    def launch_worker(self: Any, env: Any, eval_input: Any, job_pool: Any) -> Any:
        job_pool.launched = getattr(job_pool, "launched", 0) + 1
        return launch(self, env, eval_input, job_pool) if job_pool.launched <= WORKERS else None

    patches.replace(component, "_launch_worker", launch_worker)


def _work_through_items(worker: Any, job: Any, worker_frame: Any) -> None:
    """One item after the other: moto calls itself for each and meets the recursion limit."""
    if job is None:
        worker._env.close_frame(worker_frame)
    while job is not None:
        job_frame = worker_frame.open_inner_frame()
        worker._eval_job(env=job_frame, job=job)
        worker_frame.close_frame(job_frame)
        failed = isinstance(job.job_output, Exception) or worker.stopped()
        following = None if failed else worker._job_pool.next_job()
        if following is None:
            if not failed:
                last = job_frame.event_history_context.last_published_event_id
                worker_frame.event_history_context.source_event_id = last
            worker._env.close_frame(worker_frame)
        worker._job_pool.close_job(job)
        job = following


def _work_through_child_executions(worker: Any, job: Any, worker_frame: Any) -> None:
    """The same for a distributed map, which fails beyond its tolerated threshold: in moto items fail in silence."""
    if job is None:
        worker._env.delete_frame(worker_frame)
    while job is not None:
        job_frame = worker_frame.open_inner_frame()
        worker._eval_job(env=job_frame, job=job)
        if reason := getattr(job_frame.program_state(), "error", None):
            log.warning("item %s of %s failed: %s", job.job_index, worker._map_run_record.map_run_arn, reason)
        worker_frame.delete_frame(job_frame)
        if _threshold_exceeded(worker._map_run_record):
            job.job_output = _failure(worker._env, "StatesExceedToleratedFailureThreshold", EXCEEDED)
        failed = isinstance(job.job_output, Exception) or worker.stopped()
        following = None if failed else worker._job_pool.next_job()
        if following is None:
            worker._env.delete_frame(worker_frame)
        worker._job_pool.close_job(job)
        job = following


def _threshold_exceeded(run: Any) -> bool:
    items = run.item_counter
    failed = items.failed.get() + items.timed_out.get()
    count, percentage = run.tolerated_failure_count, run.tolerated_failure_percentage
    if not count and not percentage:
        return bool(failed)
    too_many = bool(count) and failed > count
    return too_many or (bool(percentage) and 100.0 * failed / max(items.total.get(), 1) > percentage)


def _failure(env: Any, error: str, cause: str) -> Exception:
    """A Map's failure by the name that AWS gives it, for Retry and Catch."""
    events = import_module("moto.stepfunctions.parser.api")
    failures = import_module(f"{ASL}.component.common.error_name.failure_event")
    name = import_module(f"{ASL}.component.common.error_name.states_error_name")
    kind = import_module(f"{ASL}.component.common.error_name.states_error_name_type").StatesErrorNameType[error]
    details = import_module(f"{ASL}.eval.event.event_detail")
    failure = failures.FailureEvent(
        env=env,
        error_name=name.StatesErrorName(typ=kind),
        event_type=events.HistoryEventType.MapRunFailed,
        event_details=details.EventDetails(
            mapRunFailedEventDetails=events.MapRunFailedEventDetails(error=kind.to_name(), cause=cause)
        ),
    )
    raised: Exception = failures.FailureEventException(failure_event=failure)
    return raised
