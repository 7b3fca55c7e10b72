"""From cases to findings, one file per kind of model."""
