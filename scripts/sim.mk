# The simulator: the cluster core built with its deliberate bugs switchable, and tests/sim.

SIM := $(BUILD)/sim
SIM_OBJ := $(patsubst %.c,$(BUILD)/obj-sim/%.o,$(wildcard lib/cluster/*.c tests/sim/*.c))

$(BUILD)/obj-sim/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -I. -DCLUSTER_MUTATIONS -MMD -MP -c $< -o $@

# lib/cluster is taken from SIM_OBJ, not from the archive: everything in it is defined there.
$(SIM): $(SIM_OBJ) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(SIM_OBJ) $(LIBCORE) $(LIBMODEL) $(LIBCORE) $(CORE_LIBS)

SEED ?= $(shell date +%s)
N ?= 1000
SUITES += sim-test

sim: $(SIM) ## one simulated cluster run, told step by step: SEED=
	@$(SIM) seed $(SEED) -v

sim-many: $(SIM) ## N (1000) simulated runs, each with faults of its own, from SEED on
	@scripts/keep sim-many $(SIM) many $(SEED) $(N)

sim-traffic: $(SIM) ## the same with stores and operations on top, told step by step: SEED=
	@$(SIM) traffic $(SEED) -v

sim-mutants: $(SIM) ## every deliberate protocol bug must be found by the simulator
	@$(SIM) mutants 1 600

sim-promises: $(SIM) ## detection times, restarts, 24 simulated hours at 20 % loss
	@scripts/keep sim-promises $(SIM) promises $(SEED) long

sim-test: $(SIM) ## what `make test` runs of the simulator: fixed seeds, then new ones for SIM_SECONDS (120)
	@scripts/run-sim $(SIM)

.PHONY: sim sim-many sim-traffic sim-mutants sim-promises sim-test
