"""What `trellis demo` prints, and how it exits."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.shell.demo.conftest import ROOT, Demo, environment, running

ACTS = [
    "A port that nobody wrote a policy for",
    "A Server",
    "Who may call",
    "A route, and its status",
    "The other side: the client's proxy",
    "The API server breaks",
    "The end",
]


def acts(lines: Sequence[str]) -> dict[str, list[str]]:
    """The lines of each act, without their indentation and with single spaces."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if heading := re.match(r"── \d  (.*) ─+$", line):
            found[heading[1]] = []
        elif found and line.strip():
            found[list(found)[-1]].append(re.sub(r" {2,}", " | ", line.strip()))
    return found


def masked(lines: Sequence[str]) -> list[str]:
    """The lines with all numbers alike, and with what takes the room beside them."""
    return [re.sub(r" *\d+(\.\d+)?", " #", line.rstrip()) for line in lines]


def test_every_act_is_played(played: Demo) -> None:
    """In order, each with its number; the last line sums up."""
    numbers = [line[3] for line in played.lines if re.match(r"── \d  ", line)]

    assert list(acts(played.lines)) == ACTS
    assert numbers == [str(number + 1) for number in range(len(ACTS))]
    assert re.fullmatch(r"\d+ expectations, all met, in \d+\.\d s\.", played.lines[-1])


def test_it_is_plain_when_piped(played: Demo) -> None:
    """No control codes, no trailing spaces, and no line is wider than a hundred columns by much."""
    assert "\x1b" not in played.text
    assert "\r" not in played.text
    assert all(line == line.rstrip() for line in played.lines)
    assert max(map(len, played.lines)) <= 110


def test_each_message_has_its_reason_and_its_time(played: Demo) -> None:
    """Every message names how long it took, and beside what was told, what decided that."""
    told = [line for line in played.lines if line.startswith("   → ")]
    rows = [line for line in played.lines if re.match(r" {5}(protocol|may call|route|HTTP|other TCP|TLS) ", line)]

    assert len(told) >= 12
    assert all(re.search(r"→ \d+(\.\d)? ms (later|after .*,) \S+'s proxy is told$", line) for line in told)
    assert all(len(re.split(r" {2,}", row.strip())) == 3 for row in rows)


def test_inbound_policy_step_by_step(played: Demo) -> None:
    """Default, Server, policy, route: after each, the proxy knows exactly what holds, and why."""
    told = acts(played.lines)

    assert "may call | anybody | default policy all-unauthenticated" in told[ACTS[0]]
    assert "may call | nobody | no policy lets anybody in" in told[ACTS[1]]
    assert "✓ the controller has seen it; nobody is told anything" in told[ACTS[2]]
    assert "may call | web of shop | AuthorizationPolicy shop-may-pay" in told[ACTS[2]]
    assert "route | POST /v1/payments | HTTPRoute pay" in told[ACTS[3]]


def test_a_route_takes_effect_through_our_own_status(played: Demo) -> None:
    """The status was written after the route, by the controller."""
    for act in (ACTS[3], ACTS[4]):
        [status, *_] = [line for line in acts(played.lines)[act] if line.startswith("✓ status: Accepted")]
        found = re.search(r"your write made version (\d+), the controller's (\d+)", status)
        assert found is not None
        assert int(found[1]) < int(found[2])


def test_outbound_policy_step_by_step(played: Demo) -> None:
    """Weights and a timeout; an address outside the cluster; a network that denies, and its exception."""
    told = acts(played.lines)[ACTS[4]]

    assert "HTTP | /* → 90 % to api:8080, 10 % to api-v2:8080 | HTTPRoute payments/try-v2" in told
    assert "timeout | 300 ms for a request | HTTPRoute payments/try-v2" in told
    assert "target | egress-fallback" in told
    assert "other TCP | → refused | default route tcp-egress-deny" in told
    assert "TLS | bank.example → 203.0.113.7:443 | TLSRoute shop/to-the-bank" in told


def test_the_api_server_breaks_in_four_ways(played: Demo) -> None:
    """After each the proxy is told what is right, and in the silence the controller says how stale it is."""
    told = acts(played.lines)[ACTS[5]]
    broken = [line.split(":")[0].split(",")[0] for line in told if line.startswith("! ")]
    callers = [line.split(" | ")[1] for line in told if line.startswith("may call")]

    assert broken == ["! 410 Gone", "! Every connection is cut", "! 500", "! Silence"]
    assert callers == ["nobody", "web of shop", "nobody", "web of shop"]
    assert any(re.search(r"/debug/freshness: nothing was heard of any of 15 kinds for \d", line) for line in told)
    assert any(re.search(r"/ready/freshness: not ready: .*silent about Pod", line) for line in told)


def test_nothing_is_left_behind(played: Demo) -> None:
    """No folder, no file."""
    assert played.left_behind == []


def test_the_recording_in_the_readme_is_what_it_prints(played: Demo) -> None:
    """Line by line, numbers aside."""
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- recording of ./dev demo -->\n+```text\n(.*?)```\n", readme, re.DOTALL)
    assert block is not None

    assert masked(block[1].splitlines()) == masked(played.lines), "paste the output of `./dev demo` into README.md"


def test_an_expectation_that_is_not_met(tmp_path: Path) -> None:
    """It says which, shows the end of the controller's log, and exits with 1."""
    code = (
        "import sys; from controller.cli.demo import demo, inbound_acts as acts; "
        "acts.NOBODY = acts.ONLY_WEB; sys.exit(demo.run_demo(keep=False))"
    )
    with running(tmp_path, "-c", code) as wrong:
        assert wrong.read_rest() == (1, "")

    [unmet] = [line for line in wrong.lines if "✗" in line]
    assert "expected “may call: web of shop”" in unmet
    assert "told was “may call: nobody”" in unmet
    assert any("controller.runtime" in line for line in wrong.lines[-10:])
    assert "giving the lease up failed" not in wrong.text
    assert wrong.left_behind == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of an act: one word, no traceback, nothing left behind."""
    with running(tmp_path) as demo:
        demo.read_until("── 6")
        demo.process.send_signal(number)
        assert demo.read_rest() == (130, "")

    assert demo.lines[-1] == "Interrupted."
    assert demo.left_behind == []


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    """As with `| head`: no traceback."""
    with running(tmp_path) as demo:
        demo.read_until("API server")
        assert demo.process.stdout is not None
        assert demo.process.stderr is not None
        demo.process.stdout.close()
        assert demo.process.stderr.read() == ""
        assert demo.process.wait(30) == 1
        demo.process.stdout = None

    assert demo.left_behind == []


def test_help_says_what_it_does() -> None:
    """`trellis demo --help` is quick: it imports nothing of the controller."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "controller", "demo", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(Path("/tmp")),
        check=True,
    )

    assert "--keep" in done.stdout
    assert "controller.app" not in done.stderr.replace("controller.app_config", "")
