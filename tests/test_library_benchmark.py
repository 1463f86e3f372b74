"""What the library costs beside a file is measured, and said."""

import os

import pytest

from benchmarks import in_memory, library


@pytest.mark.skipif(os.name == "nt", reason="os.wait4")
def test_every_face_is_measured_beside_the_file(capsys):
    code = library.main(["--rounds", "1", "--requests", "30", "--in_flight", "5"])

    told = capsys.readouterr().out
    assert code == (1 if "MISSED" in told else 0)
    for name in (library.FILE, *in_memory.FACES):
        assert f"\n{name} " in told
    assert told.count("CPU a request over the file's") == len(in_memory.FACES)
