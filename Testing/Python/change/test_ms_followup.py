"""Two real patients with multiple sclerosis, a year between their oblique scans: see `benchmarks.followup_bench`."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.followup_bench import Patient, agreement
from medai.tasks.change.change import change


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "kind"), [("patient01", "new"), ("patient12", "shrunk")])
def test_real_visits_are_aligned_and_their_largest_change_found(ms_followup, name, kind):
    patient = Patient.of(ms_followup / name)
    found = change(patient.before, patient.after)
    motion = found.aligned.motions[0]
    assert patient.error_mm(np.eye(4)).mean() > 10
    assert patient.error_mm(motion.matrix).mean() < 0.45
    assert patient.error_mm(motion.matrix).max() < 1.0
    assert motion.displacement_mm == pytest.approx(10.4, abs=0.5)
    assert found.table.columns["Change"][0] == kind
    score = agreement(patient, found)
    assert score.dice > 0.55
    assert score.true >= score.claimed / 2
