"""What the facts of a machine mean for photoindex: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterator

from photoindex.doctor.records import Disk, Finding, Level, Machine
from photoindex.runtimes.inventory import InstalledRuntime
from photoindex.steps.opencv_guard import REPAIR

_GB = 10**9
_LOW_MEMORY, _LOW_DISK, _NO_DISK = 3 * _GB, 5 * _GB, _GB // 2
# A batch of eight pictures waits in /dev/shm with the views of all models, about 4 MB each, two batches a worker.
_SHARED_A_WORKER = 2 * 8 * 4_000_000
_FEWEST_CORES = 2.0


def check_machine(machine: Machine) -> list[Finding]:
    """Every check of a machine, in the order in which they are shown."""
    return [
        *_processor(machine),
        *_memory(machine),
        *_gpus(machine),
        *(finding for runtime in machine.runtimes for finding in _runtime(runtime)),
        *_onnxruntimes(machine),
        *_opencv(machine),
        *(finding for disk in machine.disks for finding in _disk(disk)),
    ]


def _finding(level: Level, code: str, message: str, advice: str = "", *commands: str) -> Finding:
    return Finding(level, "machine", code, message, advice, commands)


def _processor(machine: Machine) -> Iterator[Finding]:
    cpu = machine.cpu
    if cpu.usable < min(cpu.cores, _FEWEST_CORES):
        text = f"Only {cpu.usable:g} of the machine's {cpu.cores} cores may be used."
        yield _finding("warning", "few_cores", text, "Give the container or the service more, if you can.")
    if cpu.architecture in ("x86_64", "AMD64") and cpu.features and "AVX2" not in cpu.features:
        text = "This processor has no AVX2: models run, several times slower than on processors since 2013."
        yield _finding("warning", "no_avx2", text, "In a virtual machine, pass the host's processor type through.")


def _memory(machine: Machine) -> Iterator[Finding]:
    memory = machine.memory
    if memory.total < _LOW_MEMORY:
        text = f"{memory.total / _GB:.1f} GB of memory are little; models and decoding want about 3 GB."
        yield _finding(
            "warning", "little_memory", text, "Scan with fewer workers:", "photoindex scan FOLDER --workers 1"
        )
    elif memory.available < _LOW_MEMORY // 2:
        text = f"Only {memory.available / _GB:.1f} GB of {memory.total / _GB:.1f} GB memory are free just now."
        yield _finding("warning", "memory_in_use", text, "Close other programs before a scan.")
    workers = max(1, min(16, int(machine.cpu.usable)))
    if memory.shared is not None and memory.shared < workers * _SHARED_A_WORKER:
        needed = workers * _SHARED_A_WORKER / 1e6
        text = (
            f"{memory.shared / 1e6:.0f} MB of shared memory (/dev/shm) are less than the {needed:.0f} MB that"
            f" {workers} decode workers may need."
        )
        advice = "Give the container more (docker run --shm-size 1g), or scan with fewer workers:"
        yield _finding("warning", "little_shared_memory", text, advice, "photoindex scan FOLDER --workers 1")


def _gpus(machine: Machine) -> Iterator[Finding]:
    """A GPU that is there and not used is what nobody notices by himself."""
    if not machine.gpus:
        yield _finding("ok", "no_gpu", "There is no GPU; models run on the processor.")
        return
    nvidia = [gpu for gpu in machine.gpus if gpu.vendor == "NVIDIA"]
    answering = [gpu for gpu in machine.gpus if gpu.usable]
    if nvidia and not any(gpu.usable for gpu in nvidia):
        text = f"{nvidia[0].name} is on the bus, but its driver does not answer, so models run on the processor."
        advice = "Install NVIDIA's driver; start a container with --gpus all. Then this must list the GPU:"
        yield _finding("problem", "gpu_without_driver", text, advice, "nvidia-smi")
    if answering and not any(runtime.accelerated for runtime in machine.runtimes):
        yield _idle_gpu(machine, answering[0].name)
    elif answering:
        used = [runtime.name for runtime in machine.runtimes if runtime.accelerated]
        yield _finding("ok", "gpu", f"{answering[0].name} can be used by {' and '.join(used)}.")
    others = [gpu for gpu in machine.gpus if not gpu.usable and gpu.vendor != "NVIDIA"]
    if others and not answering and not nvidia:
        yield _other_gpu(machine, others[0].name)


def _idle_gpu(machine: Machine, gpu: str) -> Finding:
    torch = next((runtime for runtime in machine.runtimes if runtime.name == "torch"), None)
    text = f"{gpu} is here and its driver answers, but no runtime can use it: models run on the processor, far slower."
    if torch is not None and torch.build.startswith("CUDA") and not torch.problem:
        advice = (
            f"The installed torch was made for {torch.build}; the driver may be too old for that. Update it and see:"
        )
        return _finding("problem", "gpu_not_used", text, advice, "nvidia-smi")
    advice = "The installed torch is a build for processors only. Install the one for GPUs:"
    return _finding("problem", "gpu_not_used", text, advice, "pip install --force-reinstall torch torchvision")


def _other_gpu(machine: Machine, gpu: str) -> Finding:
    if any(runtime.accelerated for runtime in machine.runtimes):
        used = next(runtime.name for runtime in machine.runtimes if runtime.accelerated)
        return _finding("ok", "gpu", f"{gpu} can be used by {used}.")
    return _finding("ok", "gpu_unknown", f"{gpu} is there; no runtime uses it, models run on the processor.")


def _runtime(runtime: InstalledRuntime) -> Iterator[Finding]:
    if runtime.problem:
        text = f"{runtime.name} {runtime.version}".rstrip() + f" cannot be used: {runtime.problem}."
        level: Level = "problem" if runtime.name == "torch" else "warning"
        command = f"pip install --force-reinstall {runtime.name}"
        yield _finding(level, "runtime_broken", text, "Install it again:", command)


def _onnxruntimes(machine: Machine) -> Iterator[Finding]:
    found = machine.onnxruntimes
    if len(found) > 1:
        text = f"{len(found)} packages overwrite each other's ONNX Runtime: {', '.join(found)}."
        wanted = next((name for name in found if name != "onnxruntime"), "onnxruntime")
        command = f"pip uninstall -y {' '.join(found)} && pip install {wanted}"
        yield _finding("warning", "several_onnxruntimes", text, "Leave one:", command)


def _opencv(machine: Machine) -> Iterator[Finding]:
    if len(machine.opencvs) > 1:
        text = f"{len(machine.opencvs)} packages overwrite each other's OpenCV: {', '.join(machine.opencvs)}."
        advice = "Until one is left, text in pictures and faces are skipped:"
        yield _finding("problem", "several_opencvs", text, advice, REPAIR)
    elif machine.opencv_problem:
        text = f"OpenCV does not load: {machine.opencv_problem}."
        advice = "Until it does, text in pictures and faces are skipped:"
        yield _finding("problem", "opencv_broken", text, advice, REPAIR)


def _disk(disk: Disk) -> Iterator[Finding]:
    place = {"library": "the library", "models": "the models", "temporary": "temporary files"}[disk.use]
    text = f"{disk.free / _GB:.1f} GB are free on the disk of {place} ({disk.path})."
    if disk.free < _NO_DISK:
        yield _finding("problem", "disk_full", text, "Make room there before the next scan.")
    elif disk.free < _LOW_DISK and disk.use != "temporary":
        yield _finding("warning", "disk_nearly_full", text, "Make room there soon.")
