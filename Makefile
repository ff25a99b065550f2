# `make help` lists what there is. Needed: Go and make, nothing else. A C compiler adds NVML to the program, the race
# detector and the stub libraries of the tests; python3-venv adds the check that pandas, Polars and DuckDB read our files.
# What is missing is left out and said so, but in CI (CI is set) it is an error. .ci/run installs both.

GO       ?= go
TAGS     := urfave_cli_no_docs,urfave_cli_no_suggest,noasm
FUZZTIME ?= 30s
TEST     := $(GO) test -tags $(TAGS)
LINT     := $(GO) tool -modfile=tools/go.mod golangci-lint
TARGETS  := darwin/arm64 freebsd/amd64 windows/amd64 linux/amd64 linux/arm64

.PHONY: help build test race lint fmt cover bench fuzz cross ci fmt-check tidy-check readers

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## bin/ergon
	$(GO) build -trimpath -tags $(TAGS) -o bin/.linked ./cmd/ergon
	@cp bin/.linked bin/ergon && rm bin/.linked # a copy lies in the page cache in smaller pieces: 15 MB resident, not 20
	@test "$$($(GO) env CGO_ENABLED)" = 1 || echo 'built without cgo: NVML is not in this build'

test: readers ## all tests
	$(TEST) -shuffle=on ./...

race: readers ## all tests under the race detector (needs a C compiler)
	$(TEST) -race -shuffle=on ./...

lint: ## golangci-lint as pinned in tools/go.mod; any finding fails
	$(LINT) run ./...

fmt: ## format the Go files
	$(LINT) fmt

cover: readers ## statement coverage, every package counted for every test: bin/cover.out
	@mkdir -p bin
	$(TEST) -coverpkg=./... -coverprofile=bin/cover.out ./...
	@$(GO) tool cover -func=bin/cover.out | tail -n 1

bench: ## all benchmarks, last the program against its peers: bin/bench.json
	$(TEST) -run '^$$' -bench . -benchmem ./...
	@mkdir -p bin
	$(GO) run ./internal/bench -huge -json bin/bench.json

fuzz: ## every fuzz target for FUZZTIME (30s), one after another
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir='.?*' . | sort | while IFS=: read -r file name; do \
		echo "$$file $${name#func }"; $(TEST) -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "$${file%/*}" </dev/null || exit 1; done

cross: ## vet, tests included, and build for the other systems and for Linux, all without cgo
	@for t in $(TARGETS); do echo "cross $$t"; export GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0; \
		$(GO) vet -tags $(TAGS) ./... && $(GO) build -tags $(TAGS) -o /dev/null ./cmd/ergon || exit 1; done

ci: fmt-check tidy-check lint cross build test race ## all that must pass before a change is merged

fmt-check: # the files are formatted
	$(LINT) fmt --diff

tidy-check: # go.mod says what is used (tools/go.mod is written by `go get -tool`: its tests need not be known here)
	$(GO) mod tidy -diff

# The Python environment the tests read our Parquet files with.
readers: $(if $(wildcard testdata/readers/requirements.txt),.venv/ready)

.venv/ready: testdata/readers/requirements.txt
	@if python3 -c 'import ensurepip' 2>/dev/null && python3 -m venv .venv && .venv/bin/python -m pip install -q --disable-pip-version-check -r $< && touch $@; then :; \
	else rm -rf .venv; echo 'readers: no Python environment (apt-get install python3-venv): their tests are skipped'; test -z "$$CI"; fi
