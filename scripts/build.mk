# How things are compiled and linked; the Makefile says what.
# A lib folder becomes one archive; leaves (LAYERS) go into libleaf.a, their C11
# models (tests/model) into libmodel.a, and a program links one of the two.

LIBS := cluster serve net proto store ring wire seal base
LEAVES := lib/store/keymap.c lib/store/arena.c lib/store/reclaim.c
MODELS := $(wildcard tests/model/*.c)

pure_src := $(filter-out $(LEAVES),$(foreach l,$(LIBS),$(wildcard lib/$(l)/*.c)))
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

LIBCORE := $(BUILD)/libcore.a
LIBLEAF := $(BUILD)/libleaf.a
LIBMODEL := $(BUILD)/libmodel.a
LIBIO := $(BUILD)/libio.a
LIBCONTROL := $(BUILD)/libcontrol.a

# Parts of the daemon that need neither DPDK nor a network: unit tests link them, a fuzzer those that read settings.
SETTINGS := value schema schema_yaml schema_print config config_verify config_print peer_text floor profile
PLAIN := log notify watchdog hearing resolver keyfile usocket api api_body api_cache api_cluster api_command api_events api_json \
  api_keys api_metrics api_parts api_process api_sweep api_view facts nic preflight
LIBSETTINGS := $(BUILD)/libsettings.a
LIBPLAIN := $(BUILD)/libplain.a
$(LIBSETTINGS): $(call obj,$(SETTINGS:%=app/slipringd/%.c) lib/control/listen.c)
$(LIBPLAIN): $(call obj,$(PLAIN:%=app/slipringd/%.c))

$(LIBCORE): $(call obj,$(pure_src))
# Under the address sanitizer items come from malloc, which it watches.
$(LIBLEAF): $(call obj,$(if $(filter asan,$(FLAVOUR)),$(LEAVES:lib/store/arena.c=tests/model/arena.c),$(LEAVES)))
$(LIBMODEL): $(call obj,$(MODELS))
$(LIBIO): $(call obj,$(wildcard lib/io/*.c))
$(LIBCONTROL): $(call obj,$(wildcard lib/control/*.c))

$(BUILD)/%.a:
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(CFLAGS_$(subst /,_,$(<D))) -MMD -MP -c $< -o $@

# What compares and wipes secrets is compiled by itself: nothing is to be known of its callers.
CFLAGS_lib_seal = $(if $(LTO),-fno-lto)

# Folders that see DPDK's headers.
CFLAGS_lib_io = $(DPDK_CFLAGS)
CFLAGS_lib_store = $(DPDK_CFLAGS)
CFLAGS_tests_tools = -I.
CFLAGS_tests_unit = -I. -Iapp -Wno-missing-prototypes
CFLAGS_tests_race = -I. -Iapp -Wno-missing-prototypes
CFLAGS_tests_dpdk = $(DPDK_CFLAGS) -I. -Iapp -Wno-missing-prototypes
CFLAGS_tests_model = -I.
CFLAGS_tests_differential = -I.
CFLAGS_tests_fuzz = -Wno-missing-prototypes -I.
CFLAGS_bench = $(DPDK_CFLAGS) -I.
CFLAGS_bench_generator = $(DPDK_CFLAGS) -I.
CFLAGS_app_slipringd = $(DPDK_CFLAGS) -Iapp

# DPDK, static, with chosen drivers: `pkg-config --static` does not link on Debian 12.
# Drivers register in constructors, so they are linked whole.
DPDK_WHOLE := bus_vdev bus_pci mempool_ring net_af_xdp net_af_packet net_ring net_vhost net_virtio net_e1000 net_vmxnet3
DPDK_GROUP := vhost cryptodev dmadev hash rcu ethdev mbuf mempool ring eal telemetry kvargs net meter pci \
  gso security ip_frag timer bpf cmdline metrics cfgfile sched bitratestats
DPDK_LIBS := -Wl,--whole-archive $(DPDK_WHOLE:%=-l:librte_%.a) -Wl,--no-whole-archive \
  -Wl,--start-group $(DPDK_GROUP:%=-l:librte_%.a) -Wl,--end-group \
  -lxdp -lbpf -lelf -lz -lnuma -lfdt -lbsd -lcrypto -ljansson -lm -ldl -lpthread -latomic -lIPSec_MB -lpcap
LEAF_LIBS := -lurcu-qsbr -lurcu-common -ljemalloc
# Packets between nodes are sealed by the last one; what has no such packets is not made to load it.
CORE_LIBS := -lsodium -lxxhash -lpthread -lm -Wl,--push-state,--as-needed -lIPSec_MB -Wl,--pop-state
CONTROL_LIBS := -lmicrohttpd -lgnutls -ljansson

# Programs. tests/unit and tests/fuzz link the pure core with the model leaves and no DPDK;
# tests/dpdk and bench link the real leaves, io and DPDK.
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
RACE := $(patsubst tests/race/%.c,$(BUILD)/tests/race/%,$(wildcard tests/race/test_*.c))
DPDK_TESTS := $(patsubst tests/dpdk/%.c,$(BUILD)/tests/dpdk/%,$(wildcard tests/dpdk/test_*.c))
DIFFERENTIAL := $(patsubst tests/differential/%.c,$(BUILD)/tests/differential/%,$(wildcard tests/differential/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCHES := $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/bench_*.c))

# What clients share with nodes; nothing of the cluster's packets.
CLIENT_PURE := $(filter-out lib/seal/aead.c lib/seal/gcm.c,$(foreach l,proto ring seal base,$(wildcard lib/$(l)/*.c)))
LIBCLIENT := $(BUILD)/libslipring.a
$(LIBCLIENT): $(call obj,$(wildcard lib/client/*.c)) $(call obj,$(CLIENT_PURE))

$(UNIT): $(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(LIBPLAIN) $(LIBSETTINGS) $(LIBCONTROL) $(LIBCLIENT) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBCORE) -lcmocka -lyaml $(CONTROL_LIBS) $(CORE_LIBS)

# Programs that a test beside them compares with the real thing.
$(DIFFERENTIAL): $(BUILD)/tests/differential/%: $(BUILD)/obj/tests/differential/%.o $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBCORE) $(CORE_LIBS)

# The control core's tables, as it publishes them.
$(BUILD)/tests/race/test_ring: $(call obj,app/slipringd/core_ring.c)

$(RACE): $(BUILD)/tests/race/%: $(BUILD)/obj/tests/race/%.o $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(LIBCORE) $(LIBMODEL) $(LIBCORE) -lcmocka $(CORE_LIBS)

# The daemon's poll loop, run on two lcores.
$(BUILD)/tests/dpdk/test_workers: $(call obj,app/slipringd/worker.c app/slipringd/stray.c app/slipringd/peer_io.c)
$(BUILD)/tests/dpdk/test_tails: $(call obj,app/slipringd/worker.c app/slipringd/stray.c app/slipringd/peer_io.c tests/tcp/segment.c)
$(BUILD)/tests/dpdk/test_peer_io: $(call obj,app/slipringd/peer_io.c)

$(DPDK_TESTS): $(BUILD)/tests/dpdk/%: $(BUILD)/obj/tests/dpdk/%.o $(LIBCORE) $(LIBLEAF) $(LIBIO)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter-out %.a,$^) $(LIBIO) $(LIBCORE) $(LIBLEAF) $(LIBCORE) -lcmocka $(LEAF_LIBS) $(CORE_LIBS) $(DPDK_LIBS)

$(FUZZERS): $(BUILD)/tests/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIBSETTINGS) $(LIBCLIENT) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBCORE) -lyaml $(CORE_LIBS)

# The generator has a folder of parts.
$(BUILD)/bench/bench_generator: $(call obj,$(wildcard bench/generator/*.c))
$(BENCHES): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(LIBCLIENT) $(LIBCORE) $(LIBLEAF) $(LIBIO)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_WHOLE) -o $@ $(filter-out %.a,$^) $(LIBIO) $(LIBCLIENT) $(LIBCORE) $(LIBLEAF) $(LIBCORE) $(LEAF_LIBS) $(CORE_LIBS) $(DPDK_LIBS)

$(BUILD)/slipringd: $(call obj,$(wildcard app/slipringd/*.c)) $(LIBCONTROL) $(LIBCORE) $(LIBLEAF) $(LIBIO)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_WHOLE) -o $@ $(filter-out %.a,$^) $(LIBCONTROL) $(LIBIO) $(LIBCORE) $(LIBLEAF) $(LIBCORE) $(LEAF_LIBS) -lyaml $(CONTROL_LIBS) $(CORE_LIBS) $(DPDK_LIBS)

$(BUILD)/slipring: $(call obj,$(wildcard app/slipring/*.c)) $(LIBCLIENT)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcurl -ljansson $(CORE_LIBS)

.PRECIOUS: $(BUILD)/%.o $(BUILD)/%.a
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
