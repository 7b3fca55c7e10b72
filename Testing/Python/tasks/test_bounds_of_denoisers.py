"""How far a denoiser may go, against scipy's filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter

from medai.tasks.denoise.bounds import within_neighbours


@given(st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9)), st.sampled_from([(), (3,)]), st.integers(0))
def test_it_is_held_back_where_it_leaves_the_range_of_five_voxels_along_each_axis(size, channels, seed):
    rng = np.random.default_rng(seed)
    image, noise = (rng.normal(0, wide, size + channels).astype(np.float32) for wide in (1, 2))
    around = {"size": (5, 5, 5, *(1 for _ in channels)), "mode": "nearest"}
    expected = np.clip(image - noise, minimum_filter(image, **around), maximum_filter(image, **around))
    np.testing.assert_allclose(image - within_neighbours(image, noise), expected, atol=1e-5)


def test_what_lies_between_the_neighbours_is_taken_away_as_it_is():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, (24, 24, 24))
    image = np.linspace(0, 300, 24) + noise
    assert within_neighbours(image, noise) == pytest.approx(noise, abs=1e-9)
