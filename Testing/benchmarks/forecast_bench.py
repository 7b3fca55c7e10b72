"""OASIS-2: is the next visit's brain volume, and the group of a subject, told better than without a network?

    python -m benchmarks.forecast_bench oasis_longitudinal.csv [--folds 5] [--seed 0] [--set epochs=40]

Subjects are divided into folds; each is judged by a model that was trained, by the product's own engine, on the others.
Forecasts of the normalised whole-brain volume at the next visit stand beside the last value carried forward and a line
through the subject's own visits; groups stand beside a logistic regression on the same measurements of the last visit.
The data (doi 10.1162/jocn.2009.21407) may not be used for a model that is given away, so nothing is kept.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import yaml
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medai.api import run_here
from medai.api.training import prepare_training
from medai.tasks.forecast.model import ForecastModel
from medai.training.components.visits import prefixes
from medai.training.data import DataList, assign_folds, read_data_list, use_fold
from medai.training.data.courses import labels
from medai.training.evaluation import evaluate, intervals
from medai.training.judge_courses import forecasted

TARGET = "nWBV"
MEASUREMENTS = ("Age", "EDUC", "SES", "MMSE", "CDR", "eTIV", "nWBV")
SETTINGS = {
    "targets": [TARGET],
    "epochs": 30,
    "batch_size": 16,
    "learning_rate": 0.003,
    "members": 8,
    "dropout": 0.4,
    "weight_decay": 0.1,
    "missing": 0.15,
    "label_smoothing": 0.1,
    "width": 8,
}


def main() -> None:
    """Print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", action="append", default=[], help="Measurement to leave out, such as CDR.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    settings = dict(SETTINGS, measurements=[name for name in MEASUREMENTS if name not in asked.without])
    settings |= {name: yaml.safe_load(value) for name, value in (pair.split("=", 1) for pair in asked.set)}
    data = assign_folds(read_data_list(asked.table), asked.folds, asked.seed)
    cases, rows = [], []
    for fold in range(asked.folds):
        divided = use_fold(data, fold)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "model"
            # What was held out must not choose among the weights either: the last epoch's are kept.
            chosen = {**settings, "validate_every": settings["epochs"], "seed": asked.seed}
            training = _nested(divided, asked.seed)
            run_here(prepare_training(training, "forecast", root, parameters=chosen, overwrite=True))
            model = ForecastModel(root, "cpu")
            held = divided.part("validation")
            cases += list(forecasted(model, held, lambda _: None, least=1))
            rows += _by_regression(divided.part("training"), held, settings["measurements"])
        print(f"fold {fold + 1} of {asked.folds} done", flush=True)
    _tell_values(cases)
    _tell_groups(cases, rows, data)


def _nested(divided: DataList, seed: int) -> DataList:
    """Only the training part, with its own validation part for calibration: nothing of the held-out fold is seen."""
    from dataclasses import replace

    from medai.training.data import split

    kept = divided.part("training")
    return split(kept.with_items([replace(item, split="", fold=None) for item in kept]), validation=0.2, seed=seed)


def _tell_values(cases: list) -> None:
    for least, words in ((1, "after one visit or more"), (2, "after two visits or more")):
        chosen = [case for case in cases if case.visits >= least]
        found = evaluate("forecast", chosen, labels={"targets": (TARGET,), "classes": ()})
        print(f"\n{TARGET} at the next visit, {words}: ", end="")
        print(f"{found.summary[f'mae_next[{TARGET}]'].n} forecasts of {found.summary.patients} subjects")
        for one in found.summary.estimates:
            print(f"  {one.metric:18} {one.value:9.5f}  ({one.low:.5f} to {one.high:.5f})")


def _by_regression(training: DataList, held: DataList, names: list[str]) -> list:
    """Logistic regression on the last visit of each prefix: its measurements, which are missing, and its number."""
    learned, asked = (prefixes(part, (TARGET,)) for part in (training, held))
    x, y = _described(learned, names), np.array([case["label"][0, -1] for case in learned])
    model = make_pipeline(
        SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression(max_iter=2000, C=1.0)
    ).fit(x, y)
    return list(zip([case["name"] for case in asked], model.predict_proba(_described(asked, names)), strict=True))


def _described(cases: list, names: list[str]) -> np.ndarray:
    return np.array([[*case["visits"].values(names)[-1], len(case["visits"])] for case in cases])


def _tell_groups(cases: list, rows: list, data: DataList) -> None:
    names = dict(data.label_names)
    regressed, known = dict(rows), labels(data)
    for words, when in (("the first visit", lambda case: case.visits == 1), ("all visits", _is_last(cases))):
        chosen = [case for case in cases if when(case)]
        truth = np.array([known[case.patient] for case in chosen])
        ours = np.array([case.probabilities for case in chosen])
        theirs = np.array([regressed[case.name] for case in chosen])
        print(f"\ngroup ({', '.join(names.values())}) after {words}: {len(chosen)} subjects")
        for title, given in (("network", ours), ("logistic regression", theirs)):
            found = intervals(_told, [truth, given], None)
            print(f"  {title:20}", *(f"{k} {v.value:.3f} ({v.low:.3f} to {v.high:.3f})" for k, v in found.items()))
        gain = intervals(_difference, [truth, ours, theirs], None)
        print(f"  {'difference':20}", *(f"{k} {v.value:+.3f} ({v.low:+.3f} to {v.high:+.3f})" for k, v in gain.items()))


def _difference(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    one, other = _told(truth, ours), _told(truth, theirs)
    return {name: one[name] - other[name] for name in one}


def _is_last(cases: list):
    most: dict = {}
    for case in cases:
        most[case.patient] = max(most.get(case.patient, 0), case.visits)
    return lambda case: case.visits == most[case.patient]


def _told(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    present = np.unique(truth)
    areas = [roc_auc_score(truth == n, probability[:, n]) for n in present] if len(present) > 1 else [np.nan]
    whole = probability / probability.sum(axis=1, keepdims=True)
    return {
        "AUROC": float(np.mean(areas)),
        "accuracy": float((probability.argmax(1) == truth).mean()),
        "log loss": float(log_loss(truth, whole, labels=range(probability.shape[1]))),
    }


if __name__ == "__main__":
    main()
