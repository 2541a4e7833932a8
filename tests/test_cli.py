"""The command `ramospeech`, as a user types it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hangs import HANGS

from ramospeech import __version__
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.cli import train
from ramospeech.cli.main import build_parser, main
from ramospeech.config.settings import Settings
from ramospeech.data.corpora import get_corpus, open_split
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import load_checkpoint, load_model, save_checkpoint, save_model
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import Recogniser
from ramospeech.training import trainer

COMMANDS = ["corpora", "download", "prepare", "train", "evaluate", "transcribe", "speech2text", "demo",
            "train-lm", "pinyin2hanzi"]


@pytest.fixture
def ramospeech(capsys, small_mini, tmp_path, monkeypatch):
    """Call the command in an empty folder: gives its status, and lines of output and of errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, list[str], list[str]]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code)
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err.splitlines()

    return call


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """An untrained model that hears no blanks."""
    torch.manual_seed(1)
    vocabulary = Vocabulary.read()
    model = AcousticModel.from_preset("lesson", len(vocabulary))
    model.fc3.bias.data[0] = -100.0
    path = tmp_path_factory.mktemp("models") / "untrained.safetensors"
    save_model(path, model, vocabulary, {"preset": "lesson"})
    return path


@pytest.fixture
def recordings(small_mini) -> list[Path]:
    split = open_split("mini", "test")
    return [split.audio_path(index) for index in range(3)]


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(ramospeech, command):
    status, out, _ = ramospeech(command, "--help")
    assert status == 0 and out[0].startswith(f"usage: ramospeech {command}")
    assert not any("None" in line or "False" in line for line in out)


def test_the_commands_are_listed(ramospeech):
    status, out, _ = ramospeech("--help")
    listed = [line.split()[0] for line in out if line.startswith("    ") and line.strip()]
    assert status == 0 and set(COMMANDS) <= set(listed)
    assert ramospeech("--version")[:2] == (0, [__version__])


def test_every_flag_has_help():
    subcommands = build_parser()._subparsers._group_actions[0].choices
    assert sorted(subcommands) == sorted(COMMANDS)
    for command, parser in subcommands.items():
        for action in parser._actions:
            assert action.help, (command, action.option_strings)


@pytest.mark.parametrize("arguments", [
    [], ["listen"], ["transcribe"], ["train", "--epochs", "0"], ["train", "--batch_size", "x"],
    ["train", "--preset", "huge"], ["download", "timit"], ["transcribe", "a.wav", "--loud"],
    ["transcribe", "a.wav", "--device", "abacus"], ["train", "--loss", "focal"],
    ["train", "--ace_weight", "0"], ["train", "--ace_weight", "nan"], ["train", "--ace_weight", "a"],
    ["train", "--entropy_weight", "-1"],
])
def test_a_wrong_call_says_so(ramospeech, arguments):
    status, out, err = ramospeech(*arguments)
    assert status == 2 and out == []
    assert err[0].startswith("usage: ramospeech") and "error: " in err[-1]


# Training


FLAGS_OF_2019 = ("--data_type mini --model_path models --model_name first --gpu_rank 1 "
                 "--epochs 1 --save_step 20 --batch_size 8").split()


def test_the_flags_of_2019_train_a_model(ramospeech):
    status, out, err = ramospeech("train", *FLAGS_OF_2019)
    assert (status, err) == (0, [])
    folder = Path("models") / "first"
    assert load_checkpoint(folder / "checkpoint.pt")["epoch"] == 1
    _, _, facts = load_model(folder / "best.safetensors")
    assert facts["corpus"] == "mini" and facts["batch_size"] == 8
    assert "12 utterances to train on, 4 to evaluate on" in out[0]
    assert str(folder / "best.safetensors") in out[-1]

    # The same once more would overwrite it.
    before = (folder / "checkpoint.pt").read_bytes()
    status, _, err = ramospeech("train", *FLAGS_OF_2019)
    assert status == 1 and len(err) == 1
    assert f"{folder} already contains a run" in err[0] and "--load_model" in err[0]
    assert (folder / "checkpoint.pt").read_bytes() == before

    # --load_model goes on from it.
    flags = ["2" if flag == "1" and before == "--epochs" else flag
             for before, flag in zip(["", *FLAGS_OF_2019], FLAGS_OF_2019)]
    status, out, err = ramospeech("train", *flags, "--load_model")
    assert (status, err) == (0, [])
    assert "resuming after epoch 1" in out
    assert not any(line.startswith("epoch    1") for line in out)
    assert load_checkpoint(folder / "checkpoint.pt")["epoch"] == 2

    # Another run may begin from it.
    status, out, _ = ramospeech(
        "train", "--epochs", 2, "--model_name", "second", "--model_path", "models",
        "--load_model", folder / "checkpoint.pt",
    )
    assert status == 0 and "resuming after epoch 2" in out
    assert (Path("models") / "second" / "best.safetensors").exists()


