# Slipring. `make help` lists what can be made.

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

VERSION := 0.1.0
CC := gcc
MARCH ?= x86-64-v3
PREFIX ?= /usr/local
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
OPT := -O3
SAN :=
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
  OPT := -O1 -fno-omit-frame-pointer
  SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(FLAVOUR),cover)
  OPT := -O0
  SAN := --coverage
endif
DPDK_CFLAGS = $(shell pkg-config --cflags libdpdk | sed 's/-march=[^ ]*//; s/-I/-isystem /g')
CFLAGS := -std=gnu11 -g $(OPT) -march=$(MARCH) $(WARN) $(SAN) -ffile-prefix-map=$(CURDIR)/= \
  -fno-strict-aliasing -D_GNU_SOURCE -DSLIPRING_VERSION='"$(VERSION)"' -Ilib
LDFLAGS := $(SAN)

include scripts/build.mk

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' Makefile

# Only programs that have sources.
PROGRAMS := $(foreach p,slipringd slipring,$(if $(wildcard app/$(p)/*.c),$(BUILD)/$(p)))

all: $(PROGRAMS) ## build the daemon and the CLI

unit: $(UNIT) ## run the unit tests
	@scripts/run-tests $(UNIT)

clean: ## remove what was built
	$(Q)rm -rf build

.PHONY: help all unit clean
