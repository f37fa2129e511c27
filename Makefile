# Slipring. `make help` lists what can be made.

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

VERSION := 0.1.0
ifeq ($(MAKELEVEL)$(findstring -j,$(MAKEFLAGS)),0)
  MAKEFLAGS += -j$(shell nproc)
endif
CC := gcc
MARCH ?= x86-64-v3
PREFIX ?= /usr/local
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
# Copies and clears are libc's or written out: what GCC puts in their place for a generic x86-64, rep movs and rep stos, takes longer
# to begin than a hundred bytes take.
STRINGS := -mstringop-strategy=libcall
OPT := -O3 $(STRINGS)
SAN :=
LTO :=
ifeq ($(FLAVOUR),asan)
  CC := clang
  OPT := -O1 -fno-omit-frame-pointer
  SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(FLAVOUR),tsan)
  CC := clang
  OPT := -O1 -fno-omit-frame-pointer
  SAN := -fsanitize=thread
endif
ifeq ($(FLAVOUR),fuzz)
  CC := clang
  OPT := -O1 -g1 -fno-omit-frame-pointer
  SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(FLAVOUR),profile)
  OPT := -O3 $(STRINGS) -fno-omit-frame-pointer
endif
# slipringd and the benchmarks are optimized as a whole; tests are linked of the same objects, which are machine code as well.
ifneq ($(filter release profile,$(FLAVOUR)),)
  LTO := -flto=auto -ffat-lto-objects
endif
ifeq ($(FLAVOUR),pure)
  OPT := -O1
endif
ifeq ($(FLAVOUR),cover)
  OPT := -O0
  SAN := --coverage
endif
# Asked for once, and only by what needs it: `make run` may have to install pkg-config first.
DPDK_CFLAGS = $(eval DPDK_CFLAGS := $$(shell pkg-config --cflags libdpdk | sed 's/-march=[^ ]*//; s/-I/-isystem /g'))$(DPDK_CFLAGS)
CFLAGS := -std=gnu11 -g $(OPT) $(LTO) -march=$(MARCH) $(WARN) $(SAN) -ffile-prefix-map=$(CURDIR)/= \
  -fno-strict-aliasing -D_GNU_SOURCE -DSLIPRING_VERSION='"$(VERSION)"' -Ilib
LDFLAGS := $(SAN) $(if $(LTO),-fno-lto)
LDFLAGS_WHOLE := $(SAN) $(LTO) $(if $(LTO),-Wno-stringop-overflow) # each file was warned of by itself

