"""A real Slurm of one node on this machine, with GPUs that are copies of /dev/null. Needs root and Debian's packages.

Everything lies in one folder but two links in /etc/slurm: inside a job, Snakemake's plugin drops SLURM_CONF before it
calls srun, which then looks there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until

ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order in which they are stopped
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")  # of Debian
N_GPUS = 2
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
PlugStackConfig=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=3600
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=4 RealMemory=16000 Gres=gpu:{gpus}
PartitionName=cpu Nodes=n1 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n1 MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why no cluster can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "a test cluster must be started by root"
    missing = [name for name in (*DAEMONS, "sbatch") if shutil.which(name) is None]
    return f"{', '.join(missing)} not installed: apt-get install {' '.join(PACKAGES)}" if missing else ""


@contextmanager
def cluster(root: Path) -> Iterator[None]:
    """Start a cluster whose files lie in `root`, and stop it; waits while another test has one on this machine."""
    with open("/tmp/ddcl-test-cluster.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _clear_links()
        try:
            _start(root)
            yield
        finally:
            _stop(root)
            _clear_links()


def _clear_links() -> None:
    """Remove our links, and those of a killed test, whose daemons are stopped first; refuse any other cluster."""
    for link in (ETC / name for name in FILES):
        if link.is_symlink() and (root := link.readlink().parent).name.startswith("ddcl-slurm"):
            _stop(root)
            link.unlink()
        elif link.exists():
            raise RuntimeError(f"{link}: this machine has a Slurm of its own")


def _start(root: Path) -> None:
    for folder in ("state", "spool", "munge"):
        (root / folder).mkdir(parents=True, mode=0o700)
    host = socket.gethostname().split(".")[0]
    ports = {"control_port": _free_port(), "node_port": _free_port()}
    (root / "slurm.conf").write_text(CONF.format(root=root, host=host, gpus=N_GPUS, **ports))
    for index in range(N_GPUS):
        os.mknod(root / f"gpu{index}", stat.S_IFCHR | 0o666, os.makedev(1, 3))  # gres.conf wants devices
    (root / "gres.conf").write_text(f"Name=gpu File={root}/gpu[0-{N_GPUS - 1}]\n")
    ETC.mkdir(exist_ok=True)
    for name in FILES:
        (ETC / name).symlink_to(root / name)
    key = root / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    files = {"key-file": key, "socket": root / "munge.sock", "pid-file": root / "munged.pid"}
    files |= {"log-file": root / "munge" / "log", "seed-file": root / "munge" / "seed"}
    call("munged", "--force", *(f"--{name}={path}" for name, path in files.items()))
    wait_for("munge", lambda: call("munge", "-S", str(root / "munge.sock"), "-n", check=False) != "")
    call("slurmctld", "-f", str(root / "slurm.conf"))
    wait_for("slurmctld", lambda: "is UP" in call("scontrol", "ping", check=False))
    call("slurmd", "-f", str(root / "slurm.conf"), "-N", "n1")
    wait_for("the node", lambda: call("sinfo", "--noheader", "--format=%T", check=False).split() == ["idle"])


def _stop(root: Path) -> None:
    """Cancel what runs and end the daemons whose pid files lie in `root`."""
    if _pid(root, "slurmctld"):
        call("scancel", "--me", check=False)
        with suppress(TimeoutError):  # the daemons must end all the same
            wait_for("the queue to empty", lambda: not jobs())
    for name in DAEMONS:
        if pid := _pid(root, name):
            os.kill(pid, 15)
            wait_for(f"the end of {name}", lambda name=name: _pid(root, name) is None)  # type: ignore[misc]


def _pid(root: Path, name: str) -> int | None:
    """Return the process of a daemon, if it runs; one that only waits to be reaped does not."""
    try:
        pid = int((root / f"{name}.pid").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return None
    return pid if f"Name:\t{name}\n" in status and "State:\tZ" not in status else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def jobs() -> list[str]:
    """Return the ids of the jobs that wait, run or end."""
    return call("squeue", "--me", "--noheader", "--format=%i", check=False).split()


def call(*command: str, check: bool = True) -> str:
    """Run a command; return what it printed."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check).stdout


def wait_for(what: str, true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `true` gives something true; an error if that takes longer than `seconds`."""
    if not until(true, seconds):
        raise TimeoutError(f"waited {seconds} s for {what}")
