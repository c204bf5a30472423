from __future__ import annotations

import numpy as np

from training.clips import FOLDS, DynamicLabels, fold_of


def test_folds_are_fixed_for_ever() -> None:
    assert [fold_of(name) for name in ("classical_1", "classical_3", "Dismember", "Björk")] == [1, 4, 4, 3]


def test_folds_ignore_case_and_outer_blanks() -> None:
    assert fold_of("  The ARTIST ") == fold_of("the artist")


def test_folds_are_of_about_equal_size() -> None:
    counts = np.bincount([fold_of(f"clip {i}") for i in range(2000)], minlength=FOLDS)
    assert counts.min() > 340


def test_a_label_describes_the_frame_that_ends_at_its_position() -> None:
    labels = DynamicLabels(np.array([0.5, 1.5, 9.0]), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], dtype=np.float32))
    laid_out = labels.per_frame(3, 0.5)
    np.testing.assert_array_equal(laid_out[0], np.float32([0.1, 0.2]))
    assert np.isnan(laid_out[1]).all()
    np.testing.assert_array_equal(laid_out[2], np.float32([0.3, 0.4]))