@pytest.mark.parametrize("flags, words", [
    (["--loss", "ace", "--no-recurrent", "--subsampling", "2"],
     "model 'lesson' without an LSTM.*; loss ace; "),
    (["--loss", "ctc+ace", "--ace_weight", "0.3"], r"model 'lesson'.*; loss ctc\+ace \(0.3 times ace\); "),
])
def test_the_loss_travels_with_the_model(ramospeech, flags, words):
    """From the command line to the file that recognition reads, and on to the next epoch."""
    status, out, err = ramospeech("train", "--epochs", 1, *flags)
    assert (status, err) == (0, []) and re.search(words, out[1])
    file = Path("runs") / "dfcnn" / "best.safetensors"
    model, _, facts = load_model(file)
    assert model.loss == facts["loss"] == flags[1]
    assert model.subsampling == facts["subsampling"] == (2 if "--subsampling" in flags else 1)
    assert model.recurrent == facts["recurrent"] == ("--no-recurrent" not in flags)
    status, out, err = ramospeech("train", "--epochs", 2, "--load_model")
    assert (status, err) == (0, []) and re.search(words, out[1])
    status, _, err = ramospeech("evaluate", "--model", file, "--split", "dev")
    assert (status, err) == (0, [])


def test_a_run_without_a_checkpoint_yet_is_not_overwritten(ramospeech):
    """With --save_step 20 the best model is there long before the first checkpoint."""
    best = Path("runs") / "dfcnn" / "best.safetensors"
    best.parent.mkdir(parents=True)
    best.touch()
    status, out, err = ramospeech("train", "--epochs", 1)
    assert (status, out, len(err)) == (1, [], 1) and "already contains a model" in err[0]


def test_a_run_that_ended_before_it_began(ramospeech):
    (Path("runs") / "dfcnn").mkdir(parents=True)
    status, out, err = ramospeech("train", "--load_model")
    assert (status, out, len(err)) == (1, [], 1)
    assert "no such checkpoint" in err[0] and "start it without --load_model" in err[0]


def test_a_run_goes_on_with_its_corpus(ramospeech):
    """A run of another corpus than mini, without saying which."""
    assert ramospeech("train", "--epochs", 1)[0] == 0
    checkpoint = Path("runs") / "dfcnn" / "checkpoint.pt"
    state = load_checkpoint(checkpoint)
    assert state["corpus"] == "mini"
    save_checkpoint(checkpoint, state | {"corpus": "audio-cmn"})
    status, _, err = ramospeech("train", "--load_model")
    assert status == 1 and "audio-cmn is not prepared" in err[0]
    assert ramospeech("train", "--load_model", "--data_type", "mini")[0] == 0


def test_a_run_may_be_told_to_stop(ramospeech, monkeypatch):
    """It says how to go on; the path is quoted where a shell needs it."""
    train_batch = trainer.Trainer.train_batch

    def then_stop(trainer, batch):
        signal.raise_signal(signal.SIGTERM)
        return train_batch(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "train_batch", then_stop)
        flags = ["--model_path", "my runs", "--epochs", 1, "--batch_size", 6]
        status, out, _ = ramospeech("train", *flags)
    assert status == 0 and "after epoch 0 and 1 of 2 batches; saved in my runs" in out[-2]
    command = shlex.split(out[-1])
    assert command[:4] == ["ramospeech", "train", "--model_path", "my runs"]
    status, out, _ = ramospeech(*command[1:])
    assert status == 0 and "resuming after epoch 0 and 1 of 2 batches" in out
    assert load_checkpoint(Path("my runs") / "dfcnn" / "checkpoint.pt")["step"] == 2


@pytest.mark.parametrize("minutes", ["soon", "-1", "nan"])
def test_minutes_are_a_number(ramospeech, minutes):
    status, _, err = ramospeech("train", "--save_minutes", minutes)
    assert status == 2 and "not a number of minutes" in err[-1]

@pytest.mark.parametrize("flag", ["--voice_augmentation", "--ema_decay", "--uniform_segmentation"])
@pytest.mark.parametrize("share", ["half", "-0.1", "1.5", "nan"])
def test_a_share_lies_between_nothing_and_all(ramospeech, flag, share):
    status, _, err = ramospeech("train", flag, share)
    assert status == 2 and "not a number from 0 to 1" in err[-1]


