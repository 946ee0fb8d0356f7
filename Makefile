# `make demo` shows what logstore does, `make test` proves it. `make help` lists the rest.

CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: demo
demo: ## Run a LogStore with two copies on this machine, break it, and show that nothing is lost
	@demo/run

.PHONY: build
build: ## Build the binaries, for development
	$(CARGO) build --locked --workspace

.PHONY: test
test: ## Run all fast tests
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace

.PHONY: lint
lint: ## Check formatting, lints, documentation and that each crate builds alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@for crate in logstore-api logstore-client logstore-store logstore-operator; do \
		echo "$(CARGO) check -p $$crate"; $(CARGO) check --quiet --locked -p $$crate || exit 1; \
	done
	K8S_OPENAPI_ENABLED_VERSION=1.37 $(CARGO) check --quiet --locked -p logstore-crds

.PHONY: bench
bench: ## Measure against references in the same run; writes docs/benchmarks.md (ONLY=append|copies|restart for a part)
	$(CARGO) bench --locked -p logstore-store --bench figures

.PHONY: generate
generate: ## Write the generated files anew
	UPDATE_GENERATED=1 $(CARGO) test --locked -p logstore-api -p logstore-crds --quiet

.PHONY: clean
clean: ## Remove everything that was built
	$(CARGO) clean
