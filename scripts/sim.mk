# The simulator: the cluster core built with its deliberate bugs switchable, and tests/sim.

SIM := $(BUILD)/sim
SIM_OBJ := $(patsubst %.c,$(BUILD)/obj-sim/%.o,$(wildcard lib/cluster/*.c tests/sim/*.c))

$(BUILD)/obj-sim/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -I. -DCLUSTER_MUTATIONS -MMD -MP -c $< -o $@

$(SIM): $(SIM_OBJ) $(call obj,$(foreach l,proto ring seal base,$(wildcard lib/$(l)/*.c)))
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)
