# `make demo` shows what logstore does, `make test` proves it. `make help` lists the rest.

CARGO ?= cargo
GO ?= go
export CARGO_TERM_PROGRESS_WHEN ?= auto
# As the cluster's own builds, so that what they compile is shared.
export CGO_ENABLED = 0

# The Go modules: what they link is written in Go.
GO_MODULES := image charts/tests e2e/cluster e2e/cluster/csi e2e/cluster/dns e2e/cluster/kube e2e/cluster/pause e2e/kind e2e/probe store/benches/peers
# Those with tests that need neither a cluster nor minutes.
GO_TESTED := image charts/tests e2e/cluster e2e/cluster/csi e2e/kind e2e/probe store/benches/peers

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 22

.PHONY: demo
demo: ## Run a LogStore with two copies on this machine, break it, and show that nothing is lost
	@demo/run

.PHONY: build
build: ## Build the binaries, for development
	$(CARGO) build --locked --workspace

.PHONY: test
test: test-rust test-go ## Run all fast tests

.PHONY: test-rust
test-rust:
	$(CARGO) build --locked --workspace --bins
	FLIPS=10000 LOGSTORE_CRASH_STATES=20000 $(CARGO) test --locked --workspace
	$(CARGO) test --locked -p logstore-store --features broken --test crash broken
	$(CARGO) test --locked -p logstore-store --features shuttle --test handover

.PHONY: test-go
test-go:
	@for module in $(GO_TESTED); do \
		echo "go test: $$module"; $(GO) -C $$module test -trimpath -count=1 ./... || exit 1; \
	done

.PHONY: lint
lint: ## Check formatting, lints, documentation and that each crate builds alone
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features logstore-e2e/cluster -- -D warnings
	$(CARGO) clippy --locked -p logstore-store --features broken --test crash -- -D warnings
	$(CARGO) clippy --locked -p logstore-store --features shuttle --test handover -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@for crate in logstore-api logstore-client logstore-store logstore-operator logstore-e2e; do \
		echo "$(CARGO) check -p $$crate"; $(CARGO) check --quiet --locked -p $$crate || exit 1; \
	done
	K8S_OPENAPI_ENABLED_VERSION=1.37 $(CARGO) check --quiet --locked -p logstore-crds
	@unformatted=$$(gofmt -l $(GO_MODULES)); \
		test -z "$$unformatted" || { echo "gofmt -w would change: $$unformatted"; exit 1; }
	@for module in $(GO_TESTED); do \
		echo "go vet: $$module"; $(GO) -C $$module vet -trimpath ./... || exit 1; \
	done

# The store that is killed: the one built for the tests, unless another is given.
CYCLES ?= 100
SEED ?=
BINARY ?=

.PHONY: torture
torture: ## Kill the store under load, CYCLES times, and show that nothing is lost (SEED=N repeats, BINARY=FILE is killed)
	$(CARGO) test --locked --quiet -p logstore-store --test torture -- --cycles $(CYCLES) \
		$(if $(SEED),--seed $(SEED)) $(if $(BINARY),--binary $(abspath $(BINARY)))

.PHONY: flips
flips: ## Flip every byte of a segment of 1 MiB and of every other file, and show that each is noticed
	FLIPS=all $(CARGO) test --locked --release -p logstore-store --test flips -- --nocapture

SECONDS_EACH ?= 60
TARGETS ?=

.PHONY: fuzz
fuzz: ## Fuzz everything that reads bytes of others, each for SECONDS_EACH (TARGETS="frames recovery" for some)
	store/fuzz/run $(SECONDS_EACH) $(TARGETS)

.PHONY: image
image: ## Make the container image target/image/logstore.tar, without a container engine
	@image/build

.PHONY: cluster-up
cluster-up: ## Start a Kubernetes of three nodes on this machine, as root; prints the path of its kubeconfig
	@e2e/cluster/run up

.PHONY: cluster-status
cluster-status: ## Show what runs of it
	@e2e/cluster/run status

.PHONY: cluster-down
cluster-down: ## End it, and leave nothing behind
	@e2e/cluster/run down

.PHONY: e2e
e2e: ## Test everything on that cluster, which is started for it and ended after it
	@e2e/run

.PHONY: e2e-tests
e2e-tests: ## Run the end-to-end tests on the cluster that KUBECONFIG names; e2e/README.md has the variables
	$(CARGO) run --locked --quiet -p logstore-e2e --features cluster

.PHONY: e2e-kind
e2e-kind: image ## The same tests on kind, which needs a container engine
	@e2e/kind/run

.PHONY: demo-k8s
demo-k8s: image cluster-up ## Show what logstore does on that cluster
	@eval "$$(e2e/cluster/run env)" && demo/k8s

.PHONY: crash
crash: ## Crash the store's core on a simulated disk: N=1000000 random states, or SEED=7 to repeat one
	LOGSTORE_CRASH_STATES=$(N) LOGSTORE_SEED=$(SEED) $(CARGO) test --locked --profile crash -p logstore-store --test crash random -- --nocapture

.PHONY: bench
bench: ## Measure against references in the same run; writes docs/benchmarks.md (ONLY=append or another name for a part)
	$(CARGO) bench --locked -p logstore-store --bench figures

.PHONY: count
count: ## Count the instructions of appends, reads and scans, and hold them against their budget (ONLY=append for some)
	@store/benches/instructions/run

.PHONY: count-budget
count-budget: ## Make what is counted the budget, on purpose (ONLY=append for some)
	@UPDATE_BUDGET=1 store/benches/instructions/run

.PHONY: bench-peers
bench-peers: ## Measure against NATS, Redis and Kafka, which it installs; writes its section of docs/benchmarks.md (ONLY=nats|redis|kafka)
	$(CARGO) build --locked --release -p logstore-store --bins
	@store/benches/peers/run

.PHONY: bench-k8s
bench-k8s: ## Measure the operator on the cluster of cluster-up; writes its section of docs/benchmarks.md
	@e2e/run figures

.PHONY: generate
generate: ## Write the generated files anew
	UPDATE_GENERATED=1 $(CARGO) test --locked -p logstore-api -p logstore-crds --quiet
	UPDATE_GENERATED=1 $(CARGO) test --locked -p logstore-operator --test plan --test docs --quiet
	UPDATE_GENERATED=1 $(GO) -C charts/tests test -count=1 -run Definition ./...

.PHONY: clean
clean: ## Remove everything that was built
	@test ! -e target/cluster/saved.json || e2e/cluster/run down
	$(CARGO) clean
