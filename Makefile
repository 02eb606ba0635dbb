# What a person types. Each target brings what it needs first, and says nothing of it when it is there already.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/etcd-doctor
PEERS := $(or $(TEST_PEERS),$(CACHE)/peers)
export TEST_PEERS := $(PEERS)

RULES := $(wildcard rules/*.yaml)
RULE_TESTS := $(wildcard rules/tests/*.yaml)
# Users load the rules into both: 2.42 is the oldest that must accept them, 3.5 is whose semantics they follow.
PROMTOOLS := $(PEERS)/prometheus-2/promtool $(PEERS)/prometheus-3/promtool

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: setup
setup: ## install the build tools that are missing (as root or with sudo)
	@scripts/setup.sh

.PHONY: peers
peers: ## download the etcd, Prometheus and other programs that tests run against
	@scripts/peers.sh

.PHONY: demo
demo: setup ## a real cluster, watched, broken and diagnosed (FAULTS=0: not broken; DURATION=60: ends by itself)
	@scripts/demo.sh

.PHONY: test
test: setup peers ## everything that can be tested, on real etcd
	cargo test --locked
	@$(MAKE) --no-print-directory rules

.PHONY: lab
lab: setup peers ## break real clusters in every way, see what is said, keep the table (FAULT=name: one, ETCD=3.5: on one release; takes hours otherwise)
	LAB_RECORD=1 FAULT='$(FAULT)' ETCD='$(ETCD)' cargo test --locked --test it lab::every_fault -- --ignored --nocapture

.PHONY: rules
rules: ## the rule files and their unit tests, in Prometheus' own checker
	@scripts/peers.sh prometheus-2 prometheus-3
	@for promtool in $(PROMTOOLS); do scripts/rules.sh "$$promtool" $(RULES) -- $(RULE_TESTS); done

.PHONY: promqltest
promqltest: setup ## the evaluator against Prometheus' own test scripts (PROMQLTEST_DIR: the folder with them)
	cargo test --locked --test it promql -- --nocapture

.PHONY: conformance
conformance: setup ## the same questions and the same faults as a real Prometheus 3.5 (COMPLIANCE_QUERIES, MIXIN_RULES: files to take along; CONFORMANCE_SEED, CONFORMANCE_COUNT)
	@scripts/peers.sh prometheus-3 etcd-3.5
	cargo test --locked --test it conformance:: -- --include-ignored --nocapture --test-threads=1

.PHONY: lint
lint: setup ## format, clippy, rustdoc, rule files, licences and advisories, shell scripts
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked
	@$(MAKE) --no-print-directory rules
	@scripts/deny.sh
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo "lint: shell scripts NOT CHECKED: there is no shellcheck here (Debian's package shellcheck has it)"; fi

.PHONY: check-deploy
check-deploy: setup ## the files in deploy/, by the tools of the places that they are for
	@scripts/check-deploy.sh

.PHONY: bench
bench: setup peers ## measure time and memory against a real cluster and print them beside their budgets (MIXIN_RULES=file: etcd's mixin too)
	cargo bench --locked --bench doctor
