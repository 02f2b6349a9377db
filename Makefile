# Sluice. `make help` lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The race detector needs a C compiler; the shipped binary never does.
RACE    ?= $(shell command -v gcc >/dev/null 2>&1 && echo -race)
PKGS    ?= ./...
FUZZ    ?= 30s

.PHONY: help build run test generate lint fuzz clean check

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sluice, bin/lab and bin/bench
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X sluice/internal/control.version=$(VERSION)' -o bin/sluice ./cmd/sluice
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/lab ./tools/lab
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/bench ./tools/bench

run: build ## a whole gateway in network namespaces; ARGS=--once proves it and ends
	@bin/lab --sluice bin/sluice $(ARGS)

# Gateways that fail over go by tenths of a second: their tests come last, with the
# machine to themselves.
FAULTS  = sluice/internal/e2e/failover

test: ## every test; those that need root or a program say why they skip
	@all=$$($(GO) list $(PKGS)) || exit 1; \
	  rest=$$(echo "$$all" | grep -vx $(FAULTS)); \
	  test -z "$$rest" || $(GO) test $(RACE) -count=1 -timeout 30m $$rest || exit 1; \
	  ! echo "$$all" | grep -qx $(FAULTS) || $(GO) test -count=1 -timeout 60m $(FAULTS)

generate: ## compile bpf/ and the benchmark's programs with clang-19
	$(GO) generate ./loader ./tools/bench/traffic

lint: ## formatting, vet and linters
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	clang-format-19 --dry-run -Werror bpf/*.h bpf/*.c tools/bench/traffic/*.c
	golangci-lint run

fuzz: ## every fuzz target for FUZZ each
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) $$p || exit 1; \
	  done; done

check: ## what CI runs
	bash .ci/run

clean: ## built files
	rm -rf bin
