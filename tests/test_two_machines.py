"""Two machines, as the kernel can make them of one: network namespaces joined by a cable, ssh between.

Needs root, Debian's iproute2 and openssh-server; elsewhere it is skipped, and says why.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from exported import export_script
from hangs import HANGS
from test_distributed import FLAGS, HOROVODRUN, Job, built, losses, wait_until

from ramospeech.models.checkpoints import load_checkpoint

pytestmark = [pytest.mark.slow, built]
HOSTS = {"hosta": "10.213.77.1", "hostb": "10.213.77.2"}
PORT = "2222"
SSHD = "/usr/sbin/sshd"


def ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def why_not() -> str:
    """What is missing, if anything."""
    missing = [tool for tool in ("ip", "unshare", "ssh-keygen", SSHD) if not shutil.which(tool)]
    if os.geteuid() != 0:
        return "two machines need root"
    if missing:
        return f"two machines need {', '.join(missing)}: apt install iproute2 openssh-server"
    tried = subprocess.run(["unshare", "--net", "--uts", "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


class Machine:
    """A network namespace with a host name, an address, its own /etc/hosts, and an sshd."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.space, self.folder = name, f"ramospeech-{name}-{os.getpid()}", folder
        self.settings = Path("/etc/netns") / self.space  # laid over /etc by `ip netns exec`

    def build(self) -> None:
        ip("netns", "add", self.space)
        (self.settings / "ssh").mkdir(parents=True)
        lines = [f"{address} {host}" for host, address in HOSTS.items()]
        (self.settings / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        # ServerAlive: ssh finds out that a cable is cut, and so does horovodrun.
        (self.settings / "ssh" / "ssh_config").write_text(
            "UserKnownHostsFile /dev/null\nLogLevel ERROR\n"
            "ServerAliveInterval 2\nServerAliveCountMax 3\n")

    def plug_in(self) -> None:
        ip("-n", self.space, "address", "add", f"{HOSTS[self.name]}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", self.space, "link", "set", link, "up")

    def command(self, *words) -> list[str]:
        """`words` run here, under this machine's name."""
        return ["ip", "netns", "exec", self.space, "unshare", "--uts", "sh", "-c",
                f'hostname {self.name} && exec "$@"', "sh", *map(str, words)]

    def start_sshd(self) -> None:
        options = {"HostKey": self.folder / "key", "AuthorizedKeysFile": self.folder / "key.pub",
                   "StrictModes": "no", "PermitRootLogin": "yes", "UsePAM": "no",
                   "PidFile": "none", "ListenAddress": HOSTS[self.name]}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        subprocess.Popen(self.command(SSHD, "-D", "-e", "-f", "/dev/null", "-p", PORT, *words),
                         stderr=(self.folder / f"sshd-{self.name}").open("w"))

    def tear_down(self) -> None:
        for pid in ip("netns", "pids", self.space, check=False).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "delete", self.space, check=False)
        shutil.rmtree(self.settings, ignore_errors=True)


@pytest.fixture
def machines(tmp_path) -> Iterator[tuple[Machine, Machine]]:
    if reason := why_not():
        pytest.skip(reason)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    first, second = HOSTS
    both = Machine(first, tmp_path), Machine(second, tmp_path)
    try:
        for machine in both:
            machine.build()
        ip("link", "add", "eth0", "netns", both[0].space, "type", "veth",
           "peer", "name", "eth0", "netns", both[1].space)
        for machine in both:
            machine.plug_in()
            machine.start_sshd()
        greet = both[0].command("ssh", "-o", "StrictHostKeyChecking=no", "-i", tmp_path / "key",
                                "-p", PORT, "hostb", "hostname")
        wait_until(lambda: subprocess.run(greet, capture_output=True, text=True).stdout == "hostb\n",
                   30, lambda: (tmp_path / "sshd-hostb").read_text())
        yield both
    finally:
        for machine in both:
            machine.tear_down()
    left = ip("netns", "list")
    assert all(machine.space not in left and not machine.settings.exists() for machine in both)


def launch(machines, tmp_path: Path, *flags: str | int) -> Job:
    script = export_script(tmp_path)
    horovodrun, training = flags[:flags.index("--")], flags[flags.index("--") + 1:]
    return Job(tmp_path / "log", *machines[0].command(
        HOROVODRUN, "-np", 2, "-H", "hosta:1,hostb:1", "--network-interfaces", "eth0",
        "--ssh-port", PORT, "--ssh-identity-file", tmp_path / "key", *horovodrun,
        sys.executable, script, *FLAGS, "--model_path", tmp_path, "--model_name", "far", *training))


def processes_in(machine: Machine, word: str) -> list[int]:
    """Those of a machine with `word` in their command."""
    pids = map(int, ip("netns", "pids", machine.space).split())
    return [pid for pid in pids if word in Path(f"/proc/{pid}/cmdline").read_text()]


def test_two_machines_train_together(small_mini, machines, tmp_path):
    job = launch(machines, tmp_path, "--", "--epochs", 2)
    job.wait_for("epoch +1 ")
    assert all(processes_in(machine, "06_distributed_training.py") for machine in machines)
    assert job.process.wait(HANGS) == 0, job.said()
    state = load_checkpoint(tmp_path / "far" / "checkpoint.pt")
    assert (state["epoch"], state["step"]) == (2, 6)  # four utterances a step, two on each


def test_training_continues_when_the_cable_is_cut(small_mini, machines, tmp_path):
    job = launch(machines, tmp_path, "--min-np", 1, "--", "--epochs", 1000,
                 "--learning_rate", 0.02)
    try:
        job.wait_for("2 workers from step 0 of epoch 1")
        job.wait_for("epoch +2 ")
        ip("-n", machines[1].space, "link", "set", "eth0", "down")
        job.wait_for("1 workers from step(.|\n)*epoch +[0-9]+ ")
        before = max(losses(job.said()))
        job.wait_for(f"epoch +{before + 2} ")
        assert job.stop() == 0, job.said()
    finally:
        if job.process.poll() is None:
            job.process.kill()
    found = losses(job.said())
    assert sorted(found) == list(range(1, max(found) + 1)) and found[max(found)] < found[1]
    assert load_checkpoint(tmp_path / "far" / "checkpoint.pt")["epoch"] >= before + 2
    assert re.search("stopped after epoch", job.said())