def test_voice_augmentation_alone_means_half():
    parsed = [build_parser().parse_args(["train", *words]).voice_augmentation
              for words in ([], ["--voice_augmentation"], ["--voice_augmentation", "1"])]
    assert parsed == [None, 0.5, 1.0]


SWITCHES = [field.name for field in fields(Settings) if isinstance(field.default, bool)]


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_has_its_opposite(name):
    """In both spellings; left out, it is as the run has it."""
    def parsed(*words: str):
        return getattr(build_parser().parse_args(["train", *words]), name)

    assert parsed() is None
    for spelling in {name, name.replace("_", "-")}:
        assert (parsed(f"--{spelling}"), parsed(f"--no-{spelling}")) == (True, False)


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_setting_is_a_flag_with_its_type_and_default(item):
    """In both spellings; the help says what applies if the flag is left out."""
    value = {"preset": "full", "loss": "ace", "precision": "bfloat16"}.get(item.name, "1")
    for spelling in (item.name, item.name.replace("_", "-")):
        words = [f"--{spelling}"] if item.name in SWITCHES else [f"--{spelling}", value]
        parsed = build_parser().parse_args(["train", *words])
        assert type(getattr(parsed, item.name)) is type(item.default)
    train_parser = build_parser()._subparsers._group_actions[0].choices["train"]
    (action,) = [action for action in train_parser._actions if action.dest == item.name]
    default = str(item.default) if item.name not in SWITCHES else "yes" if item.default else "no"
    assert f"(default: {default})" in action.help or item.name == "precision"


CHANGED = {"voice_augmentation": 0.5, "ema_decay": 0.9, "uniform_segmentation": 0.3, "entropy_weight": 0.5,
           "gradient_sharing": 0.0, "augment": False, "sync_norm": True, "compression": True, "seed": 3,
           "rate_scaling": 1.0}


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_checkpoint_has_changed_can_be_changed_back(tmp_path, name):
    held, default = replace(Settings(loss="ace"), **CHANGED), getattr(Settings(), name)
    checkpoint = tmp_path / "checkpoint.pt"
    save_checkpoint(checkpoint, {"settings": asdict(held), "corpus": "mini"})
    words = [f"--{name}" if default is True else f"--no-{name}"] if name in SWITCHES else \
        [f"--{name}", str(default)]
    settings, _ = train._settings(build_parser().parse_args(["train", *words]), checkpoint)
    assert settings == replace(held, **{name: default})


def test_a_run_goes_on_with_less(ramospeech):
    """What is explicit rules, in the checkpoint that follows, too; the model's design cannot change."""
    flags = ["--voice_augmentation", "--ema_decay", "0.9", "--no-augment", "--no-recurrent", "--sync_norm"]
    assert ramospeech("train", "--epochs", 1, *flags)[0] == 0
    back = ["--voice_augmentation", 0, "--ema_decay", 0, "--augment", "--no-sync_norm"]
    status, _, err = ramospeech("train", "--epochs", 2, "--load_model", *back)
    assert (status, err) == (0, [])
    held = load_checkpoint(Path("runs/dfcnn/checkpoint.pt"))["settings"]
    expected = {"voice_augmentation": 0.0, "ema_decay": 0.0, "augment": True, "sync_norm": False,
                "recurrent": False}
    assert {name: held[name] for name in expected} == expected
    status, _, err = ramospeech("train", "--epochs", 3, "--load_model", "--recurrent")
    assert (status, len(err)) == (1, 1) and "it holds a model without an LSTM" in err[0]


def test_flags_with_hyphens_are_the_same(ramospeech):
    underscores = build_parser().parse_args(["train", *FLAGS_OF_2019, "--load_model"])
    hyphens = build_parser().parse_args(
        ["train", *(flag.replace("_", "-") for flag in FLAGS_OF_2019), "--load-model"])
    assert vars(underscores) == vars(hyphens)


@pytest.mark.parametrize("corpus", ["timit", "mini+timit", "", "mini+"])
def test_a_corpus_that_is_not_there(ramospeech, corpus):
    status, out, err = ramospeech("train", "--data_type", corpus)
    assert (status, out, len(err)) == (1, [], 1)
    assert f"no corpus {corpus.split('+')[-1]!r}; there are mini, audio-cmn, thchs" in err[0]


@pytest.mark.parametrize("corpus", ["thchs", "mini+aishell", "all"])
def test_a_corpus_of_the_list_that_is_not_prepared(ramospeech, corpus):
    status, out, err = ramospeech("evaluate", "--data_type", corpus)
    assert (status, out, len(err)) == (1, [], 1)
    assert corpus.split("+")[-1] in err[0] and "run `ramospeech download" in err[0]


