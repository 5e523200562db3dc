# `make` prints this list. The two commands of the README are `go run ./cmd/parley serve` and `make test`.
SHELL := /bin/bash
GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED ?= 1

.PHONY: help
help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## serve on the embedded database, keys are generated at the first start
	$(GO) run ./cmd/parley serve

.PHONY: build
build: ## build the static binaries bin/parley and bin/parley-messaging
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/parley ./cmd/parley
	CGO_ENABLED=0 $(GO) build -trimpath -tags grpcnotrace -ldflags '-s -w' -o bin/parley-messaging ./cmd/parley-messaging  # without the tag it is 10 MB larger

# Keys that sign are where `parley wasmcloud par` keeps them, unless PROVIDER_FLAGS says otherwise: --issuer=vault://..., --keys=DIR.
PROVIDER_TARGETS := x86_64-linux=linux/amd64 aarch64-linux=linux/arm64 x86_64-macos=darwin/amd64 aarch64-macos=darwin/arm64 x86_64-windows=windows/amd64
PROVIDER_VERSION ?= $(shell git describe --tags --always 2> /dev/null || echo 0.0.0)

.PHONY: provider
provider: ## build parley-messaging for all targets of wasmCloud into the archive bin/parley-messaging.par.gz
	@mkdir -p bin/provider; for target in $(PROVIDER_TARGETS); do \
	  system=$${target#*=}; echo "$${target%=*}"; \
	  CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -trimpath -tags grpcnotrace -ldflags '-s -w' -o bin/provider/$${target%=*} ./cmd/parley-messaging || exit 1; \
	done
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2> /dev/null)} $(GO) run ./cmd/parley wasmcloud par bin/parley-messaging.par.gz \
	  --name parley-messaging --vendor Parley --version '$(PROVIDER_VERSION)' $(PROVIDER_FLAGS) \
	  $(foreach target,$(PROVIDER_TARGETS),--binary $(firstword $(subst =, ,$(target)))=bin/provider/$(firstword $(subst =, ,$(target))))

.PHONY: test
test: deps check ## install what the tests need, then check and run all of them with the race detector
	cd bench && $(GO) vet ./... && $(GO) test ./...
	$(GO) test -race -timeout 15m ./...

.PHONY: test-backends
test-backends: ## the engine on a real Vault, PostgreSQL, a NATS cluster and moto, and a million requests during restarts; building Vault takes ten minutes and 3 GB, the first time
	cd internal/beds/vault && $(GO) build -o ../../../bin/vault-bed .
	@rm -f bin/vault-bed.out; touch bin/vault-bed.out; \
	bin/vault-bed -addr 127.0.0.1:0 > bin/vault-bed.out 2> bin/vault-bed.err & bed=$$!; trap "kill $$bed" EXIT; \
	until grep -q READY bin/vault-bed.out; do sleep 0.1; kill -0 $$bed || { cat bin/vault-bed.err; exit 1; }; done; \
	read -r _ addr unseal < bin/vault-bed.out; \
	PARLEY_TEST_VAULT_ADDR=$$addr PARLEY_TEST_VAULT_UNSEAL=$$unseal $(GO) test -race -count 1 -timeout 5m -v -run /Real ./credential/source/vault
	$(GO) test -race -count 1 -v -run 'TestI|TestRole|TestUsers|TestLease' ./credential/presenter/postgres
	$(GO) test -race -count 1 -v -run 'TestI|Cluster|Partition' ./credential ./credential/broadcast ./pubsub/natsbus ./natsconn
	$(GO) test -run '^$$' -bench PushToEnforced -benchtime 500x ./credential
	$(MAKE) test-aws
	PARLEY_TEST_REQUESTS=1000000 $(GO) test -count 1 -timeout 30m -v -run TestI17 ./cmd/parley

# What stands in for AWS is moto from PyPI, in an environment of its own below bin.
.PHONY: test-aws
test-aws: bin/moto/.installed ## the tests that need an AWS, against moto; needs Python 3.10 or newer
	@rm -f bin/moto.out; touch bin/moto.out; bin/moto/bin/moto_server -H 127.0.0.1 -p 0 > bin/moto.out 2>&1 & moto=$$!; trap "kill $$moto" EXIT; \
	until grep -q 'Running on http' bin/moto.out; do sleep 0.1; kill -0 $$moto || { cat bin/moto.out; exit 1; }; done; \
	PARLEY_TEST_AWS_ENDPOINT=$$(sed -n 's/.*Running on \(http[^ ]*\).*/\1/p' bin/moto.out) \
	$(GO) test -race -count 1 -v -run /Real ./credential/source/awssm ./credential/source/awskms

