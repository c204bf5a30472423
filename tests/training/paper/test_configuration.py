from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.paper.synthetic import one_line
from training.paper.configuration import Configuration, configure, read_toml, write_toml
from training.paper.names import FEATURES, SYSTEMS
from training.tables import DataError

CONFIGURATIONS = st.builds(
    Configuration,
    system=st.sampled_from(SYSTEMS),
    features=st.sampled_from(FEATURES),
    sequence_length=st.integers(2, 600),
    conv_layers=st.integers(1, 8),
    conv_filters=st.integers(1, 64),
    conv_kernel=st.sampled_from([1, 3, 5, 7]),
    fc_layers=st.integers(1, 8),
    fc_units=st.integers(1, 256),
    gru_layers=st.integers(1, 8),
    gru_units=st.integers(1, 256),
    lstm_layers=st.integers(2, 16),
    lstm_units=st.integers(1, 2048).map(lambda half: 2 * half),
    dropout=st.floats(0, 0.95) | st.just(0),
    l1=st.floats(0, 100) | st.integers(0, 100),
    l2=st.floats(0, 100),
    batch_size=st.integers(1, 4096),
    learning_rate=st.floats(1e-6, 1) | st.just(1),
    epochs=st.integers(1, 100_000),
    patience=st.integers(1, 100_000),
    pretraining_epochs=st.integers(0, 100_000),
    validation_share=st.floats(0.01, 0.9),
)


@given(CONFIGURATIONS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, configuration: Configuration) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    write_toml(path, configuration)
    assert configure(read_toml(path)) == configuration
    assert configure(configuration.to_json()) == configuration


@given(CONFIGURATIONS, st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_not_chosen_is_the_default(configuration: Configuration, data: st.DataObject) -> None:
    complete = configuration.to_json()
    names = data.draw(st.sets(st.sampled_from(sorted(set(complete) - {"dropout"}))))
    chosen = configure({name: complete[name] for name in names})
    for name, value in chosen.to_json().items():
        if name != "dropout":
            assert value == (complete[name] if name in names else getattr(Configuration(), name))


@pytest.mark.parametrize(
    ("choices", "dropout"),
    [
        ({}, 0.75),
        ({"features": "logmel"}, 0.75),
        ({"features": "opensmile"}, 0.25),
        ({"system": "dblstm-fusion"}, 0.25),
        ({"system": "dblstm-fusion", "features": "logmel"}, 0.25),
        ({"features": "opensmile", "dropout": 0.5}, 0.5),
        ({"dropout": 0}, 0),
    ],
)
def test_dropout_suits_the_features(choices: dict[str, Any], dropout: float) -> None:
    assert configure(choices).dropout == dropout


def test_the_defaults_are_the_papers() -> None:
    c = configure({"features": "opensmile"})
    sizes = (c.conv_layers, c.conv_filters, c.conv_kernel, c.fc_layers, c.fc_units, c.gru_layers, c.gru_units)
    assert sizes == (1, 8, 3, 1, 8, 1, 8)
    assert (c.sequence_length, c.batch_size) == (10, 32)
    assert (c.lstm_layers, c.lstm_units) == (5, 256)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epoch = 3", ["epoch", "epochs", "patience"]),
        ("[training]\nepochs = 3", ["training", "there are"]),
        ('system = "rnn"', ["system", "'rnn'", *SYSTEMS]),
        ('features = "mfcc"', ["features", "'mfcc'", *FEATURES]),
        ("system = 3", ["system", "string", "3"]),
        ("epochs = 2.5", ["epochs", "whole number", "2.5"]),
        ("epochs = true", ["epochs", "whole number", "True"]),
        ('epochs = "many"', ["epochs", "whole number", "'many'"]),
        ("epochs = 0", ["epochs", "from 1 to 100000", "0"]),
        ("dropout = false", ["dropout", "number"]),
        ("dropout = 1.0", ["dropout", "from 0 to 0.95"]),
        ("dropout = nan", ["dropout", "from 0 to 0.95", "nan"]),
        ("l1 = inf", ["l1", "from 0 to 100", "inf"]),
        ("learning_rate = 0", ["learning_rate", "from 1e-06 to 1"]),
        ("learning_rate = -1e-3", ["learning_rate", "from 1e-06 to 1"]),
        ("sequence_length = 1", ["sequence_length", "from 2 to 600"]),
        ("validation_share = 1", ["validation_share", "from 0.01 to 0.9"]),
        ("lstm_units = 7", ["lstm_units", "even", "7"]),
        ("conv_kernel = 4", ["conv_kernel", "odd", "4"]),
        ("gru_units = 0", ["gru_units", "from 1 to 2048"]),
        ("conv_layers = [1, 2]", ["conv_layers", "whole number", "[1, 2]"]),
    ],
)
def test_what_is_not_allowed_is_one_line_that_says_what_is(tmp_path: Path, line: str, said: list[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_toml(path)
    message = one_line(caught.value)
    assert f'"{path}"' in message
    for text in said:
        assert text in message


@pytest.mark.parametrize("content", [b"epochs = ", b"epochs 3", b"\xff\xfe\x00", b"epochs = 1\nepochs = 2"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_toml(path)
    assert "is not a TOML file" in one_line(caught.value)


def test_files_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(DataError) as caught:
            read_toml(path)
        assert f'cannot read "{path}"' in one_line(caught.value)
    with pytest.raises(DataError) as caught:
        write_toml(tmp_path / "none" / "a.toml", Configuration())
    assert "cannot write" in one_line(caught.value)
