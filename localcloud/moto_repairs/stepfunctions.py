"""State machines as AWS runs them: names, errors, failing maps, status events; no progress in a failed region."""

import json
import logging
import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.config import default_user_config

from localcloud.buses import EventRouter
from localcloud.moto_repairs.distributed_map import repair_maps
from localcloud.moto_repairs.execution_logs import write_history
from localcloud.outage import Outage
from localcloud.patches import Patches
from localcloud.principals import access_key

log = logging.getLogger(__name__)
PARSER = "moto.stepfunctions.parser"
TASKS = f"{PARSER}.asl.component.state.exec.state_task"
NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
CLIENT = Config(
    parameter_validation=False,
    retries={"max_attempts": 0},
    connect_timeout=10,
    read_timeout=1000,
    max_pool_connections=50,
)


def parser(name: str, part: str) -> Any:
    """A class of moto's interpreter, which has no types."""
    return getattr(import_module(f"{PARSER}.{name}"), part)


class StateMachines:
    """moto's interpreter, switched on and repaired."""

    def __init__(self, account: str, endpoint_url: str, outage: Outage, router: EventRouter) -> None:
        self._account = account
        self._endpoint_url = endpoint_url
        self._outage = outage
        self._router = router
        self._patches = Patches()
        self._over = threading.Event()
        self._starting = threading.Lock()
        self._machine_of_role: dict[str, str] = {}

    def start(self) -> None:
        """Let moto run executions."""
        logging.getLogger(PARSER).setLevel(logging.CRITICAL)
        self._before = default_user_config.get("stepfunctions")
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        self._repair_clients()
        self._repair_executions()
        self._repair_progress()
        self._repair_direct_lambda_errors()
        repair_maps(self._patches)

    def stop(self) -> None:
        """Let go of executions that wait for a region, and restore moto."""
        self._over.set()
        self._patches.undo()
        if self._before is None:
            default_user_config.pop("stepfunctions", None)
        else:
            default_user_config["stepfunctions"] = self._before

    def _repair_clients(self) -> None:
        """Tasks call AWS with cached clients, as their machine: moto makes a new, anonymous one for each call."""
        session = boto3.Session(aws_access_key_id="state-machines", aws_secret_access_key="local")  # noqa: S106 no secret
        making = threading.Lock()

        @cache
        def client(region: str, service: str, machine: str) -> Any:
            key = access_key("state-machine", region, machine)
            with making:
                return session.client(
                    service, region_name=region, endpoint_url=self._endpoint_url, config=CLIENT,
                    aws_access_key_id=key, aws_secret_access_key="local",  # noqa: S106 no secret
                )  # type: ignore[call-overload]  # fmt: skip

        def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
            role = state_credentials.role_arn if state_credentials else ""
            return client(region, service, self._machine_of_role.get(role, role.rsplit("/", 1)[-1] or "unknown"))

        for module in _modules_with("boto_client_for"):
            self._patches.replace(module, "boto_client_for", client_for)

    def _repair_executions(self) -> None:
        """Names may be left out, must be valid, are taken atomically; every change of status becomes an event."""
        backend = parser("models", "StepFunctionsParserBackend")
        self._patches.replace(backend, "start_execution", self._start_execution())
        communication = parser("backend.execution", "BaseExecutionWorkerCommunication")

        def terminated(comm: Any) -> None:
            _keep_outcome(comm.execution)
            parser("utils", "TMP_THREADS").clear()
            self._finished(comm.execution)

        self._patches.replace(communication, "terminated", terminated)

    def _start_execution(self) -> Callable[..., Any]:
        def start_execution(
            backend: Any, state_machine_arn: str, name: str | None = None, execution_input: str | None = None, *_: Any
        ) -> Any:
            machine = backend.describe_state_machine(state_machine_arn)
            if name is not None and not NAME.fullmatch(name):
                raise import_module("moto.stepfunctions.exceptions").InvalidName(f"Invalid Name: '{name}'")
            text = execution_input or "{}"
            machine._validate_execution_input(text)
            self._machine_of_role[machine.roleArn] = machine.name
            with self._starting:
                running = None if machine.type == "EXPRESS" else machine._handle_name_input_idempotency(name, text)
                if running is not None:
                    return running
                execution = self._execution(backend, machine, name or str(uuid.uuid4()), text)
                machine.executions.append(execution)
                execution.exec_status = parser("api", "ExecutionStatus").RUNNING
                self._tell(execution)
                execution.start()
            return execution

        return start_execution

    def _execution(self, backend: Any, machine: Any, name: str, text: str) -> Any:
        place = f"{backend.region_name}:{backend.account_id}"
        arn = f"arn:{backend.partition}:states:{place}:execution:{machine.name}:{name}"
        if machine.type == "EXPRESS":
            arn = f"arn:{backend.partition}:states:{place}:express:{machine.name}:{name}:{uuid.uuid4()}"
        return parser("backend.execution", "Execution")(
            name=name,
            sm_type="STANDARD",
            role_arn=machine.roleArn,
            exec_arn=arn,
            account_id=backend.account_id,
            region_name=backend.region_name,
            state_machine=_snapshot(machine),
            start_date=datetime.now(UTC),
            cloud_watch_logging_session=None,
            activity_store={},
            input_data=text,
        )

    def _finished(self, execution: Any) -> None:
        backend = parser("models", "stepfunctions_parser_backends")[self._account][execution.region_name]
        if execution.state_machine.type == "EXPRESS":
            machine = next((one for one in backend.state_machines if one.arn == execution.state_machine_arn), None)
            if machine is not None and execution in machine.executions:
                machine.executions.remove(execution)
        try:
            write_history(self._account, execution)
        except Exception:
            log.exception("%s could not be logged", execution.exec_arn)
        self._tell(execution)

    def _tell(self, execution: Any) -> None:
        """Standard executions announce each status on the default bus; express ones do not, as in AWS."""
        if execution.state_machine.type == "EXPRESS" or self._over.is_set():
            return
        self._router.emit(execution.region_name, {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": self._account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": execution.region_name,
            "resources": [execution.exec_arn],
            "detail": _status_detail(execution),
        })  # fmt: skip

    def _repair_progress(self) -> None:
        """Nothing moves while the region is failed: no state is entered, no attempt begins or is judged."""
        state = parser("asl.component.state.state", "CommonStateField")
        attempt = parser("asl.component.state.exec.execute_state", "ExecutionState")
        eval_body, evaluate = vars(state)["_eval_body"], vars(attempt)["_evaluate_with_timeout"]

        def enter(component: Any, env: Any) -> None:
            self._await_region(env)
            eval_body(component, env)

        def try_once(component: Any, env: Any) -> None:
            self._await_region(env)
            try:
                evaluate(component, env)
            finally:
                self._await_region(env)

        self._patches.replace(state, "_eval_body", enter)
        self._patches.replace(attempt, "_evaluate_with_timeout", try_once)

    def _await_region(self, env: Any) -> None:
        region = env.aws_execution_details.region
        while self._outage.failed(region) and not self._over.wait(0.1):
            pass

    def _repair_direct_lambda_errors(self) -> None:
        """A task that names a function's ARN sees Lambda's own errors by name (moto calls all of them "Exception")."""
        direct = import_module(f"{TASKS}.state_task_lambda").StateTaskLambda
        invoke = import_module(f"{TASKS}.service.state_task_service_lambda").StateTaskServiceLambda
        custom = parser("asl.component.common.error_name.custom_error_name", "CustomErrorName")
        from_error = vars(direct)["_from_error"]

        def named(component: Any, env: Any, ex: Exception) -> Any:
            failure = from_error(component, env, ex)
            if isinstance(ex, ClientError):
                error, cause = invoke._error_cause_from_client_error(ex)
                failure.error_name = custom(error)
                failure.event_details["lambdaFunctionFailedEventDetails"].update(error=error, cause=cause)
            return failure

        self._patches.replace(direct, "_from_error", named)


