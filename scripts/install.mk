# make install and uninstall: PREFIX (/usr/local), SYSCONFDIR (/etc), DESTDIR for packagers.
# An existing configuration is never touched.

SYSCONFDIR ?= /etc
UNITDIR ?= $(if $(filter /usr,$(PREFIX)),/lib/systemd/system,/etc/systemd/system)
MAN := $(patsubst doc/man/%.scd,$(BUILD)/man/%,$(wildcard doc/man/*.scd)) $(BUILD)/man/slipring.yaml.5
PROFILES := $(wildcard drivers-config/*)
SHARE := $(DESTDIR)$(PREFIX)/share
# Where Debian's Python looks: one folder for all versions below /usr, one a version elsewhere.
PYTHON := /usr/bin/python3
PYTHONDIR ?= $(PREFIX)/lib/$(if $(filter /usr,$(PREFIX)),python3,$(shell $(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])'))/dist-packages
PYTHON_PACKAGE := $(wildcard lib/client/python/slipring/*)

# The daemon knows where its profiles are installed.
CFLAGS_app_slipringd += -DSLIPRING_PREFIX='"$(PREFIX)"'
$(BUILD)/prefix: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' >$@
$(BUILD)/obj/app/slipringd/profile.o: $(BUILD)/prefix

$(BUILD)/man/%: doc/man/%.scd
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)scdoc <$< >$@

$(BUILD)/man/slipring.yaml.5: $(BUILD)/slipringd
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< --dump-config-scd | scdoc >$@

# The shells learn the commands and options from the program itself.
$(BUILD)/completion.%: $(BUILD)/slipring
	$(call say,GEN,$@)
	$(Q)$< completion $* >$@

man: $(MAN)

install: all client man $(BUILD)/completion.bash $(BUILD)/completion.zsh ## install programs, library, man pages, profiles and the systemd unit
	$(Q)install -D -m 755 $(BUILD)/slipringd $(DESTDIR)$(PREFIX)/sbin/slipringd
	$(Q)install -D -m 755 $(BUILD)/slipring $(DESTDIR)$(PREFIX)/bin/slipring
	$(Q)install -D -m 644 $(LIBCLIENT) $(DESTDIR)$(PREFIX)/lib/libslipring.a
	$(Q)install -D -m 755 $(CLIENT_SO) $(DESTDIR)$(PREFIX)/lib/libslipring.so.0
	$(Q)ln -sf libslipring.so.0 $(DESTDIR)$(PREFIX)/lib/libslipring.so
	$(Q)install -D -m 644 lib/client/slipring.h $(DESTDIR)$(PREFIX)/include/slipring.h
	$(Q)install -D -m 644 $(BUILD)/slipring.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/slipring.pc
	$(Q)install -D -m 644 $(BUILD)/completion.bash $(SHARE)/bash-completion/completions/slipring
	$(Q)install -D -m 644 $(BUILD)/completion.zsh $(SHARE)/zsh/site-functions/_slipring
	$(Q)install -d $(DESTDIR)$(PYTHONDIR)/slipring
	$(Q)install -m 644 $(filter-out %/__pycache__,$(PYTHON_PACKAGE)) $(DESTDIR)$(PYTHONDIR)/slipring
	$(Q)for page in $(MAN); do install -D -m 644 $$page $(SHARE)/man/man$${page##*.}/$${page##*/} || exit; done
	$(Q)install -d $(SHARE)/slipring/drivers-config
	$(Q)install -m 644 $(PROFILES) $(SHARE)/slipring/drivers-config
	$(Q)install -d $(DESTDIR)$(UNITDIR)
	$(Q)sed 's|@PREFIX@|$(PREFIX)|' scripts/slipring.service >$(DESTDIR)$(UNITDIR)/slipring.service
	$(Q)[ -e $(DESTDIR)$(SYSCONFDIR)/slipring/slipring.yaml ] || \
	  install -D -m 644 scripts/slipring.yaml $(DESTDIR)$(SYSCONFDIR)/slipring/slipring.yaml
	$(Q)[ -n "$(DESTDIR)" ] || ldconfig
	@echo "installed below $(DESTDIR)$(PREFIX). Next: edit $(SYSCONFDIR)/slipring/slipring.yaml, then: systemctl enable --now slipring"

uninstall: ## remove what install put there, but not the configuration
	$(Q)rm -f $(DESTDIR)$(PREFIX)/sbin/slipringd $(DESTDIR)$(PREFIX)/bin/slipring \
	  $(addprefix $(DESTDIR)$(PREFIX)/lib/,libslipring.a libslipring.so.0 libslipring.so pkgconfig/slipring.pc) \
	  $(DESTDIR)$(PREFIX)/include/slipring.h $(DESTDIR)$(UNITDIR)/slipring.service
	$(Q)for page in $(notdir $(MAN)); do rm -f $(SHARE)/man/man$${page##*.}/$$page; done
	$(Q)rm -f $(SHARE)/bash-completion/completions/slipring $(SHARE)/zsh/site-functions/_slipring
	$(Q)rm -rf $(SHARE)/slipring $(DESTDIR)$(PYTHONDIR)/slipring
	$(Q)[ -n "$(DESTDIR)" ] || ldconfig

FORCE:
.PHONY: man install uninstall FORCE