bin/moto/.installed:
	@command -v python3 > /dev/null || { echo 'Python 3.10 or newer is needed for the tests against moto'; exit 1; }
	python3 -m venv bin/moto
	bin/moto/bin/pip install --quiet --disable-pip-version-check 'moto[server]==5.2.5'
	@touch $@

# Parse Server itself, PostGIS that it needs, and Parley as it is built.
.PHONY: oracle
oracle: build interop/oracle/node_modules/.installed postgres postgis ## Parley beside Parse Server 9.10.0 from npm: the corpus, one database handed over and shared; the table goes into README.md
	PARLEY_TEST_ORACLE=1 $(GO) test -count 1 -v -parallel 2 -timeout 30m ./interop/oracle -update

interop/oracle/node_modules/.installed: interop/oracle/package.json interop/oracle/package-lock.json
	@command -v npm > /dev/null || { echo 'Node.js 20 or newer with npm is needed to run Parse Server'; exit 1; }
	cd interop/oracle && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

.PHONY: postgis
postgis: postgres
	@if [ -z "$$PARLEY_TEST_POSTGRES" ] && ! ls /usr/share/postgresql/*/extension/postgis.control > /dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      "postgresql-$$(ls /usr/lib/postgresql | sort -n | tail -1)-postgis-3" > /dev/null; \
	  else echo 'PostGIS is not installed, and Parse Server needs it (Debian: apt-get install postgresql-15-postgis-3)'; exit 1; fi; \
	fi

# The versions are those that a wasmCloud 1.9 host is built with; the first build takes five minutes on two busy cores and 540 MB in interop/rust/target.
.PHONY: interop-rust
interop-rust: ## the wRPC and secrets crates of wasmCloud against Parley, both ways; needs Rust
	@command -v cargo > /dev/null || { echo 'Rust with cargo is needed for the tests against its crates'; exit 1; }
	cd interop/rust && cargo build --locked --target-dir target
	PARLEY_TEST_RUST=$(CURDIR)/interop/rust/target/debug/parley-interop $(GO) test -race -count 1 -v ./interop/rust

.PHONY: timing
timing: ## does the time of a verification tell anything (I12); a statistical test, for a quiet machine
	PARLEY_TEST_TIMING=1 $(GO) test -count 1 -timeout 30m -v -run TestI12 ./credential

.PHONY: faults
faults: ## the fault matrix and the invariants of the credential engine, into docs/fault-matrix.md
	$(GO) test -count 1 -run 'TestFault|TestEveryInvariant|TestNumbers|TestI[0-9]' ./credential -update
	@cat docs/fault-matrix.md

.PHONY: check
check: ## formatting, vet, staticcheck, module file
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod verify
	$(GO) mod tidy -diff

.PHONY: deps
deps: interop/jssdk/node_modules/.installed postgres ## install what the tests need: the Parse JavaScript SDK, PostgreSQL
	$(GO) mod download

# Tests that need a PostgreSQL start one of their own. Where none can be installed from here they are skipped, and say so.
.PHONY: postgres
postgres:
	@if [ -z "$$PARLEY_TEST_POSTGRES" ] && ! command -v initdb > /dev/null && ! ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql > /dev/null; \
	  else echo 'PostgreSQL is not installed: the tests that need it are skipped (Debian: apt-get install postgresql)'; fi; \
	fi

interop/jssdk/node_modules/.installed: interop/jssdk/package.json interop/jssdk/package-lock.json
	@command -v npm > /dev/null || { echo 'Node.js 20 or newer with npm is needed for the SDK tests'; exit 1; }
	cd interop/jssdk && npm ci --no-audit --no-fund
	@touch $@

.PHONY: fuzz
fuzz: ## every fuzz target for 30 s
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime 30s $$pkg || exit 1; \
	  done; \
	done

.PHONY: bench
bench: ## the micro benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-peers
bench-peers: ## Parley beside PocketBase over HTTP, in one run
	cd bench && $(GO) run .

.PHONY: bench-postgres
bench-postgres: ## Parley on PostgreSQL beside Parse Server and a bare handler, in one run; needs interop/oracle/node_modules (npm ci there)
	cd bench && $(GO) run . -suite postgres
	cd bench && $(GO) run . -suite growth -rounds 3
	cd bench && $(GO) run . -suite cloud
