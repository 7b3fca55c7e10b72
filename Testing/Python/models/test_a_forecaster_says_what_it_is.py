"""What the shipped forecaster tells with every forecast."""

from __future__ import annotations

import medai


def test_it_says_that_it_learned_from_simulated_visits(tmp_path):
    table = tmp_path / "visits.csv"
    rows = ["a,2021-03-01,3.42", "a,2022-09-10,3.31", "a,2024-02-02,3.15"]
    table.write_text("\n".join(["Subject ID,Date,Hippocampus (mL)", *rows]), encoding="utf-8")
    result = medai.forecast(table, "hippocampus_forecast", at="2026-01-01", in_process=True)
    assert any("simulated visits only" in note for note in result.provenance.notes)