def _modules_with(name: str) -> list[Any]:
    import_module(f"{PARSER}.models")
    modules = import_module("sys").modules
    return [module for path, module in list(modules.items()) if path.startswith(PARSER) and name in vars(module)]


def _keep_outcome(execution: Any) -> None:
    """The status goes last, so that who sees it sees the rest; the output is JSON text even when it is a string."""
    status, state = parser("api", "ExecutionStatus"), execution.exec_worker.env.program_state()
    ending = {"ProgramEnded": "SUCCEEDED", "ProgramStopped": "ABORTED", "ProgramTimedOut": "TIMED_OUT"}
    outcome = ending.get(type(state).__name__, "FAILED")
    execution.stop_date = datetime.now(UTC)
    if outcome == "SUCCEEDED":
        execution.output = json.dumps(execution.exec_worker.env.states.get_input())
    elif outcome == "FAILED":
        execution.error, execution.cause = state.error.get("error"), state.error.get("cause")
    execution.exec_status = status[outcome]
    if outcome != "SUCCEEDED":
        log.warning("%s %s: %s %s", execution.exec_arn, outcome, execution.error, execution.cause)


def _snapshot(machine: Any) -> Any:
    """The definition that this execution runs, whatever becomes of the machine."""
    copied = object.__new__(type(machine))
    copied.__dict__.update(machine.__dict__, executions=[])
    return copied


def _status_detail(execution: Any) -> dict[str, Any]:
    stopped = execution.stop_date
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": str(execution.status),
        "startDate": int(execution.start_date.timestamp() * 1000),
        "stopDate": int(stopped.timestamp() * 1000) if stopped else None,
        "input": execution.execution_input,
        "output": execution.output,
        "inputDetails": {"included": True},
        "outputDetails": None if execution.output is None else {"included": True},
        "error": execution.error,
        "cause": execution.cause,
    }
