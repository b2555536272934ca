# Two commands do all set-up on a machine with python3 (>= 3.11), pip, make and git: `make up` and `make test`.
# Everything lands in .tools/, .venv/, .slipway/ and apps/console; `make clean` removes it. Only the package caches
# of uv and npm (~/.cache, ~/.npm) and, as root, the data of the servers (/var/lib/slipway) lie elsewhere.

UV_VERSION := 0.13.9
PYTHON     ?= python3
ARGS       ?=
FUZZ_SECONDS ?= 300

UV   := .tools/uv-$(UV_VERSION)/bin/uv
BIN  := .venv/bin
SYNC := .venv/.synced

export UV_PYTHON_DOWNLOADS := never
# The workspace's Python only: a caller's active environment must not leak in.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# pulumi_aws takes seconds to compile: its bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down test test-engine urns test-fast fuzz check lint types bench install browser console schema image clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up ------------------------------------------------------------------------------------------

$(UV):
	@echo "installing uv $(UV_VERSION) into .tools/"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	  --target .tools/uv-$(UV_VERSION) uv==$(UV_VERSION)

$(SYNC): uv.lock pyproject.toml | $(UV)
	@echo "installing the locked environment into .venv/"
	@$(UV) sync --quiet --frozen --python $(PYTHON)
	@touch $@

install: $(SYNC) ## the locked environment, and nothing else

browser: ## Debian's Chromium for the page test (root or password-less sudo)
	@sh tests/install-browser.sh

console: $(SYNC) ## build the console page (Node from the machine, else from PyPI)
	@$(BIN)/python -m apps.console.build

# --- run ---------------------------------------------------------------------------------------------

up: $(SYNC) console ## the whole local stack and a live map on http://127.0.0.1:8080/
	@$(BIN)/slipway up $(ARGS)

down: $(SYNC) ## stop it; state is kept (ARGS=--wipe drops it)
	@$(BIN)/slipway down $(ARGS)

# --- prove -------------------------------------------------------------------------------------------

test: $(SYNC) console browser ## every test, on real servers that the tests start and stop
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)
	@echo "not run: tests/engine, the stacks under the real Pulumi engine (make test-engine)"

test-engine: $(SYNC) ## the stacks under a real `pulumi` (on PATH), without a cloud or credentials
	@$(BIN)/pytest -n 2 --dist loadgroup tests/engine $(ARGS)

test-fast: $(SYNC) ## the tests that need no server and no browser
	@$(BIN)/pytest -q tests/components tests/policies $(ARGS)

fuzz: $(SYNC) ## the API against schemathesis for FUZZ_SECONDS (300)
	@SLIPWAY_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -q tests/apps/api/test_fuzz.py $(ARGS)

check: $(SYNC) ## policy verdicts for both AWS stacks: no cloud, no credentials
	@$(BIN)/slipway check dev
	@$(BIN)/slipway check prod

lint: $(SYNC) ## format, rules, folder contracts, Dockerfile, YAML, shell, workflows
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/yamllint --strict .
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/shellcheck .ci/* tests/*.sh
	@$(BIN)/zizmor --offline --quiet .github/workflows

types: $(SYNC) ## strict types on components, policies, lab and apps
	@$(BIN)/basedpyright

bench: $(SYNC) ## side-by-side measurements (benchmarks/)
	@$(BIN)/python -m benchmarks $(ARGS)

schema: $(SYNC) ## regenerate docs/reference
	@$(BIN)/python -m components.stack.schema
	@$(BIN)/python -m policies.schema
	@$(BIN)/python -m policies.reference
	@$(BIN)/python -m components.realtime.reference

urns: $(SYNC) ## write the snapshots of the stacks' resources anew (tests/lab/urns)
	@$(BIN)/python -m tests.lab.test_urns

image: ## the apps' container image (needs a container engine)
	docker build --tag slipway-apps:local .

clean: ## remove everything that the targets above made
	-@[ -x $(BIN)/slipway ] && $(BIN)/slipway down --wipe
	rm -rf .tools .venv .slipway apps/console/dist apps/console/node_modules