@pytest.fixture
def two_corpora(small_mini, tmp_path, monkeypatch):
    """The same utterances under two names, with labels of two sources."""
    for name, source in (("mini", "the first"), ("audio-cmn", "the second")):
        shutil.copytree(small_mini / "mini", tmp_path / "two" / name)
        path = tmp_path / "two" / name / "corpus.json"
        facts = json.loads(path.read_text()) | {"version": get_corpus(name).version,
                                                "label_source": source}
        path.write_text(json.dumps(facts))
    monkeypatch.setenv("RAMOSPEECH_DATA", str(tmp_path / "two"))


def test_a_union_is_trained_on_and_judged_by(ramospeech, two_corpora):
    status, out, err = ramospeech("train", "--data_type", "audio-cmn+mini", "--epochs", 1)
    assert (status, err) == (0, [])
    assert out[0] == ("audio-cmn+mini: 24 utterances to train on, 8 to evaluate on; "
                      "labels: the second (audio-cmn), the first (mini)")
    _, _, facts = load_model(Path("runs/dfcnn/best.safetensors"))
    assert facts["corpus"] == "audio-cmn+mini"


def test_all_is_judged_by_the_real_corpora(ramospeech, two_corpora, model_file):
    _, out, _ = ramospeech("evaluate", "--data_type", "all", "--model", model_file, "--json")
    facts = json.loads("".join(out))
    assert (facts["corpus"], facts["label_source"]) == ("audio-cmn", "the second")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_corpus_that_is_not_prepared(ramospeech, model_file, command):
    model = ["--model", model_file] if command == "evaluate" else []
    status, out, err = ramospeech(command, "--data_type", "audio-cmn", *model)
    assert (status, out, len(err)) == (1, [], 1)
    assert "`ramospeech download audio-cmn`" in err[0]


@pytest.mark.parametrize("flags, reason", [
    (["--load_model"], "checkpoint.pt: no such checkpoint"),
    (["--load_model", "elsewhere.pt"], "elsewhere.pt: no such checkpoint"),
    (["--device", "cuda"], "no GPU"),
    (["--learning_rate", "1e30", "--batch_size", "4"], "the loss is"),
    (["--ace_weight", "0.1"], "--ace_weight is for --loss ctc+ace; the loss is ctc"),
    (["--uniform_segmentation", "0.3"], "--uniform_segmentation is for --loss ace; the loss is ctc"),
])
def test_trouble_in_training_is_one_line(ramospeech, flags, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, _, err = ramospeech("train", "--epochs", 3, *flags)
    assert status == 1 and len(err) == 1 and reason in err[0]


def test_several_gpus_are_not_pretended(ramospeech):
    status, _, err = ramospeech("train", "--epochs", 1, "--gpu_rank", 4)
    assert status == 0 and err == ["--gpu_rank 4: this process trains on one device"]


def test_an_interruption_is_no_traceback(ramospeech, monkeypatch):
    def interrupt(trainer, after_step):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "train_epoch", interrupt)
    status, _, err = ramospeech("train", "--epochs", 1)
    assert (status, err) == (130, ["ramospeech: interrupted"])


@pytest.mark.parametrize("flags, environment", [
    (["--traceback"], {}), ([], {"RAMOSPEECH_TRACEBACK": "1"}),
])
def test_a_traceback_where_it_is_wanted(ramospeech, monkeypatch, flags, environment):
    call = ["transcribe", "a.wav", "--model", "nowhere.safetensors"]
    message = "ramospeech: nowhere.safetensors: no such model"
    monkeypatch.setenv("RAMOSPEECH_TRACEBACK", "0")
    assert ramospeech(*call) == (1, [], [message])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    status, out, err = ramospeech(*flags, *call)
    assert (status, out, err[0]) == (1, [], message)
    assert err[1].startswith("Traceback ") and err[-1].endswith("Error: nowhere.safetensors: no such model")


# Evaluation


def test_evaluate_in_words(ramospeech, model_file):
    status, out, err = ramospeech("evaluate", "--model", model_file)
    assert (status, err) == (0, [])
    assert out[0] == "a model trained on an unknown corpus:"
    assert out[1].startswith("untrained.safetensors on mini test: 4 utterances; labels: ")
    assert [line.split()[0] for line in out[2:5]] == ["toned", "base", "tones"]


