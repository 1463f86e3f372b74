"""The command over three endpoints, each a process: one is killed, one begins to refuse.

Real sockets and real, tiny time; the same in virtual time is in test_several_endpoints.py.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from benchmarks import kills, oracle

LINES = 300
AT_ONCE = 6
"""Requests in flight at each."""
LIMITED = (
    "--limiter",
    "token_bucket",
    "--max_requests_per_minute",
    "120",
    "--burst",
    "8",
    "--hints",
    "text",
)
"""16 at once, and then two a second."""


class ThreeEndpoints:
    """Their processes, the file that names them, and one job."""

    def __init__(self, folder, entered, *flags):
        self.folder = folder
        self.endpoints = {}
        for name, limits in (("steady", ()), ("killed", ()), ("limited", LIMITED)):
            (folder / name).mkdir()
            told = ("--latency", "0.05", *limits)
            self.endpoints[name] = entered.enter_context(kills.endpoint(folder / name, *told))
        (folder / "endpoints.toml").write_text(
            "\n".join(
                f'[[endpoint]]\nname = "{name}"\nurl = "{one.url}"\nconcurrency = {AT_ONCE}\n'
                for name, one in self.endpoints.items()
            )
        )
        (folder / "in.jsonl").write_text("".join(map(line, range(LINES))))
        door = kills.ROOT / "api_request_parallel_processor.py"
        self.command = [sys.executable, str(door), "--requests_filepath", "in.jsonl"]
        self.command += ["--endpoints", "endpoints.toml", "--save_filepath", "out.jsonl", *flags]

    def start(self):
        with open(self.folder / "said", "ab") as said:
            return subprocess.Popen(
                self.command, cwd=self.folder, stderr=said, env=kills.environment()
            )

    def rows(self):
        path = self.folder / "out.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, count, process):
        """Until there are so many rows."""
        deadline = time.monotonic() + 30
        while len(self.rows()) < count:
            assert process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)

    def kill(self, name):
        """With SIGKILL, so that what is in flight there is cut off."""
        self.endpoints[name]._process.kill()

    def said(self):
        return (self.folder / "said").read_text()

    def billed(self, name):
        """The ids of the answers that this one gave."""
        return [bill.id for bill in oracle.bills(self.ledger(name))]

    def ledger(self, name):
        """What came in there; a kill may have cut off the last."""
        text = (self.folder / name / "ledger.jsonl").read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()


def line(number):
    said = [{"role": "user", "content": f"question {number}"}]
    asked = {"method": "POST", "url": "/v1/chat/completions"}
    body = {"model": "gpt-4o-mini", "messages": said}
    return json.dumps({"custom_id": f"c-{number}", **asked, "body": body}) + "\n"


def of_rows(row):
    body, response, metadata = json.loads(row)
    assert body["messages"][0]["content"].removeprefix("question ") in str(response["choices"])
    return metadata["custom_id"], response["id"]


def of_batch(row):
    said = json.loads(row)
    assert (said["response"]["status_code"], said["error"]) == (200, None)
    return said["custom_id"], said["response"]["body"]["id"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL and SIGINT")
@pytest.mark.parametrize(("output", "read"), [("rows", of_rows), ("batch", of_batch)])
def test_P2_P3_with_one_killed_and_one_limited_every_line_is_answered_once(tmp_path, output, read):
    """The run is interrupted as well, and gone on with by the same command and file."""
    with ExitStack() as entered:
        job = ThreeEndpoints(tmp_path, entered, "--output_format", output)
        process = entered.enter_context(job.start())
        job.wait_for(LINES // 4, process)
        job.kill("killed")
        job.wait_for(LINES // 2, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, job.said()
        before = job.rows()
        assert LINES // 2 <= len(before) < LINES
        with job.start() as again:
            assert again.wait(60) == 0, job.said()
        rows = job.rows()
        answers = dict(map(read, rows))

        assert rows[: len(before)] == before
        assert Counter(read(row)[0] for row in rows) == {f"c-{n}": 1 for n in range(LINES)}
        billed = {name: job.billed(name) for name in job.endpoints}
        everything = Counter(one for ids in billed.values() for one in ids)
        assert set(answers.values()) <= set(everything)
        assert everything.most_common(1)[0][1] == 1
        bought_twice = everything.total() - LINES
        assert bought_twice <= AT_ONCE  # what the killed one had in flight
        assert set(everything) - set(answers.values()) <= set(billed["killed"])
        assert all(len(one) > AT_ONCE for one in billed.values())
        assert any(json.loads(entry)["refusal"] for entry in job.ledger("limited"))
    said = job.said()
    assert "Traceback" not in said
    assert "  killed: 0 answered in" in said


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL and SIGINT")
def test_two_endpoints_at_one_address_are_two(tmp_path):
    """As two keys of one service: each has its own limits."""
    with kills.endpoint(tmp_path, "--latency", "0.02") as one:
        (tmp_path / "in.jsonl").write_text("".join(map(line, range(40))))
        (tmp_path / "e.toml").write_text(
            f'[[endpoint]]\nurl = "{one.url}"\nconcurrency = 2\n' * 2, encoding="utf-8"
        )
        command = [sys.executable, str(kills.ROOT / "api_request_parallel_processor.py")]
        command += ["--requests_filepath", "in.jsonl", "--endpoints", "e.toml"]
        ended = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=kills.environment()
        )
        assert ended.returncode == 0, ended.stderr
    assert "endpoint 1: 20 answered in 20 attempts" in ended.stderr
    assert "endpoint 2: 20 answered in 20 attempts" in ended.stderr
