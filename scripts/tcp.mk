# Tests of TCP-lite: its core twice in one program, as it is and without its fast path, and the simulator of its peers.

TCP_CORE := $(wildcard lib/net/tcp*.c)
TCP_SLOW := $(BUILD)/tcp-slow.o
TCP_RIG := $(call obj,tests/tcp/api.c $(filter-out tests/tcp/api.c tests/tcp/test_%.c,$(wildcard tests/tcp/*.c))) $(TCP_SLOW)
TCP_TESTS := $(patsubst tests/tcp/%.c,$(BUILD)/tests/tcp/%,$(wildcard tests/tcp/test_*.c))
UNIT += $(TCP_TESTS)

CFLAGS_tests_tcp = -I. -Wno-missing-prototypes

$(BUILD)/obj-slow/%.o: %.c
	$(call say,CC,$< without the fast path)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -I. -DTCP_NO_FASTPATH -MMD -MP -c $< -o $@

# Of the second build only its table of functions is seen (tests/tcp/api.h).
$(TCP_SLOW): $(TCP_CORE:%.c=$(BUILD)/obj-slow/%.o) $(BUILD)/obj-slow/tests/tcp/api.o
	$(Q)ld -r -o $@.all $^
	$(Q)objcopy --keep-global-symbol=tcp_slow_api $@.all $@
	$(Q)rm -f $@.all

$(TCP_TESTS): $(BUILD)/tests/tcp/%: $(BUILD)/obj/tests/tcp/%.o $(TCP_RIG) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBCORE) -lcmocka $(CORE_LIBS)

# --- the simulator of peers ---------------------------------------------------------
SUITES += tcp-sim-test

TCPSIM := $(BUILD)/tcpsim
TCP_SIM_TABLE := tests/tcpsim/goodput.txt
CFLAGS_tests_tcpsim = -I.

$(TCPSIM): $(call obj,$(wildcard tests/tcpsim/*.c)) $(TCP_RIG) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBCORE) $(CORE_LIBS)

tcp-sim: $(TCPSIM) ## one run of TCP with modelled clients over a bad link, told segment by segment: SEED=
	@$(TCPSIM) seed $(SEED) -v

tcp-sim-many: $(TCPSIM) ## N (1000) such runs from SEED on
	@$(TCPSIM) many $(SEED) $(N)

tcp-sim-table: $(TCPSIM) ## writes the table of goodput beside loss anew, after a change that is meant to change it
	@$(TCPSIM) table >$(TCP_SIM_TABLE).new && mv $(TCP_SIM_TABLE).new $(TCP_SIM_TABLE) && cat $(TCP_SIM_TABLE)

tcp-sim-test: $(TCPSIM) ## what `make test` runs of it: fixed seeds, those that failed once, new ones, the table
	@scripts/run-tcp-sim $(TCPSIM) $(TCP_SIM_TABLE)

.PHONY: tcp-sim tcp-sim-many tcp-sim-table tcp-sim-test

$(BUILD)/tests/fuzz/fuzz_tcp $(BUILD)/tests/fuzz/fuzz_tcp_struct: $(TCP_RIG)