def test_evaluate_in_numbers(ramospeech, model_file):
    status, out, err = ramospeech("evaluate", "--model", model_file, "--split", "dev", "--json")
    facts = json.loads("\n".join(out), parse_constant=lambda name: pytest.fail(name))
    assert (status, err) == (0, [])
    assert facts["split"] == "dev" and facts["utterances"] == 4
    assert facts["toned_syllables"]["error_rate"] > 0.5  # it is untrained


@pytest.mark.parametrize("search", [[], ["--decoder", "prefix", "--nbest", 2]])
def test_evaluate_tells_when_in_words_and_in_numbers(ramospeech, model_file, search):
    """What `transcribe` tells of the same recordings."""
    split = open_split("mini", "dev")
    flags = ["--timestamps", *search, "--model", model_file]
    files = [split.audio_path(index) for index in range(len(split))]
    _, heard, _ = ramospeech("transcribe", "--json", *flags, *files)
    status, out, err = ramospeech("evaluate", "--split", "dev", "--json", *flags)
    facts = json.loads("\n".join(out))
    assert (status, err) == (0, [])
    for transcript, line in zip(facts["transcripts"], heard, strict=True):
        expected = json.loads(line)
        assert transcript["file"] == expected["file"] and transcript["seconds"]
        assert (transcript["pinyin"], transcript["seconds"]) == (expected["pinyin"], expected["seconds"])
        assert ("nbest" in transcript) == bool(search)
    _, out, _ = ramospeech(*shlex.split(facts["command"])[1:], "--json")
    assert json.loads("\n".join(out)) == facts  # the command says all that it takes
    _, out, _ = ramospeech("evaluate", "--split", "dev", *flags)
    assert out[0] == f"{files[0]}\t" + " ".join(
        f"{syllable}@{second:.2f}" for syllable, second in
        zip(facts["transcripts"][0]["pinyin"], facts["transcripts"][0]["seconds"]))


@pytest.mark.parametrize("flags", [["--worst", "3"], ["--trained_on", "mini"]])
def test_flags_of_the_page_need_the_page(ramospeech, model_file, flags):
    status, out, err = ramospeech("evaluate", "--model", model_file, *flags)
    assert (status, out, len(err)) == (1, [], 1) and f"{flags[0]} can only be used with --report" in err[0]


def test_evaluate_writes_a_page(ramospeech, model_file, monkeypatch):
    recognised, recognise = [], Recogniser.recognise
    monkeypatch.setattr(Recogniser, "recognise", lambda recogniser, waveforms: (
        recognised.extend(waveforms) or recognise(recogniser, waveforms)))
    flags = ["--model", model_file, "--report", "pages/errors.html", "--worst", 2]
    status, out, err = ramospeech("evaluate", *flags)
    page = Path("pages/errors.html").read_text(encoding="utf-8")
    assert (status, err) == (0, []) and out[-1] == "the error analysis is pages/errors.html"
    assert len(recognised) == 4  # the split was read once
    assert page.count("<audio") == 2 and "does not say what the model was trained on" in page
    assert os.listdir("pages") == ["errors.html"]

    status, out, _ = ramospeech("evaluate", *flags, "--json", "--trained_on", "mini", "mini/dev")
    again = Path("pages/errors.html").read_text(encoding="utf-8")
    assert status == 0 and json.loads("\n".join(out))["utterances"] == 4
    assert "12 utterances of mini train" in again and "4 utterances of mini dev" in again


@pytest.mark.parametrize("flags, reason", [
    (["--report", "a_file/errors.html"], "a_file/errors.html: cannot be written"),
    (["--report", "."], ".: cannot be written"),
    (["--report", "errors.html", "--trained_on", "audio-cmn"], "audio-cmn is not prepared"),
])
def test_a_page_that_cannot_be_made_is_refused_before_the_work(
    ramospeech, model_file, monkeypatch, flags, reason
):
    monkeypatch.setattr(Recogniser, "recognise", lambda *_: pytest.fail("it went to work"))
    Path("a_file").touch()
    status, out, err = ramospeech("evaluate", "--model", model_file, *flags)
    assert (status, out, len(err)) == (1, [], 1) and reason in err[0]
    assert os.listdir() == ["a_file"]


def test_a_split_that_is_not_there(ramospeech, model_file):
    status, out, err = ramospeech("evaluate", "--model", model_file, "--split", "exam")
    assert (status, out, len(err)) == (1, [], 1)
    assert "exam" in err[0] and "train, dev, test" in err[0]


# Transcription


def test_transcribe_in_words(ramospeech, model_file, recordings):
    status, out, err = ramospeech("transcribe", "--model", model_file, *recordings)
    assert (status, err) == (0, [])
    names, readings = zip(*(line.split("\t") for line in out))
    assert list(names) == [str(path) for path in recordings]
    known = Vocabulary.read()
    assert all(syllable in known for reading in readings for syllable in reading.split())


