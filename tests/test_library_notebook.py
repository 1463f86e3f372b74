"""The library in a real Jupyter kernel, whose loop is running while a cell is."""

import os
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager
from threaded import LONG, service

ROOT = Path(__file__).resolve().parent.parent


class Notebook:
    """A kernel, and the cells that are run in it."""

    def __init__(self, manager):
        self._manager = manager
        self._client = manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=3 * LONG)

    def run(self, cell):
        """What *cell* prints."""
        return self.ended(self.begin(cell))

    def begin(self, cell):
        return self._client.execute(cell)

    def interrupt(self):
        """As the stop button does."""
        self._manager.interrupt_kernel()

    def ended(self, cell):
        said = ""
        while True:
            message = self._client.get_iopub_msg(timeout=LONG)
            if message["parent_header"].get("msg_id") != cell:
                continue
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", "\n".join(content["traceback"])
            if kind == "stream":
                said += content["text"]
            if kind == "status" and content["execution_state"] == "idle":
                return said

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    manager = KernelManager(connection_file=str(folder / "kernel.json"))
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(
        env=os.environ | {"IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder)}
    )
    one = Notebook(manager)
    one.run(
        f"import sys, threading; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from api_request_parallel_processor import AsyncClient, Client\n"
        "from threaded import body\n"
        "bodies = [body(n) for n in range(20)]\n"
        "before = set(threading.enumerate())"
    )
    yield one
    one.close()


@pytest.fixture
def served(notebook):
    with service() as one:
        notebook.run(f"asks = {one.asks!r}")
        yield one
    left = notebook.run("print([one.name for one in set(threading.enumerate()) - before])")
    assert left == "[]\n"


def test_the_blocking_face_works_in_a_cell(notebook, served):
    said = notebook.run(
        "with Client(**asks) as client:\n"
        "    print(*(one.text for one in client.gather(bodies)))\n"
        "    print(*sorted(int(one.text) for one in client.as_completed(bodies)))\n"
    )
    assert said == 2 * (" ".join(map(str, range(20))) + "\n")


def test_the_async_face_works_in_a_cell(notebook, served):
    said = notebook.run(
        "async with AsyncClient(**asks) as client:\n"
        "    print(*[one.text async for one in client.in_order(bodies)])\n"
        "    print((await client.ask(body(7))).text)\n"
    )
    assert said == " ".join(map(str, range(20))) + "\n7\n"


def test_a_client_and_a_handle_live_from_one_cell_to_the_next(notebook, served):
    notebook.run("client = Client(**asks); client.open(); handle = client.submit(bodies)")
    notebook.run("other = AsyncClient(**asks); await other.open(); later = other.submit(bodies)")
    assert notebook.run("print(sum(one.ok for one in handle.results()))") == "20\n"
    assert notebook.run("print(sum(one.ok for one in await later.results()))") == "20\n"
    assert notebook.run("print((await other.ask(body(3))).text)") == "3\n"
    notebook.run("client.close(); await other.close()")


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_the_stop_button_returns_what_is_done(notebook, served):
    served.hold()
    served.let(5)
    cell = notebook.begin(
        "with Client(**asks) as client:\n"
        "    found = client.gather(bodies, concurrency=3)\n"
        "print(sum(one.ok for one in found), len(found), found[-1].failure.message)\n"
    )
    served.wait(lambda it: len(it.asked) == 8)
    notebook.interrupt()
    assert notebook.ended(cell) == "5 20 interrupted before there was an answer\n"