include scripts/build.mk
include scripts/client.mk
include scripts/install.mk

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile scripts/*.mk
	@echo
	@echo "  V=1 shows commands; FLAVOUR=asan|tsan|fuzz|cover builds into build/FLAVOUR"

# Only programs that have sources.
PROGRAMS := $(foreach p,slipringd slipring,$(if $(wildcard app/$(p)/*.c),$(BUILD)/$(p)))

all: $(PROGRAMS) ## build the daemon and the CLI

# --- see it run ---------------------------------------------------------------------

run: ## install what is missing, build, bring one node up on a virtual NIC
	@scripts/deps build
	@$(MAKE) --no-print-directory -s all
	@scripts/lab up
	@echo
	@echo "Try:   scripts/lab exec slipring set greeting hello"
	@echo "       scripts/lab exec slipring get greeting"
	@echo "       scripts/lab exec slipring stats"
	@echo "       curl -H 'Authorization: Bearer dev-token' http://127.0.0.1:8081/v1/cache/greeting"
	@echo "       redis-cli -p 16379 get greeting            (from here by a relay, and so slow; memcached: port 21211)"
	@echo "       scripts/lab exec redis-cli -h n1 get greeting"
	@echo "Then:  scripts/lab logs -f n1, scripts/lab status, make stop"

NODES ?= 5
cluster: ## a cluster of NODES (5) nodes; RF=2 owners a key, LOG_LEVEL=debug
	@scripts/deps build
	@$(MAKE) --no-print-directory -s all
	@scripts/lab up --cluster --nodes $(NODES) $(if $(RF),--rf $(RF))
	@echo
	@echo "Try:   TOKEN=dev-token"
	@echo "       curl -H \"Authorization: Bearer \$$TOKEN\" -X PUT --data 'world' http://localhost:8081/v1/cache/greeting"
	@echo "       curl -H \"Authorization: Bearer \$$TOKEN\" http://localhost:808$(NODES)/v1/cache/greeting"
	@echo "       curl -H \"Authorization: Bearer \$$TOKEN\" http://localhost:9081/cluster/status"
	@echo "       scripts/lab exec slipring status"
	@echo "       scripts/lab kill n3 -9; scripts/lab start n3; scripts/lab add n$$(($(NODES) + 1))"
	@echo "Then:  scripts/lab logs -f n1, scripts/lab status, make stop; doc/TOUR.md shows more"

stop: ## end what `make run` or `make cluster` started
	@scripts/lab down

# --- tests --------------------------------------------------------------------------

SUITES := all check unit fuzz-slice dpdk python differential asan race system soak-slice drills-pci
include scripts/sim.mk
include scripts/tcp.mk
CHECKS := layers purity length headers docs words
PYTEST := /usr/bin/python3 -B -m pytest -q -p no:cacheprovider

# Its parts run side by side and print when they end. One build (pure, -O1) serves the purity
# check and the unit tests; `make test` runs the latter again as released, and fuzzes.
check: ## the fast ones, under a minute: rules of the tree, unit tests, thread roles
	@$(MAKE) --no-print-directory -s -k -Orecurse FLAVOUR=pure check-unit check-roles check-rules

check-rules: pure
	@scripts/run-checks $(CHECKS) && $(PYTEST) tests/checks

check-roles:
	@$(MAKE) roles

check-unit:
	@SUITE=unit TEST_JOBS=4 $(MAKE) unit

test: ## everything: installs what is missing, all suites, sanitizers, the lab; under 25 min
	@scripts/deps test
	@scripts/run-all $(SUITES)

unit: $(UNIT) ## unit tests, two programs at a time (TEST_JOBS)
	@TEST_JOBS=$${TEST_JOBS:-2} scripts/run-tests $(UNIT)
	@$(if $(filter release,$(FLAVOUR)),scripts/threaded --verify $(UNIT))

dpdk: $(DPDK_TESTS) ## tests of the leaves and of lib/io, with DPDK
	@scripts/run-tests $(DPDK_TESTS)

differential: $(DIFFERENTIAL) $(LOOPBACK_NODE) ## replies compared with memcached's and Redis', byte for byte
	@SLIPRING_BUILD=$(BUILD) $(PYTEST) tests/differential

python: $(BUILD)/slipring $(CLIENT_SO) $(LOOPBACK_NODE) ## the Python package, and the command line on terminals and files
	@SLIPRING_BUILD=$(BUILD) $(PYTEST) tests/python

python-cli: $(BUILD)/slipring $(LOOPBACK_NODE)
	@SLIPRING_BUILD=$(BUILD) $(PYTEST) tests/python -k 'test_cli or test_connections'

asan: ## unit, DPDK and command line tests, and many connections, under address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory FLAVOUR=asan unit
	@$(MAKE) --no-print-directory FLAVOUR=asan dpdk
	@$(MAKE) --no-print-directory FLAVOUR=release build/release/libslipring.so.0
	@SLIPRING_LIBRARY=build/release/libslipring.so.0 $(MAKE) --no-print-directory FLAVOUR=asan python-cli

# Of the unit tests those that start threads: in one thread there is no race to find.
race: ## workers on threads of their own, and unit tests that start threads, under the thread sanitizer
	@$(MAKE) --no-print-directory FLAVOUR=tsan race-run
	@$(MAKE) --no-print-directory FLAVOUR=tsan unit UNIT="$$(scripts/threaded build/tsan)"

race-run: $(RACE) $(BUILD)/tests/dpdk/test_store_race
	@scripts/run-tests $^

FUZZ_SECONDS ?= 60
fuzz: ## each fuzz target for FUZZ_SECONDS (60)
	@$(MAKE) --no-print-directory FLAVOUR=fuzz fuzz-run

fuzz-run: $(FUZZERS)
	@scripts/run-fuzz $(FUZZ_SECONDS) $(FUZZERS)

fuzz-slice:
	@$(MAKE) --no-print-directory FUZZ_SECONDS=10 fuzz

TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(wildcard tests/tools/*.c))
system: all client bench-programs $(TEST_TOOLS) $(DIFFERENTIAL) ## the lab: real nodes, real frames (root)
	@$(PYTEST) tests/system

test-cluster: all ## two scripts against a cluster of their own: its interface, and a node killed under it
	@scripts/tests/run

drill: all ## what bad luck does to a cluster: kill, stop, partition, loss, attacks; NAME=kill for one
	@scripts/drill $(or $(NAME),all)

drill-slice: all
	@scripts/drill slice

pure: $(call obj,$(pure_src))

roles: ## what runs on which thread, by clang's thread-safety analysis
	@printf '%s\n' $(filter %.c,$(wildcard lib/*/*.c app/*/*.c)) | xargs -n 24 -P $$(nproc) \
	  clang -fsyntax-only -std=gnu11 -D_GNU_SOURCE -DSLIPRING_VERSION='""' -march=$(MARCH) -Wall -Wthread-safety -Werror \
	  $(DPDK_CFLAGS) -Ilib -Iapp -I.

cover: ## line coverage of the unit and DPDK tests
	@$(MAKE) --no-print-directory FLAVOUR=cover unit
	@$(MAKE) --no-print-directory FLAVOUR=cover dpdk
	@lcov -q --capture --directory build/cover/obj --no-external --base-directory . --output-file build/cover/all.info
	@lcov -q --remove build/cover/all.info '*/tests/*' --output-file build/cover/lib.info
	@lcov --list build/cover/lib.info

# --- measuring ----------------------------------------------------------------------

profile: ## flame graph of a node under load: build/profile.svg
	@$(MAKE) --no-print-directory -s FLAVOUR=profile all
	@scripts/profile

drills: all ## real PCI drivers in an emulated machine, and every drill of a cluster; the result is kept in tests/results
	@scripts/deps drills
	@scripts/keep drills scripts/run-all drills-pci drill

drills-pci: all
	@scripts/drills/pci

SOAK_SECONDS ?= 600
soak: all ## a node under load and random faults for SOAK_SECONDS (600); prints its seed; kept in tests/results
	@scripts/keep soak scripts/soak $(SOAK_SECONDS)

soak-slice: all
	@scripts/soak 20

# --- the rest -----------------------------------------------------------------------

fmt: ## our style, for the lines changed since the last commit (tables drawn by hand stay)
	$(Q)git clang-format --force --quiet --extensions c,h
	$(Q)git diff --stat

bench: ## all benchmarks, under 10 min; BENCH_SECONDS=1 shortens; appends to bench/history (root)
	@scripts/deps test
	@$(MAKE) --no-print-directory -s bench-programs
	@bench/run

bench-programs: all $(BENCHES) $(SIM)

clean: ## remove what was built
	$(Q)rm -rf build

.PHONY: help all run cluster stop test-cluster drill drill-slice check check-rules check-roles check-unit test unit dpdk python python-cli differential asan \
  race race-run fuzz fuzz-run fuzz-slice system pure roles cover \
  profile drills drills-pci soak soak-slice fmt clean
