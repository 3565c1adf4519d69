# Every target works in a fresh clone: it brings in what it needs.
.DEFAULT_GOAL := help
.PHONY: help run conformance autobahn test test-all check format frontend bench soak fuzz wheel lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do printf '  make %-11s %s\n' "$$name" "$$what"; done

run: ## the site with demo data at http://127.0.0.1:8000 (PORT=, HOST=)
	@exec scripts/run

conformance: ## the project that client libraries test themselves against, on port 8000 (PRESENCE=off, PORT=, HOST=)
	@exec scripts/conformance

test: ## the whole gate: format, lint, types, front end, Python, browser (ARGS= goes to pytest, WORKERS=)
	@exec scripts/test all $(ARGS)

test-all: ## the gate with every combination of transport and form, which takes longer (ARGS=, WORKERS=)
	@exec scripts/test matrix $(ARGS)

check: ## the part of the gate that runs nothing: format, lint, types, migrations
	@exec scripts/test check

format: ## rewrite Python and TypeScript in the house style
	@scripts/setup dev
	@.venv/bin/ruff check --quiet --fix-only .
	@.venv/bin/ruff format --quiet .
	@node_modules/.bin/biome check --colors=off --write .

frontend: ## build the pages' JavaScript and CSS, and compile the translations
	@scripts/setup dev

autobahn: ## the public WebSocket suite; needs Python 2.7 (PYTHON2=, CASES=)
	@exec scripts/autobahn

bench: ## measure, beside peers in the same run (ARGS=)
	@scripts/setup dev
	@exec .venv/bin/python -m benchmarks $(ARGS)

soak: ## the long fault tests (SOAK_KILLS=, FAULT_SEED=)
	@exec scripts/test soak $(ARGS)

fuzz: ## ten minutes of hostile bytes for everything that reads them (FUZZ_SECONDS=, FUZZ_SEED=)
	@exec scripts/test fuzz $(ARGS)

wheel: ## the distribution, in dist/
	@scripts/setup dev
	@.venv/bin/python -m build --no-isolation

lock: ## hashes of all dependencies, after a version has been changed in requirements/ or package.json
	@exec scripts/lock

clean: ## remove everything that was made here, but not the data in var/
	@rm -rf .venv node_modules build dist htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis src/clubhouse/ui/static/clubhouse/dist
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@find src -name '*.mo' -delete
