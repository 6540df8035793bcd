"""A server's processes live as long as its block, say why they did not come up, and die with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from localcloud.real.__main__ import main
from localcloud.real.processes import NotStarted, Processes, answers, free_port, working_directory

ROOT = Path(__file__).parents[2]
SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_leaving_the_block_ends_every_process(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("one", SLEEPER)
        processes.start("two", SLEEPER)
        pids = [process.pid for _, process in processes._running]
        processes.wait_until("both speak", lambda: all("here" in log.read_text() for log in tmp_path.iterdir()), 20)
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


def test_an_error_in_the_block_ends_them_too(tmp_path):
    with suppress(KeyboardInterrupt), Processes(tmp_path) as processes:
        processes.start("one", SLEEPER)
        pid = processes._running[0][1].pid
        raise KeyboardInterrupt
    assert not alive(pid)


def test_a_process_that_ends_early_is_named_with_its_last_words(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such disk')"])
        with pytest.raises(NotStarted, match="broken ended with 1 before it is up: no such disk"):
            processes.wait_until("it is up", lambda: False, 20)


def test_what_is_not_up_in_time_is_named(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("slow", SLEEPER)
        with pytest.raises(NotStarted, match="not within 0 s: it is up"):
            processes.wait_until("it is up", lambda: False, 0.3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only leaving the block ends them")
def test_they_die_with_a_process_that_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from localcloud.real.processes import Processes\n"
        "with Processes(Path(sys.argv[1])) as processes:\n"
        "    processes.start('one', [sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    print(processes._running[0][1].pid, flush=True); time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, cwd=ROOT)
    pid = int(starter.stdout.readline())
    # It is ours only once setpriv has become the command.
    until = time.monotonic() + 20
    while b"setpriv" in Path(f"/proc/{pid}/cmdline").read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(starter.pid, signal.SIGKILL)
    starter.communicate()
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def test_a_temporary_directory_goes_and_a_wanted_one_stays(tmp_path):
    with working_directory(None) as made:
        (made / "data").write_text("x")
    assert not made.exists()
    with working_directory(tmp_path / "kept") as kept:
        (kept / "data").write_text("x")
    assert (tmp_path / "kept" / "data").exists()


def test_nobody_listens_on_a_free_port():
    assert not answers(free_port())


@pytest.mark.parametrize("words", [[], ["minio"], ["radosgw", "twice"], ["install", "minio"]])
def test_words_that_mean_nothing_are_answered_with_the_usage(words, capsys):
    assert main(words) == 2
    assert "radosgw | localstack | dynamodb-local" in capsys.readouterr().out
