# `make help` lists the targets. They need Go and make, nothing else. A C compiler adds NVML to the program, the race
# detector and the stub libraries of the tests. python3-venv adds the check that pandas, Polars, DuckDB and PyArrow read
# our files, npm the check that apache-arrow does, Chromium the tests of the page. If a tool is missing, its part is left
# out with a message; if CI is set, that is an error. .ci/run installs all tools.

GO       ?= go
TAGS     := urfave_cli_no_docs,urfave_cli_no_suggest,noasm
FUZZTIME ?= 30s
TEST     := $(GO) test -tags $(TAGS)
LINT     := $(GO) tool -modfile=tools/go.mod golangci-lint
TARGETS  := darwin/arm64 freebsd/amd64 windows/amd64 linux/amd64 linux/arm64

# The packages that start goroutines, in their code or in their tests.
CONCURRENT = $(shell grep -rlE '^[[:space:]]*go [a-z]' --include='*.go' --exclude-dir='.?*' . | xargs -n 1 dirname | sort -u)

# The systems for which NOTICES.md names the modules.
SYSTEMS = linux darwin freebsd windows

.PHONY: help browser build dist dist-test man check test race lint fmt vet cover bench fuzz cross ci notices notebooks engines regression fmt-check tidy-check short readers no-skips

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# CGO is 0 if the C compiler is for another C library than glibc, such as musl. Otherwise the go command decides.
CGO = $(shell if macros=$$($$($(GO) env CC) -E -dM -include features.h - </dev/null 2>/dev/null); \
	then echo "$$macros" | grep -q __GLIBC__ || { echo 0; exit; }; fi; $(GO) env CGO_ENABLED)

build: export CGO_ENABLED = $(CGO)
build: ## bin/ergon
	$(GO) build -trimpath -tags $(TAGS) -o bin/.linked ./cmd/ergon
	@cp bin/.linked bin/ergon && rm bin/.linked # the page cache keeps a copy in smaller pieces: 15 MB resident instead of 20
	@test "$$($(GO) env CGO_ENABLED)" = 1 || echo 'built without cgo: `bin/ergon version` says what this build lacks'

dist: bin/nfpm ## bin/dist: the files of a release (a C compiler for the other processor adds its program with cgo)
	$(GO) run ./internal/dist -nfpm bin/nfpm -out bin/dist

bin/nfpm: tools/nfpm.mod
	@mkdir -p bin
	$(GO) build -modfile=tools/nfpm.mod -o $@ github.com/goreleaser/nfpm/v2/cmd/nfpm

dist-test: dist ## what make dist has made is installed, run and removed
	ERGON_DIST=$(CURDIR)/bin/dist ERGON_NFPM=$(CURDIR)/bin/nfpm $(TEST) -count=1 -timeout 20m -v ./internal/dist

check: fmt-check vet lint short ## format, vet, lint and the short tests: for every change, in less than a minute

test: readers ## all tests
	$(TEST) -shuffle=on ./...

race: readers ## the tests of packages that start goroutines, under the race detector (needs a C compiler)
	$(TEST) -race -shuffle=on $(filter-out ./cmd/ergon,$(CONCURRENT))
	$(TEST) -race -short -timeout 40m -shuffle=on ./cmd/ergon # its long tests judge times and energies, and this build is up to ten times slower

lint: ## golangci-lint as pinned in tools/go.mod; any finding fails
	$(LINT) run ./...

fmt: ## format the Go files
	$(LINT) fmt

cover: readers ## statement coverage, every package counted for every test: bin/cover.out
	@mkdir -p bin
	$(TEST) -coverpkg=./... -coverprofile=bin/cover.out ./...
	@$(GO) tool cover -func=bin/cover.out | tail -n 1

bench: ## all benchmarks, and the program against other tools: bin/bench.json
	$(TEST) -run '^$$' -bench . -benchmem ./...
	@mkdir -p bin
	$(GO) run ./internal/bench -huge -json bin/bench.json

man: ## the manual pages: bin/man
	$(GO) run -tags $(TAGS) ./cmd/ergon help --man bin/man

fuzz: ## every fuzz target for FUZZTIME (30s), one after another
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir='.?*' . | sort | while IFS=: read -r file name; do \
		echo "$$file $${name#func }"; $(TEST) -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x "$${file%/*}" </dev/null || exit 1; done

cross: ## vet, tests included, and build for the other systems and for Linux, all without cgo
	@for t in $(TARGETS); do echo "cross $$t"; export GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0; \
		$(GO) vet -tags $(TAGS) ./... && $(GO) build -trimpath -tags $(TAGS) -o /dev/null ./cmd/ergon || exit 1; done

browser: ## Debian's Chromium, for the tests of the page (needs root)
	@command -v chromium || apt-get install -qy --no-install-recommends chromium fonts-dejavu-core

