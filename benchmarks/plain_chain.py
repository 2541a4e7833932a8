"""Compare the lesson preset on mini with and without the skip connection around the LSTM.

    python benchmarks/plain_chain.py [EPOCHS]

Writes benchmarks/plain_chain.json, which notebook 3 shows: the error rate on dev after each epoch.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text


class PlainChain(AcousticModel):
    """The printed layers in sequence, without the skip connection."""

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        assert lengths is not None
        frames = self.encode(features, lengths)
        context = self.look_around(self.dropout(frames), self.output_lengths(lengths))
        return self.fc3(self.dropout(torch.relu(self.fc2(context))))


def errors_by_epoch(design: type[AcousticModel], settings: Settings) -> list[float]:
    trainer = Trainer(open_split("mini", "train"), open_split("mini", "dev"), settings)
    trainer.model.__class__ = design  # the same layers, connected differently
    rates = []
    while trainer.epoch < settings.epochs:
        trainer.train_epoch()
        rates.append(round(trainer.evaluate().toned.rate, 3))
        print(f"{design.__name__:14} epoch {trainer.epoch:2}  dev error {rates[-1]:6.1%}")
    return rates


def main(epochs: int) -> None:
    output = Path(__file__).with_suffix(".json")
    settings = replace(Settings(), epochs=epochs)
    facts = {"command": f"python benchmarks/plain_chain.py {epochs}", "commit": commit(),
             "hardware": hardware(), "corpus": "mini", "split": "dev",
             "label_source": open_split("mini", "dev").label_source,
             "with the skip": errors_by_epoch(AcousticModel, settings),
             "plain chain": errors_by_epoch(PlainChain, settings)}
    write_text(output, json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