def test_transcribe_says_what_is_broken(ramospeech, model_file, recordings, tmp_path):
    (tmp_path / "broken.wav").write_text("no sound")
    status, out, err = ramospeech(
        "transcribe", "--model", model_file, "broken.wav", recordings[0], "missing.wav")
    assert status == 1
    assert len(out) == 1 and out[0].startswith(f"{recordings[0]}\t")
    assert len(err) == 2 and "broken.wav: " in err[0] and "missing.wav: no such file" in err[1]


def test_transcribe_gives_what_was_read_before_a_file_broke(ramospeech, model_file, recordings):
    sound = np.tile(np.append(load_audio(recordings[0]).numpy(), np.zeros(SAMPLE_RATE)), 60)
    soundfile.write("long.flac", sound, SAMPLE_RATE)
    Path("long.flac").write_bytes(Path("long.flac").read_bytes()[:-5000])
    status, out, err = ramospeech("transcribe", "--model", model_file, "long.flac")
    assert status == 1 and len(err) == 1 and "long.flac: " in err[0]
    name, said = out[0].split("\t")
    status, (line,), _ = ramospeech("transcribe", "--json", "--model", model_file, "long.flac")
    facts = json.loads(line)
    assert status == 1 and facts["error"].startswith("long.flac: ") and name == "long.flac"
    assert facts["pinyin"] == said.split() and 50 < facts["seconds"][-1] < len(sound) / SAMPLE_RATE


@pytest.mark.parametrize("batch_size", [1, 8])
def test_transcribe_as_json(ramospeech, model_file, recordings, tmp_path, batch_size):
    (tmp_path / "坏.wav").write_text("no sound")
    soundfile.write("好.flac", *soundfile.read(recordings[0]))
    files = [recordings[1], "坏.wav", "好.flac", "missing.wav", recordings[1]]
    status, out, err = ramospeech(
        "transcribe", "--json", "--model", model_file, "--batch_size", batch_size, *files)
    assert (status, err) == (1, [])
    facts = [json.loads(line) for line in out]
    assert [item["file"] for item in facts] == [str(file) for file in files]
    assert ["error" in item for item in facts] == [False, True, False, True, False]
    for item in facts:
        assert ("pinyin" in item) != ("error" in item)
        assert all(isinstance(syllable, str) for syllable in item.get("pinyin", []))
    assert facts[0] == facts[4] and facts[0]["pinyin"]


def test_transcribe_good_files_only(ramospeech, model_file, recordings):
    status, out, err = ramospeech("transcribe", "--json", "--model", model_file, *recordings)
    assert (status, err, len(out)) == (0, [], 3)


# The corpora


def test_corpora_lists_what_is_there(ramospeech):
    status, out, _ = ramospeech("corpora")
    states = {line.split()[0]: line for line in out if not line.startswith(" ")}
    assert status == 0
    assert " prepared" in states["mini"] and "not prepared" not in states["mini"]
    assert "not prepared" in states["audio-cmn"]


def test_what_cannot_be_downloaded_or_prepared(ramospeech, tmp_path):
    status, _, err = ramospeech("download", "mini")
    assert status == 1 and len(err) == 1 and "mini needs no download" in err[0]
    status, _, err = ramospeech("prepare", "audio-cmn", "--root", tmp_path)
    assert status == 1 and len(err) == 1 and "64k/hsk" in err[0]


# As a process of its own


def run_command(*arguments: bytes | str | Path, **environment: str):
    return subprocess.run(
        [sys.executable, "-m", "ramospeech.cli.main", *arguments], capture_output=True,
        env=os.environ | environment, timeout=HANGS,
    )