notices: ## NOTICES.md: the licences of all modules in the program
	@mkdir -p bin && $(GO) build -modfile=tools/licenses.mod -o bin/go-licenses github.com/google/go-licenses
	@{ printf '# Notices\n\n`make notices` writes this file. The program contains the standard library of Go and these modules.\n\n'; \
	printf '## Go\n\nBSD-3-Clause\n\n```text\n'; cat "$$($(GO) env GOROOT)/LICENSE"; printf '```\n'; \
	for s in $(SYSTEMS); do GOOS=$$s GOFLAGS=-tags=$(TAGS) GOROOT=$$($(GO) env GOROOT) bin/go-licenses report ./cmd/ergon \
		--ignore github.com/ergon-energy/ergon --template tools/notices.tpl 2>bin/notices.log || { cat bin/notices.log >&2; exit 1; }; \
	done | awk '/^## / {skip = seen[$$0]++} !skip'; } >bin/NOTICES.md && mv bin/NOTICES.md NOTICES.md

notebooks: .venv/notebooks ## execute the notebooks on runs measured now; ERGON_UPDATE=1 keeps what they show
	@if test -e $<; then ERGON_TEST_NOTEBOOKS=$(CURDIR)/.venv/bin/python $(TEST) -count=1 -run '^TestNotebooks$$' ./internal/readers; fi

engines: .engines/ready ## Spark reads our files, and compact is killed 100 times; too large for make test
	@if test -e $<; then ERGON_TEST_SPARK=$(CURDIR)/.engines/bin/python $(TEST) -count=1 -run '^TestSpark$$' ./internal/readers; fi
	@ERGON_TEST_KILLS=100 $(TEST) -count=1 -run '^TestCompactKilled$$' ./internal/readers

regression: ## this project's own action on a change that costs nothing, and on one that costs 5 % more CPU time
	ERGON_TEST_REGRESSION=1 $(TEST) -count=1 -v -run '^TestRegression$$' ./internal/ci

ci: export ERGON_TEST_SKIPS := $(CURDIR)/bin/skips
ci: no-skips fmt-check tidy-check lint cross build test race ## everything that must pass before a change is merged
	@sort -u bin/skips | awk -F '\t' '$$1 == "busy" {busy++; print "skipped, busy: " $$2 ": " $$3} \
		$$1 != "busy" {left[$$1]++; why[$$1] = $$3} \
		END {for (part in left) print part ": " left[part] " tests left out or reduced: " why[part]; \
		print busy + 0 " tests were skipped because the machine was busy"}'

no-skips: # the file to which the tests add a line for each skip
	@mkdir -p bin && : >bin/skips

vet:
	$(GO) vet -tags $(TAGS) ./...

short: # without -shuffle, so that the go command can reuse the results of unchanged packages
	$(TEST) -short ./...

fmt-check: # fails if a file is not formatted
	$(LINT) fmt --diff

tidy-check: # fails if go.mod is not tidy (not tools/go.mod, which `go get -tool` writes)
	$(GO) mod tidy -diff

# The environments of Python and Node.js in which tests read our files.
readers: $(if $(wildcard testdata/readers/requirements.txt),.venv/ready .node/ready)

.venv/ready: testdata/readers/requirements.txt
	@if python3 -c 'import ensurepip' 2>/dev/null && python3 -m venv .venv && .venv/bin/python -m pip install -q --disable-pip-version-check -r $< && touch $@; then :; \
	else rm -rf .venv; echo 'readers: no Python environment (apt-get install python3-venv): their tests are skipped'; test -z "$$CI"; fi

.node/ready: testdata/readers/package-lock.json
	@if mkdir -p .node && cp testdata/readers/package.json $< .node && npm ci --prefix .node --ignore-scripts --no-audit --no-fund --silent && touch $@; then :; \
	else rm -rf .node; echo 'readers: no Node.js environment (apt-get install npm): their tests are skipped'; test -z "$$CI"; fi

.venv/notebooks: notebooks/requirements.txt .venv/ready
	@if test -e .venv/ready && .venv/bin/python -m pip install -q --disable-pip-version-check -r $< && touch $@; then :; \
	else echo 'notebooks: no Jupyter: they are not executed'; test -z "$$CI"; fi

# Only one line tells why Spark is left out, also if CI is set: there need not be a network. pip keeps what it has fetched.
.engines/ready: testdata/readers/spark.txt
	@mkdir -p bin; java=$$(java -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p'); \
	if test "$${java:-0}" -lt 17; then why='no Java 17 or later (apt-get install default-jre-headless)'; \
	elif ! python3 -m venv .engines >bin/engines.log 2>&1; then why='no Python environment (apt-get install python3-venv)'; \
	elif ! timeout 170 .engines/bin/python -m pip install -q --disable-pip-version-check --retries 1 -r $< >>bin/engines.log 2>&1; then \
		why="pip could not install it: $$(tail -n 1 bin/engines.log)"; \
	else why=; touch $@; fi; \
	if test -n "$$why"; then rm -rf .engines; echo "engines: Spark is skipped: $$why"; fi
