"""h2spec as the judge of our HTTP/2: every case of it applies, and passes."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import trio

from controller.grpc.transport import Limits
from tests.shell.grpc_transport.serving import serving

CASES = 145  # of h2spec 2.6: generic, hpack and http2


async def test_every_case_of_h2spec(assets: Path, tmp_path: Path) -> None:
    """Generic, HPACK and HTTP/2 cases: none fails and none is skipped."""
    report = tmp_path / "report.xml"
    async with serving(Limits()) as served:
        command = [assets / "h2spec", "generic", "hpack", "http2", "--host", "127.0.0.1", "--port", str(served.port)]
        command += ["--timeout", "5", "--junit-report", report]
        with trio.fail_after(100):
            await trio.run_process([str(part) for part in command], check=False, capture_stdout=True)
    cases = list(ET.parse(report).iter("testcase"))  # written by our own tool
    troubles = [
        f"{case.get('package')}: {case.get('classname')}"
        for case in cases
        if case.find("failure") is not None or case.find("skipped") is not None or case.find("error") is not None
    ]

    assert troubles == []
    assert len(cases) >= CASES


def test_the_judge_can_fail(assets: Path) -> None:
    """Without a server h2spec finds fault, so its silence means something."""
    found = subprocess.run(
        [assets / "h2spec", "generic", "--host", "127.0.0.1", "--port", "1", "--timeout", "1"],
        check=False,
        capture_output=True,
        timeout=60,
    )

    assert found.returncode != 0
