"""Training that outlives its processes: Horovod Elastic, with our own state.

Horovod's ElasticSampler skips a prefix of a fixed order and repeats samples to divide evenly; our
plan of batches goes on, with other shares, behind the batches that are done.
"""

import copy
from collections.abc import Callable

from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.training.runs import Run


def fit_elastically(
    run: Run, save_step: int, save_minutes: float, stop: Callable[[], bool]
) -> Evaluation | None:
    """`run.fit` with these arguments, begun anew from the last step whenever a process is lost or joins."""
    import horovod.torch as hvd
    from horovod.common.elastic import State

    class TrainerState(State):
        """A copy of the trainer's state after the last step that all processes did."""

        def save(self) -> None:
            self.saved = copy.deepcopy(run.trainer.state())

        def restore(self) -> None:
            """Nothing yet: `sync` follows, when Horovod knows who is left."""

        def sync(self) -> None:
            self.saved = hvd.broadcast_object(self.saved, root_rank=0, name="state")
            self.reset()

        def reset(self) -> None:
            run.trainer.load_state(copy.deepcopy(self.saved))

        def say(self) -> None:
            if run.trainer.group.is_first:
                print(f"{run.trainer.group.size} workers from step {run.trainer.step} of epoch "
                      f"{run.trainer.epoch + 1}", flush=True)

    state = TrainerState(hvd.broadcast_object, hvd.rank)
    state.save()

    @hvd.elastic.run
    def fit(state: TrainerState) -> Evaluation | None:
        state.say()
        return run.fit(save_step, save_minutes, stop, commit=state.commit)

    return fit(state)
