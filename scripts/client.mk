# The client library: shared with a soname, static with nothing but slipring_* visible,
# its pkg-config file, its examples, and the loopback node that its tests talk to.

CLIENT_SRC := $(wildcard lib/client/*.c) $(CLIENT_PURE)
CLIENT_SO := $(BUILD)/libslipring.so.0
CLIENT_PIC := $(patsubst %.c,$(BUILD)/pic/%.o,$(CLIENT_SRC))
LOOPBACK_NODE := $(BUILD)/tests/tools/loopback_node
EXAMPLES := $(patsubst doc/examples/%.c,$(BUILD)/examples/%,$(wildcard doc/examples/*.c))

ifeq ($(FLAVOUR),release)
# One relocatable object, so that the library's own calls stay resolved when all
# other names become local; applications may then have a lane_open of their own.
$(LIBCLIENT): scripts/client.mk
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)ld -r -o $(@D)/slipring-all.o $(filter %.o,$^)
	$(Q)objcopy --wildcard --keep-global-symbol='slipring_*' --remove-section='.gnu.lto_*' \
	  --remove-section='.gnu.debuglto_*' $(@D)/slipring-all.o
	$(Q)rm -f $@ && ar rcs $@ $(@D)/slipring-all.o
endif

$(BUILD)/pic/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(if $(LTO),-fno-lto) -fPIC -MMD -MP -c $< -o $@

$(CLIENT_SO): $(CLIENT_PIC) lib/client/slipring.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,libslipring.so.0 -Wl,--version-script=lib/client/slipring.map \
	  -o $@ $(CLIENT_PIC) -lsodium -lxxhash
	$(Q)ln -sf libslipring.so.0 $(BUILD)/libslipring.so

$(BUILD)/slipring.pc: lib/client/slipring.pc.in $(BUILD)/prefix
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' $< > $@

# Examples are built as an application would: installed header, shared library.
$(BUILD)/examples/%: doc/examples/%.c $(CLIENT_SO) lib/client/slipring.h
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -O2 $(WARN) $(SAN) -Ilib/client -o $@ $< -L$(BUILD) -lslipring -Wl,-rpath,'$$ORIGIN/..'

$(BUILD)/tests/tools/%: $(BUILD)/obj/tests/tools/%.o $(LIBCLIENT) $(LIBCORE) $(LIBMODEL)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

# The CLI uses histograms and headers, which the static library keeps to itself.
$(BUILD)/slipring: $(LIBCORE)

client: $(LIBCLIENT) $(CLIENT_SO) $(BUILD)/slipring.pc $(EXAMPLES) ## the client library and its examples

# Tests of the client start these.
CLIENT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_client*.c tests/unit/test_cli*.c))
$(CLIENT_TESTS): | $(LOOPBACK_NODE) $(CLIENT_SO) $(EXAMPLES) $(BUILD)/slipring

system: $(EXAMPLES)

.PHONY: client
