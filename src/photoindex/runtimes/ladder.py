"""A session that keeps going: when what runs the model fails, the next candidate takes over for good."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from photoindex.errors import RuntimeUnavailable
from photoindex.runtimes.attendant import Attendant, Hung
from photoindex.runtimes.candidates import Candidate
from photoindex.runtimes.faults import not_numbers, one_line, out_of_memory
from photoindex.runtimes.session import Arrays, Interrupted, Session

Outputs = dict[str, npt.NDArray[np.generic]]
# After so many inputs on which every candidate failed, though each runs its trial, an input is no reason to switch.
_BAD_INPUTS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds after which a call counts as hung: loading, the first run (kernels are made then), any other run.

    A run may also take `factor` times as long as the slowest before it.
    """

    load_s: float = 600.0
    first_s: float = 600.0
    run_s: float = 120.0
    factor: float = 30.0


class Ladder:
    """A Session over several candidates, of which one is open at a time.

    A candidate is left when it does not load, fails its trial, raises, gives what is no number, hangs, or has no
    memory for a single picture. `failures`: why each was left. `most`: pictures that a run can hold, once memory
    was short; larger batches are run in parts.
    """

    def __init__(
        self,
        name: str,
        rungs: Sequence[Candidate],
        trial: Callable[[Session], str | None] = lambda _: None,
        *,
        tell: Callable[[str], None] = lambda _: None,
        limits: Limits | None = None,
        batch_sizes: Mapping[str, int] | None = None,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        """Opens the first candidate that loads and whose `trial` finds no fault. Raises RuntimeUnavailable.

        `tell` is given a line for each change. `batch_sizes`: the best one by runtime, where that was measured.
        `fatal`: what no other candidate would do better; raised from loading as it is.
        """
        self._fatal: tuple[type[Exception], ...] = (Interrupted, *fatal)
        self._name, self._rungs, self._trial, self._tell = name, tuple(rungs), trial, tell
        self._limits, self._batch_sizes = limits or Limits(), batch_sizes or {}
        self._at, self._bad_inputs = -1, 0
        self._session: Session | None = None
        self._attendant: Attendant | None = None
        self._slowest_s: float | None = None
        self._usable = [rung.absent is None for rung in self._rungs]
        self.most: int | None = None
        self.failures: dict[str, str] = {}
        if not self._open_after(-1):
            raise self._exhausted()

    @property
    def runtime(self) -> str:
        return self._rungs[self._at].name

    @property
    def inputs(self) -> Sequence[str]:
        return self._opened.inputs

    @property
    def batch_size(self) -> int | None:
        """Rows a run that were measured to be best for the present runtime, or None."""
        return self._batch_sizes.get(self.runtime)

    @property
    def current(self) -> Session:
        """The session that runs the model now."""
        return self._opened

    def run(self, inputs: Arrays) -> Outputs:
        """One batch, all of it on one runtime. Raises RuntimeUnavailable where every candidate left fails on it.

        Nothing is opened again once the ladder is closed, or no candidate is left.
        """
        if self._session is None:
            raise self._unopened()
        began, blamed = self._at, 0
        while True:
            try:
                return self._run_in_parts(inputs)
            except Interrupted:
                raise
            except Exception as error:
                if self._bad_inputs >= _BAD_INPUTS and self._passes_trial():
                    raise RuntimeUnavailable(self._name, f"{self.runtime}: {one_line(error)}") from error
                blamed += self._fall(error)
                if self._session is None:
                    self._blame_input(began, blamed)
                    raise self._exhausted() from error

    def close(self) -> None:
        session, attendant = self._session, self._attendant
        self._session = self._attendant = None
        if attendant is not None:
            if session is not None:
                self._guarded_close(session, attendant)
            attendant.dismiss()

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise self._unopened()
        return self._session

    def _unopened(self) -> RuntimeUnavailable:
        return self._exhausted() if self.failures else RuntimeUnavailable(self._name, "the session is closed")

    def _run_in_parts(self, inputs: Arrays) -> Outputs:
        """The batch in parts that memory holds, halving them until it does. Raises what the runtime does."""
        count = min(map(len, inputs.values()))
        while True:
            size = min(count, self.most or count)
            try:
                parts = [
                    self._run_once({name: array[at : at + size] for name, array in inputs.items()})
                    for at in range(0, count, max(1, size))
                ]
            except Exception as error:
                if size <= 1 or not out_of_memory(error):
                    raise
                self.most = size // 2
                self._tell(f"{self._name}: {self.runtime} has no memory for {size} at once; going on with {self.most}.")
                continue
            if len(parts) == 1:
                return parts[0]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_once(self, inputs: Arrays) -> Outputs:
        session, attendant = self._opened, self._attendant
        assert attendant is not None
        limits, slowest = self._limits, self._slowest_s
        limit = limits.first_s if slowest is None else max(limits.run_s, limits.factor * slowest)
        started = time.perf_counter()
        outputs = attendant.call(lambda: session.run(inputs), limit)
        self._slowest_s = max(slowest or 0.0, time.perf_counter() - started)
        complaint = not_numbers(outputs)
        if complaint is not None:
            raise RuntimeUnavailable(self._name, complaint)
        return outputs

    def _fall(self, error: Exception) -> bool:
        """Leave the present candidate and open the next that works. Whether it may be the input's fault."""
        left, at = self.runtime, self._at
        self._leave(error)
        self._usable[at] &= not isinstance(error, Hung)
        self.failures[left] = _said(error)
        self.most = None if out_of_memory(error) else self.most
        if self._open_after(at):
            self._tell(f"{self._name}: {left} failed ({_said(error)}); {self.runtime} takes over.")
        return self._usable[at]

    def _leave(self, error: Exception) -> None:
        if isinstance(error, Hung):  # its thread still uses the session: neither may be touched again
            self._session = self._attendant = None
        self.close()

    def _blame_input(self, began: int, blamed: int) -> None:
        """All candidates failed on one input: go back to the first that runs its trial, and remember it happened."""
        self._bad_inputs += blamed > 0
        tried = dict(self.failures)
        self._open_after(began - 1)
        self.failures = tried | self.failures

    def _passes_trial(self) -> bool:
        """Whether the present session still does what it could when it was opened."""
        session, attendant = self._session, self._attendant
        if session is None or attendant is None:
            return False
        try:
            return attendant.call(lambda: self._trial(session), self._limits.first_s) is None
        except Exception:  # noqa: BLE001 - any failure of the trial is the answer
            return False

    def _open_after(self, at: int) -> bool:
        """Open the next usable candidate after rung `at` that loads and passes its trial."""
        return any(self._usable[index] and self._open(index) for index in range(at + 1, len(self._rungs)))

    def _open(self, index: int) -> bool:
        rung, attendant = self._rungs[index], Attendant()
        session: Session | None = None
        try:
            session = attendant.call(rung.open, self._limits.load_s)
            complaint = attendant.call(lambda: self._trial(session), self._limits.first_s)  # type: ignore[arg-type]
        except Hung as hung:
            complaint, session, attendant = _said(hung), None, Attendant()
        except self._fatal:
            attendant.dismiss()
            raise
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws means the next one's turn
            complaint = _said(error)
        if complaint is None and session is not None:
            self._at, self._session, self._attendant, self._slowest_s = index, session, attendant, None
            weakref.finalize(self, attendant.dismiss).atexit = False  # a ladder that nobody closes leaves no thread
            return True
        if session is not None:
            self._guarded_close(session, attendant)
        attendant.dismiss()
        self._usable[index] = False
        self.failures[rung.name] = complaint or "it gave no session"
        return False

    def _guarded_close(self, session: Session, attendant: Attendant) -> None:
        """A runtime that failed may fail again, or hang, when it is closed; that must stop nobody."""
        try:
            attendant.call(session.close, self._limits.run_s)
        except Exception as error:  # noqa: BLE001 - see above
            self.failures.setdefault(f"closing {session.runtime}", _said(error))

    def _exhausted(self) -> RuntimeUnavailable:
        reasons = self.failures or {rung.name: rung.absent for rung in self._rungs if rung.absent}
        return RuntimeUnavailable(self._name, "; ".join(f"{name}: {why}" for name, why in reasons.items()))


def _said(error: Exception) -> str:
    """What an error says, without the frame that RuntimeUnavailable puts around it."""
    return one_line(str(error.args[1]) if isinstance(error, RuntimeUnavailable) and len(error.args) > 1 else error)
