# make demo   segments both hippocampi in a real head MR and leaves scene, picture and table in demo/
# make test   every check, in under ten minutes on two cores
# make bench  speed, as ratios measured in one run; make bench BENCH="--quick" or BENCH="--only segments panels"
# Each sets up what it needs in .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
export QT_QPA_PLATFORM ?= offscreen
export PYTHONPATH :=
# Bytecode beside the scripts of a bundle is code that nobody can read, and refused as such.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: demo test lint types imports pytest bench panel-picture clean

demo:
	@$(PYTHON) Testing/environment.py demo --extras demo
	@$(BIN)/medai demo --output demo

test: test-environment lint types imports pytest

.PHONY: test-environment
test-environment:
	@$(PYTHON) Testing/environment.py test --extras test,train,demo

lint: test-environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: test-environment
	$(BIN)/mypy

imports: test-environment
	$(BIN)/lint-imports

# As many tests at a time as there are cores, each with one thread. What a file's tests share is made once.
pytest: test-environment
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

bench: test-environment
	PYTHONPATH=Testing $(BIN)/python -m benchmarks $(BENCH)

panel-picture: test-environment
	$(BIN)/python Testing/panel_picture.py

clean:
	rm -rf .venv demo benchmarks.jsonl build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
