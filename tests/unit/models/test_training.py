"""Batches, loss, networks and the training loop."""

from __future__ import annotations

import numpy as np
import pytest

from dwell.errors import ConfigError
from dwell.models.vacancy import network, training
from dwell.models.vacancy.dataset import FrameSet
from dwell.models.vacancy.network import Architecture
from dwell.models.vacancy.params import TrainingParams
from dwell.models.vacancy.plugin import MODEL

torch = pytest.importorskip("torch", reason="trains with torch")


def one_frame(*points: tuple[float, float]) -> FrameSet:
    rows = np.array([(0, y, x) for y, x in points], np.float32).reshape(-1, 3)
    nothing = np.zeros((0, 3), np.float32)
    return FrameSet(
        np.zeros((1, 31, 31), np.float32),
        rows,
        np.ones(len(rows), np.int8),
        np.zeros(1, np.int32),
        0.4,
        np.zeros(1, np.float32),
        nothing,
    )


def test_targets_are_positive_near_ignored_round_it_and_weigh_one_elsewhere():
    params = TrainingParams(positive_radius_A=0.4, ignore_radius_A=1.0, positive_weight=3.0)
    target, weight = training.targets(one_frame((15.0, 15.0)), params, 11)
    assert target.shape == weight.shape == (1, 21, 21)
    i, j = np.indices((21, 21))
    distance = np.hypot(i + 5 - 15, j + 5 - 15) * 0.4
    assert np.array_equal(target[0] == 1, distance <= 0.4 + 1e-6)
    assert set(weight[0][target[0] == 1]) == {3.0}
    assert set(weight[0][(target[0] == 0) & (distance <= 1.0)]) == {0.0}
    assert set(weight[0][distance > 1.0]) == {1.0}


def test_every_vacancy_inside_has_a_positive_pixel():
    rng = np.random.default_rng(0)
    for y, x in rng.uniform(6, 25, size=(50, 2)):
        target, _ = training.targets(one_frame((y, x)), TrainingParams(), 11)
        assert target.sum() >= 1


def test_vacancies_at_the_edge_do_not_break_targets():
    target, _ = training.targets(one_frame((0.0, -0.4), (30.4, 30.4), (0.0, 15.0)), TrainingParams(), 11)
    assert target.sum() == 0  # none lies in the decision region


def test_batches_hold_every_frame_once_and_repeat_by_seed_and_epoch(sets, params):
    data = sets["train"]
    one = list(MODEL.batches(data, params, seed=3, epoch=1))
    assert sum(len(frames) for frames, _, _ in one) == len(data.frames)
    frames, target, weight = one[0]
    assert frames.shape[1:] == (60, 60)
    assert target.shape == weight.shape == (len(frames), 50, 50)
    assert {a.dtype for a in one[0]} == {np.dtype(np.float32)}
    again = list(MODEL.batches(data, params, seed=3, epoch=1))
    assert all(
        np.array_equal(a, b) for x, y in zip(one, again, strict=True) for a, b in zip(x, y, strict=True)
    )
    other = list(MODEL.batches(data, params, seed=3, epoch=2))
    assert not np.array_equal(one[0][0], other[0][0])
    total = sum(float(frames.sum()) for frames, _, _ in one)
    assert total == pytest.approx(float(data.frames.sum()), rel=1e-5)


def test_flips_keep_targets_on_their_frames(sets, params):
    """The frames are flipped with their targets: marked pixels stay darker than their surroundings."""
    for epoch in range(4):
        inside, outside = [], []
        for frames, target, weight in MODEL.batches(sets["train"], params, seed=0, epoch=epoch):
            centre = frames[:, 5:-5, 5:-5]
            inside.append(centre[target > 0])
            outside.append(centre[weight > 0].mean())
        assert np.concatenate(inside).mean() < np.mean(outside) - 0.02


def test_the_loss_is_the_formula_of_the_docstring():
    rng = np.random.default_rng(0)
    s, y = rng.normal(size=(2, 5, 5)), (rng.random((2, 5, 5)) < 0.5).astype(float)
    w = rng.random((2, 5, 5))
    for gamma in (0.0, 2.0):
        p = 1 / (1 + np.exp(-s))
        bce = np.logaddexp(0, s) - y * s
        expected = np.sum(w * np.abs(y - p) ** gamma * bce) / w.sum()
        value = training.loss(torch.tensor(s), torch.tensor(y), torch.tensor(w), gamma)
        assert float(value) == pytest.approx(expected)


def test_the_default_network_is_small_and_looks_at_eleven_pixels(params):
    architecture = MODEL.architecture(params)
    assert architecture.window == 11
    assert architecture.weights == 1068
    module = MODEL.build(params)
    assert module(torch.zeros(2, 1, 30, 24)).shape == (2, 1, 20, 14)
    assert [name for name, _ in module.named_children()] == [
        "conv1",
        "relu1",
        "conv2",
        "relu2",
        "conv3",
        "relu3",
        "conv4",
    ]


def test_the_first_layer_starts_as_if_its_input_were_standardised(params):
    torch.manual_seed(0)
    module = MODEL.build(params)
    frames = network.INPUT_MEAN + network.INPUT_STD * torch.randn(4, 1, 60, 60)
    with torch.no_grad():
        out, score = module[0](frames), module(frames)
    assert abs(float(out.mean())) < 0.3
    assert 0.5 < float(out.std()) < 3.0
    assert float(score.mean()) == pytest.approx(network.PRIOR_LOGIT, abs=1.5)


def test_architecture_goes_to_json_and_back(tmp_path):
    network.DEFAULT.save(tmp_path / "arch.json")
    assert Architecture.load(tmp_path / "arch.json") == network.DEFAULT
    (tmp_path / "arch.json").write_text("{}")
    with pytest.raises(ConfigError, match="no architecture"):
        Architecture.load(tmp_path / "arch.json")


def test_training_learns_and_gives_the_same_weights_twice(sets, params):
    one, losses = MODEL.train(sets["train"], params, seed=1)
    two, _ = MODEL.train(sets["train"], params, seed=1)
    other, _ = MODEL.train(sets["train"], params, seed=2)
    assert losses[-1] < 0.9 * losses[0]
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key
    assert not torch.equal(one.state_dict()["conv1.weight"], other.state_dict()["conv1.weight"])


def test_scores_do_not_depend_on_the_chunk(sets, params):
    torch.manual_seed(0)
    module = MODEL.build(params)
    frames = sets["val"].frames[:7]
    assert np.allclose(training.score(module, frames, chunk=2), training.score(module, frames), atol=1e-5)


def test_progress_runs_from_first_start_to_last_epoch(sets, params):
    seen: list[float] = []
    small = params.model_copy(update={"training": params.training.model_copy(update={"epochs": 1})})
    MODEL.train(sets["val"], small, seed=1, progress=lambda fraction, text: seen.append(fraction))
    assert seen == pytest.approx([1 / 3, 2 / 3, 1.0])