def test_the_module_is_the_command():
    """Where the folder of installed commands is not on the path."""
    done = subprocess.run([sys.executable, "-m", "ramospeech", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
    done = subprocess.run([sys.executable, "-m", "ramospeech"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("usage: ramospeech ")


def test_a_missing_model_is_one_line():
    done = run_command("transcribe", "a.wav", "--model", "nowhere.safetensors")
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr == b"ramospeech: nowhere.safetensors: no such model\n"


def test_a_file_name_in_another_encoding(model_file, recordings, tmp_path):
    """Archives packed in China long ago unpack to names in GBK, which are not UTF-8."""
    name = os.fsencode(tmp_path) + b"/" + "录音.wav".encode("gbk")
    os.symlink(recordings[0], name)
    done = run_command("transcribe", "--json", "--model", model_file, name, recordings[0])
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert os.fsencode(first["file"]) == name
    assert first["pinyin"] == second["pinyin"]
    done = run_command("transcribe", "--model", model_file, name)
    assert (done.returncode, done.stderr) == (0, b"")


def test_output_is_utf_8_wherever_python_allows(model_file, recordings, tmp_path):
    """Also where the locale is none: a service, a container."""
    path = tmp_path / "录音.wav"
    path.symlink_to(recordings[0])
    done = run_command("transcribe", "--json", "--model", model_file, path, LC_ALL="C", LANG="C")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["file"] == str(path)


def test_help_waits_for_nothing_heavy():
    """torch takes seconds to import: only a command that needs it may do so."""
    script = "import sys, ramospeech.cli.main as cli; cli.build_parser(); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert said.stdout == "False\n", said.stderr


# Decoders and language models


def test_greedy_and_prefix_say_the_same_where_the_model_is_sure(ramospeech, recordings):
    """The shipped model, on robots; the flags of the search leave the form of the output alone."""
    greedy = ramospeech("transcribe", *recordings)
    prefix = ramospeech("transcribe", "--decoder", "prefix", "--beam-width", 5, *recordings)
    assert (greedy[0], prefix[0]) == (0, 0)
    assert [line.split("\t")[0] for line in greedy[1]] == [line.split("\t")[0] for line in prefix[1]]
    assert len(set(greedy[1]) & set(prefix[1])) >= 2


def test_several_readings_with_scores_and_seconds(ramospeech, recordings):
    flags = ["--decoder", "prefix", "--nbest", 3, "--lm", "shipped"]
    status, out, _ = ramospeech("transcribe", *flags, "--timestamps", *recordings)
    assert status == 0 and len(out) == 9
    for start in (0, 3, 6):
        rows = [line.split("\t") for line in out[start : start + 3]]
        assert len({file for file, _, _ in rows}) == 1 and len({words for _, words, _ in rows}) == 3
        scores = [float(score) for _, _, score in rows]
        assert scores == sorted(scores, reverse=True)
        for _, words, _ in rows:
            seconds = [float(word.split("@")[1]) for word in words.split()]
            assert seconds == sorted(set(seconds))

    _, out, _ = ramospeech("transcribe", *flags, "--json", recordings[0])
    facts = json.loads(out[0])
    assert len(facts["nbest"]) == 3 and facts["nbest"][0]["pinyin"] == facts["pinyin"]


def test_evaluate_with_a_search(ramospeech, model_file):
    flags = ["--model", model_file, "--decoder", "prefix", "--beam-width", 4, "--nbest", 4, "--json"]
    status, out, _ = ramospeech("evaluate", *flags)
    facts = json.loads("\n".join(out))
    assert status == 0 and (facts["decoder"], facts["beam_width"]) == ("prefix", 4)
    assert facts["oracle_error_rate"] <= facts["toned_syllables"]["error_rate"]
    _, out, _ = ramospeech(*shlex.split(facts["command"])[1:], "--json")
    assert json.loads("\n".join(out)) == facts  # the command says all that it takes


def test_a_model_that_learned_with_ace_is_not_searched(ramospeech, recordings, tmp_path):
    vocabulary = Vocabulary.read()
    model = AcousticModel.from_preset("lesson", len(vocabulary), recurrent=False, loss="ace")
    save_model(tmp_path / "ace.safetensors", model, vocabulary, {"preset": "lesson"})
    flags = ["--model", tmp_path / "ace.safetensors", "--decoder", "prefix"]
    status, printed, trouble = ramospeech("transcribe", *flags, *recordings)
    assert (status, printed) == (1, []) and "this one was trained with ace" in trouble[-1]


@pytest.mark.parametrize("flags, reason", [
    (["--nbest", "3"], "--nbest can only be used with --decoder prefix"),
    (["--lm", "shipped"], "--lm can only be used with --decoder prefix"),
    (["--beam-width", "30"], "--beam-width can only be used with --decoder prefix"),
    (["--lm_weight", "0"], "--lm-weight can only be used with --decoder prefix"),
    (["--length-bonus", "4"], "--length-bonus can only be used with --decoder prefix"),
    (["--beam_width", "9", "--lm", "shipped"], "--beam-width and --lm can only be used with"),
    (["--decoder", "prefix", "--lm-weight", "0.5"], "--lm-weight can only be used with --lm"),
    (["--decoder", "prefix", "--length-bonus", "0"], "--length-bonus can only be used with --lm"),
    (["--decoder", "prefix", "--lm", "nowhere.arpa"], "nowhere.arpa"),
    (["--decoder", "prefix", "--lm", "text.arpa"], "text.arpa, line 1: no \\data\\"),
    (["--decoder", "prefix", "--lm", "shipped", "--lm-weight", "nan"], "lm_weight"),
])
def test_a_decoder_that_cannot_be(ramospeech, model_file, recordings, flags, reason):
    Path("text.arpa").write_text("hello\n")
    status, out, err = ramospeech("transcribe", "--model", model_file, *flags, recordings[0])
    assert (status, out) == (1, []) and reason in err[-1]
    status, out, err = ramospeech("evaluate", "--model", model_file, *flags)
    assert (status, out) == (1, []) and reason in err[-1]


def test_a_language_model_of_a_manifest(ramospeech, small_mini, recordings):
    manifest = small_mini / "mini" / "train.txt"
    status, out, err = ramospeech("train-lm", manifest, manifest, "--order", 3, "--output", "my.arpa")
    assert (status, err) == (0, []) and "24 utterances" in out[0]
    status, out, _ = ramospeech("transcribe", "--decoder", "prefix", "--lm", "my.arpa", *recordings)
    assert status == 0 and len(out) == 3
    text = Path("my.arpa").read_text()
    count = int(text.split("ngram 1=")[1].split()[0])
    Path("other.arpa").write_text(text.replace(f"1={count}", f"1={count + 1}")
                                  .replace("1-grams:\n", "1-grams:\n-3\tfiao4\n"))
    told = f"ramospeech: other.arpa: left out 1 of {count + 1} words, which the vocabulary lacks: fiao4"
    flags = ["--decoder", "prefix", "--lm", "other.arpa"]
    assert ramospeech("transcribe", *flags, *recordings) == (0, out, [told])
    status, out, err = ramospeech("train-lm", "nowhere.txt")
    assert (status, out) == (1, []) and "nowhere.txt" in err[0]


# Hanzi


def test_pinyin_into_hanzi(ramospeech, tmp_path):
    (tmp_path / "pinyin.txt").write_text("shang4 hai3 zhi2 wu4 yuan2\n\nwo3 ai4 NBA\n")
    status, lines, errors = ramospeech("pinyin2hanzi", "pinyin.txt")
    assert (status, lines, errors) == (0, ["上海植物园", "", "我爱NBA"], [])


def test_the_best_of_a_line_and_their_probabilities(ramospeech, tmp_path):
    (tmp_path / "pinyin.txt").write_text("ta1\nNBA\n")
    status, lines, _ = ramospeech("pinyin2hanzi", "--nbest", "3", "pinyin.txt")
    assert status == 0 and lines[3:] == ["", "1.0000\tNBA", ""]
    probabilities, hanzi = zip(*(line.split("\t") for line in lines[:3]))
    assert set(hanzi) == {"他", "她", "它"}
    assert list(probabilities) == sorted(probabilities, reverse=True)


def test_what_is_not_understood_is_counted_once(ramospeech, tmp_path):
    (tmp_path / "pinyin.txt").write_text("fong3 hao3\nNBA\nhello ni3\n")
    assert ramospeech("pinyin2hanzi", "pinyin.txt") == (0, ["fong3好", "NBA", "hello你"], [
        "ramospeech: passed through 2 of what was not understood, such as fong3"])


@pytest.mark.parametrize("text, odd", [("hello world " * 30_000 + "\n", 60_000),
                                       ("hello world\n" * 3_000, 6_000),
                                       ("w" * 100_000 + "\n", 1)], ids=["line", "lines", "word"])
def test_what_is_not_understood_of_a_long_text_is_one_short_line(ramospeech, tmp_path, text, odd):
    (tmp_path / "english.txt").write_text(text)
    status, _, (said,) = ramospeech("pinyin2hanzi", "english.txt")
    assert status == 0 and len(said) < 200
    assert said.startswith(f"ramospeech: passed through {odd:,} of what was not understood, such as ")


def test_a_pipe_of_pinyin(tmp_path):
    command = [sys.executable, "-m", "ramospeech.cli.main", "pinyin2hanzi"]
    done = subprocess.run(command, input=b"ni3 hao3\n\xff\nni3\n", capture_output=True)
    assert done.returncode == 1 and done.stdout.decode() == "你好\n"
    assert done.stderr.decode() == (
        "ramospeech: standard input, line 2: not UTF-8 (invalid start byte)\n")


def test_a_missing_file_of_pinyin_is_named(ramospeech):
    status, lines, errors = ramospeech("pinyin2hanzi", "missing.txt")
    assert status == 1 and lines == [] and "missing.txt" in errors[0]
