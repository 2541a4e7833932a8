"""Training that survives the loss of processes: Horovod Elastic, with a state of our own.

Horovod's ElasticSampler skips a prefix of a fixed order and repeats samples to divide evenly; our
plan of batches continues after the batches that are done, in other shards.
"""

import copy
from collections.abc import Callable

from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.training.runs import Run
from ramospeech.training.state import restore, state_of

__all__ = ["fit_elastically"]


def fit_elastically(
    run: Run, save_step: int, save_minutes: float, stop: Callable[[], bool]
) -> Evaluation | None:
    """`run.fit` with these arguments, restarted from the last step when a process is lost or joins."""
    import horovod.torch as hvd
    from horovod.common.elastic import State

    class TrainerState(State):
        """A copy of the trainer's state after the last step that all processes have taken."""

        def save(self) -> None:
            self.saved = copy.deepcopy(state_of(run.trainer))

        def restore(self) -> None:
            """Nothing yet: `sync` follows, when Horovod knows which processes are left."""

        def sync(self) -> None:
            self.saved = hvd.broadcast_object(self.saved, root_rank=0, name="state")
            self.reset()

        def reset(self) -> None:
            restore(run.trainer, copy.deepcopy(self.saved))

        def report(self) -> None:
            if run.trainer.group.is_first:
                print(f"{run.trainer.group.size} workers from step {run.trainer.step} of epoch "
                      f"{run.trainer.epoch + 1}", flush=True)

    state = TrainerState(hvd.broadcast_object, hvd.rank)
    state.save()

    @hvd.elastic.run
    def fit(state: TrainerState) -> Evaluation | None:
        state.report()
        return run.fit(save_step, save_minutes, stop, commit=state.commit)

    return fit(state)
