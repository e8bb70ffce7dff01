# SPDX-License-Identifier: MIT
# shcounterd: see `make help`.

VERSION := $(shell cat VERSION)

# ---- what a caller may set --------------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDFLAGS ?=
SAN ?=
WERROR ?=
V ?=
BUILD ?= build$(if $(SAN),-$(SAN))
# One spelling, or the dependencies of objects that were built under another one would not be seen.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
DOCDIR ?= $(DATADIR)/doc/shcounterd
UNITDIR ?= $(PREFIX)/lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
# A package or a system-wide install is configured in /etc, a private prefix in itself.
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)

# Seconds per fuzzer, and rounds of the crash loops in `make soak`.
FUZZ_SECONDS ?= 8
SOAK_ROUNDS ?= 20
SOAK_SECONDS ?= 0

# How much `make bench` measures (tiny, quick, full, long), and where it writes what it found.
SIZE ?= full
REPORT ?= $(BUILD)/report

# ---- flags ------------------------------------------------------------------------------------------------------

include mk/sources.mk

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wvla $(if $(WERROR),-Werror)

ifeq ($(SAN),)
SAN_FLAGS :=
else ifeq ($(SAN),address)
SAN_FLAGS := -fsanitize=address,undefined
else ifeq ($(SAN),undefined)
SAN_FLAGS := -fsanitize=undefined
else ifeq ($(SAN),thread)
SAN_FLAGS := -fsanitize=thread
else ifeq ($(SAN),fuzz)
SAN_FLAGS := -fsanitize=fuzzer-no-link,address,undefined
else
$(error SAN=$(SAN): choose address, undefined or thread)
endif
# Sanitizers see more without fortified calls, and a finding must end the program, or a test would not notice.
ifneq ($(SAN),)
SAN_FLAGS += -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE
endif

ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -DSHC_VERSION='"$(VERSION)"' -I. $(WARNINGS) $(CPPFLAGS) $(CFLAGS) $(SAN_FLAGS) -pthread
PIE_CFLAGS := -fPIE
PIC_CFLAGS := -fPIC -fno-semantic-interposition
ALL_LDFLAGS = $(CFLAGS) $(SAN_FLAGS) -pthread -Wl,-O1 -Wl,-z,relro,-z,now $(LDFLAGS)

DAEMON_LIBS := -luring -lsqlite3 -lbsd -lmd
# setproctitle needs argv and environ before main: libbsd's constructor, as `pkg-config --libs libbsd-ctor` has it.
PROCTITLE_LIBS := -Wl,-z,nodlopen -Wl,-u,libbsd_init_func -lbsd-ctor
# `shcount` starts for every increment of a script: nothing is loaded but libc, which comes first, so that what it
# has is not taken from libbsd.
CMD_INPUT_LIBS := -ljansson -lz -lzstd
GATEWAY_LIBS := -lmicrohttpd -lgnutls -ljansson -lbsd -lmd
CMD_LIBS := -lc -Wl,-Bstatic $(CMD_INPUT_LIBS) -lbsd -lmd -Wl,-Bdynamic
# For the same reason functions are bound when they are called (incr calls 22 of 180), code and constants are one
# mapping, and what incr needs lies together: 162 000 instead of 261 000 instructions, 57 instead of 65 page faults,
# of which an empty dynamic program has 48. It stays position-independent; its table of functions is not read-only, as
# is Debian's default. LDFLAGS has the last word: -Wl,-z,now. Not for sanitizers: ThreadSanitizer puts a file over what
# it takes for constants, and cannot write all of it under `ulimit -f` when that is code, too.
QUICK_LDFLAGS = $(if $(SAN),,-Wl$(comma)-z$(comma)lazy$(comma)-z$(comma)noseparate-code) $(LDFLAGS)

OBJCOPY ?= objcopy
INSTALL ?= install
comma := ,

Q := $(if $(V),,@)
# Nothing is said under `make -s`.
silent := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say = $(if $(V)$(silent),@:,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- what is built ----------------------------------------------------------------------------------------------

LIB := $(LIB_BASE) $(LIB_CLIENT)
object_files = $(patsubst %.c,$(BUILD)/%.o,$(1))
without_main = $(filter-out %/main.c,$(1))

UNIT_PROGRAMS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT))
CRASH_PROGRAMS := $(patsubst tests/crash/%.c,$(BUILD)/crash/%,$(CRASH))
BENCH_PROGRAMS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(BENCH)) $(BUILD)/bench/client-static
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ))

PROGRAMS := $(BUILD)/shcounterd $(BUILD)/shcount $(BUILD)/shcount-gateway
LIBRARIES := $(BUILD)/libshcount.a $(BUILD)/libshcount.so.0
FILLED_IN := $(BUILD)/shcounterd.service $(BUILD)/shcounterd.user.service $(BUILD)/shcount-gateway.service $(BUILD)/shcount.pc

# The live page and what it needs, put into the gateway by the assembler (gateway/page.c).
PAGE_OWN := index.html app.css icon.svg openapi.json
# One script of all of them, in this order.
PAGE_SCRIPTS := $(patsubst %,gateway/page/app/%.js,text ask stream health list detail chart main)
PAGE := $(addprefix $(BUILD)/page/,$(PAGE_OWN) app.js uplot.js uplot.css)

# Everything a test may link: `main` stays out.
ARCHIVES := $(BUILD)/libdaemon.a $(BUILD)/libcmd.a $(BUILD)/libgateway.a $(BUILD)/libbase.a

.DELETE_ON_ERROR:
.PHONY: all
all: $(PROGRAMS) $(LIBRARIES) $(FILLED_IN)

# Other flags, other objects: this file changes when they do. -Werror makes no other object.
flags = $(subst ','\'',$(filter-out -Werror,$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(QUICK_LDFLAGS)))
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@printf '%s\n' '$(flags)' | cmp -s - $@ || printf '%s\n' '$(flags)' > $@
.PHONY: force
force:

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PIE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.pic.o: %.c $(BUILD)/flags
	$(call say,CC,$< (shared))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PIC_CFLAGS) -MMD -MP -c -o $@ $<

$(addprefix $(BUILD)/page/,$(PAGE_OWN)): $(BUILD)/page/%: gateway/page/%
	@mkdir -p $(@D)
	$(Q)cp $< $@

$(BUILD)/page/app.js: $(PAGE_SCRIPTS)
	@mkdir -p $(@D)
	$(Q){ echo "'use strict';" && echo '(() => {' && cat $(PAGE_SCRIPTS) && echo '})();'; } > $@

# Changed only when what it is made of has changed: npm gives its files the time of their release.
$(BUILD)/page/uplot.js $(BUILD)/page/uplot.css: $(BUILD)/page/%: force
	@mkdir -p $(@D)
	$(Q)scripts/uplot.sh $* > $@.new
	@cmp -s $@.new $@ || cp $@.new $@

$(BUILD)/gateway/page.o: gateway/page.c $(BUILD)/flags $(PAGE)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DPAGE_DIR='"$(BUILD)/page"' $(PIE_CFLAGS) -MMD -MP -c -o $@ $<

# Made anew each time, and when the list changes: ar would keep members that have left it.
define make_archive
$(call say,AR,$@)
@rm -f $@
$(Q)$(AR) rcs $@ $(filter %.o,$^)
endef

$(BUILD)/libbase.a: $(call object_files,$(LIB) $(LIB_SERVICE)) mk/sources.mk
	$(make_archive)
$(BUILD)/libdaemon.a: $(call object_files,$(call without_main,$(DAEMON))) mk/sources.mk
	$(make_archive)
$(BUILD)/libcmd.a: $(call object_files,$(call without_main,$(CMD))) mk/sources.mk
	$(make_archive)
$(BUILD)/libgateway.a: $(call object_files,$(call without_main,$(GATEWAY))) mk/sources.mk
	$(make_archive)

# The client library is in libbase.a: the uplink has the daemon take from it what speaks to a cluster. OpenSSL, which
# that may need, is loaded when a URL asks for it.
$(BUILD)/shcounterd: $(BUILD)/daemon/main.o $(BUILD)/libdaemon.a $(BUILD)/libbase.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(PROCTITLE_LIBS) $(DAEMON_LIBS)

$(BUILD)/shcount: $(call object_files,$(CMD_QUICK)) $(BUILD)/libcmd.a $(BUILD)/libbase.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie -o $@ $^ -Wl,--as-needed $(ALL_LDFLAGS) $(QUICK_LDFLAGS) $(CMD_LIBS)

$(BUILD)/shcount-gateway: $(BUILD)/gateway/main.o $(BUILD)/libgateway.a $(BUILD)/libbase.a
	$(call say,LD,$@)
	$(Q)$(CC) -pie -o $@ $^ -Wl,--as-needed $(ALL_LDFLAGS) $(GATEWAY_LIBS)

# One object in which only shc_* is visible, so that our short inner names cannot clash with a user's.
$(BUILD)/libshcount.a: $(patsubst %.c,$(BUILD)/%.pic.o,$(LIB)) mk/sources.mk
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(LD) -r -o $(BUILD)/libshcount.o $(filter %.o,$^)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='shc_*' $(BUILD)/libshcount.o
	$(Q)$(AR) rcs $@ $(BUILD)/libshcount.o

$(BUILD)/libshcount.so.0: $(patsubst %.c,$(BUILD)/%.pic.o,$(LIB)) lib/libshcount.map mk/sources.mk
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libshcount.so.0 -Wl,--version-script,lib/libshcount.map -o $@ \
		$(filter %.o,$^) $(ALL_LDFLAGS)

# ---- tests, benchmarks, fuzzers ---------------------------------------------------------------------------------

TEST_LIBS := $(DAEMON_LIBS) $(CMD_INPUT_LIBS) $(GATEWAY_LIBS)

# In whichever order the archives need each other.
test_link = $(CC) -pie -o $@ $(filter %.o,$^) -Wl,--start-group $(ARCHIVES) -Wl,--end-group -Wl,--as-needed $(ALL_LDFLAGS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(test_link) -lcmocka $(TEST_LIBS) -lm

# It is the server of its client.
$(BUILD)/tests/test_tls: TEST_LIBS += -lssl -lcrypto

# It starts the daemon.
$(BUILD)/tests/test_shcount_threads: | $(BUILD)/shcounterd

$(BUILD)/crash/%: $(BUILD)/tests/crash/%.o $(call object_files,$(CRASH_MODEL)) $(ARCHIVES)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(test_link) -lcmocka $(TEST_LIBS) -lm

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(test_link) $(TEST_LIBS) -lm

# Sanitizers have no static runtime.
$(BUILD)/bench/client-static: bench/client.c $(BUILD)/flags
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out $(SAN_FLAGS),$(ALL_CFLAGS)) -static -o $@ $< $(LDFLAGS)

$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(call object_files,$(FUZZED))
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -pie -o $@ $^ -Wl,--as-needed $(ALL_LDFLAGS) -fsanitize=fuzzer $(TEST_LIBS)

# Loaded before libc by the tests of failing calls. Never sanitized: the program they are loaded into is.
FAULT_CFLAGS = $(filter-out $(SAN_FLAGS),$(ALL_CFLAGS)) -U_FORTIFY_SOURCE -fPIC -fvisibility=hidden
FAULT_LIBRARIES := $(BUILD)/tests/fault.so $(BUILD)/tests/fault_alloc.so $(BUILD)/tests/fault_clock.so

$(BUILD)/tests/fault/%.o: tests/fault/%.c $(BUILD)/flags
	$(call say,CC,$< (shared))
	@mkdir -p $(@D)
	$(Q)$(CC) $(FAULT_CFLAGS) -MMD -MP -c -o $@ $<

$(FAULT_LIBRARIES): $(BUILD)/tests/%.so: $(BUILD)/tests/fault/%.o $(BUILD)/tests/fault/fault_rule.o
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ $(CFLAGS) $(LDFLAGS)

fault-libraries: $(FAULT_LIBRARIES)

# The simulation: the daemon compiled once more for tests/sim/hooks.c, and what it wants of the outside world renamed to
# what the simulation has for it. arena.c is without hooks: see tests/sim/heap.c.
sim_objects = $(patsubst %.c,$(BUILD)/sim/%.o,$(1))
SIM_HOOKS := -fsanitize=thread -Wno-tsan -Wno-unknown-warning-option
SIM_CFLAGS = $(filter-out -D_FORTIFY_SOURCE=%,$(ALL_CFLAGS)) -U_FORTIFY_SOURCE
SIM_SHIPPED := $(LIB_BASE) $(LIB_SERVICE) lib/url.c $(filter-out $(SIM_REPLACED) $(SIM_STORE) $(SIM_UPLINK) %/main.c,$(DAEMON))

$(BUILD)/sim/daemon/arena.o: daemon/arena.c tests/sim/arena.syms $(BUILD)/flags
	$(call say,CC,$< (simulation))
	@mkdir -p $(@D)
	$(Q)$(CC) $(SIM_CFLAGS) $(PIE_CFLAGS) -MMD -MP -c -o $@ $<
	$(Q)$(OBJCOPY) --redefine-syms=tests/sim/arena.syms $@

$(BUILD)/sim/tests/%.o: tests/%.c $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PIE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/sim/%.o: %.c $(BUILD)/flags
	$(call say,CC,$< (simulation))
	@mkdir -p $(@D)
	$(Q)$(CC) $(SIM_CFLAGS) $(SIM_HOOKS) $(PIE_CFLAGS) -MMD -MP -c -o $@ $<

# Its variables lie in sections of their own, so that a crash can take them.
sim_merge = $(LD) -r -o $@ $(filter %.o,$^) && $(OBJCOPY) --redefine-syms=tests/sim/replaced.syms \
	--set-section-flags .bss=alloc,load,contents,data --rename-section .bss=sim_bss --rename-section .data=sim_data $@

$(BUILD)/sim/shipped.o: $(call sim_objects,$(SIM_SHIPPED)) tests/sim/replaced.syms mk/sources.mk
	$(call say,LD,$@)
	$(Q)$(sim_merge)

SIM_LIBS := -lbsd

$(BUILD)/sim/test_sim: $(call sim_objects,$(SIM)) $(BUILD)/sim/shipped.o
	$(call say,LD,$@)
	$(Q)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(SIM_LIBS)

# The uplinks of a fleet: shipped objects as they are, and twins of what they call, which come first.
$(BUILD)/uplink/test_uplink_sim: $(call object_files,$(UPLINK_SIM) tests/sim/scheduler.c) $(ARCHIVES)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(test_link) $(TEST_LIBS)

.PHONY: unit-programs bench-programs fuzz-programs fault-libraries sim-programs crash-programs programs warnings
sim-programs: $(BUILD)/sim/test_sim $(BUILD)/uplink/test_uplink_sim
unit-programs: $(UNIT_PROGRAMS)
crash-programs: $(CRASH_PROGRAMS)
bench-programs: $(BENCH_PROGRAMS)
fuzz-programs: $(FUZZ_PROGRAMS)
programs: $(PROGRAMS)
# Every file looked at once, nothing written: for the warnings of another compiler.
LOOKED_AT := $(addprefix warnings/,$(LIB) $(LIB_SERVICE) $(DAEMON) $(CMD) $(GATEWAY) $(UNIT) $(CRASH) $(CRASH_MODEL) $(BENCH) $(FUZZ) $(FAULT))
.PHONY: $(LOOKED_AT)
warnings: $(LOOKED_AT)
$(LOOKED_AT): warnings/%: %
	$(Q)$(CC) $(if $(filter tests/fault/%,$<),$(FAULT_CFLAGS),$(ALL_CFLAGS) $(PIE_CFLAGS)) -fsyntax-only $<
# Kept, although make takes them for steps in between.
.SECONDARY:

.PHONY: test unit sim crash system lint fuzz soak bench bench-quick demo
run_tests = @SAN='$(SAN)' BUILD='$(BUILD)' CC='$(CC)' FUZZ_SECONDS=$(FUZZ_SECONDS) SOAK_ROUNDS=$(SOAK_ROUNDS) SOAK_SECONDS=$(SOAK_SECONDS) tests/run
test: test-deps
	$(run_tests)
unit sim crash system lint fuzz soak:
	$(run_tests) $@

bench-quick: SIZE := quick
bench bench-quick: bench-deps
	@$(MAKE) --no-print-directory -j$$(nproc) all bench-programs
	@BUILD=$(abspath $(BUILD)) bench/run --size $(SIZE) --report $(REPORT)

demo: demo-deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@scripts/demo.sh $(abspath $(BUILD))

.PHONY: deps demo-deps test-deps bench-deps
deps:
	@scripts/deps.sh build
demo-deps:
	@scripts/deps.sh build demo
test-deps:
	@scripts/deps.sh build test bench
	@scripts/npm.sh tests/deploy build/npm-deploy
	@scripts/npm.sh tests/clients build/npm-clients
bench-deps:
	@scripts/deps.sh build bench

# ---- install ----------------------------------------------------------------------------------------------------

MAN_PAGES := $(sort $(wildcard man/*.[1-8]))
# A page of its name for each function, all of them the one that has it in its NAME.
MAN3_LINKS := $(shell sed -n 's/^\.Nm \(shc_[a-z_]*\).*/\1.3/p' man/libshcount.3)
EXAMPLES := $(sort $(wildcard examples/*.c examples/*.py examples/*.sh))
COMPLETIONS_BASH := $(sort $(wildcard completions/*.bash))
COMPLETIONS_FISH := $(sort $(wildcard completions/*.fish))
COMPLETIONS_ZSH := $(sort $(wildcard completions/_*))
BASH_DIR := $(DATADIR)/bash-completion/completions
FISH_DIR := $(DATADIR)/fish/vendor_completions.d
ZSH_DIR := $(DATADIR)/zsh/site-functions
CONFS := shcounterd.conf shcount-gateway.conf

DIRS := PREFIX BINDIR LIBDIR INCLUDEDIR SYSCONFDIR
fill_in = sed -e 's|@VERSION@|$(VERSION)|g' $(foreach d,$(DIRS),-e 's|@$d@|$($d)|g') $< > $@

# Where things will go, so that another PREFIX makes these files anew (and only these).
$(BUILD)/dirs: force
	@mkdir -p $(@D)
	@echo '$(foreach d,VERSION $(DIRS),$($d))' | cmp -s - $@ || echo '$(foreach d,VERSION $(DIRS),$($d))' > $@

$(BUILD)/%.service: systemd/%.service.in $(BUILD)/dirs
	$(call say,GEN,$@)
	$(Q)$(fill_in)

$(BUILD)/%.pc: lib/%.pc.in $(BUILD)/dirs
	$(call say,GEN,$@)
	$(Q)$(fill_in)

put = $(INSTALL) -D -m $(1) $(2) '$(DESTDIR)$(3)'
drop = rm -f $(foreach f,$(1),'$(DESTDIR)$f')

.PHONY: install uninstall
install: all
	$(call put,755,$(BUILD)/shcounterd,$(BINDIR)/shcounterd)
	$(call put,755,$(BUILD)/shcount,$(BINDIR)/shcount)
	$(call put,755,$(BUILD)/shcount-gateway,$(BINDIR)/shcount-gateway)
	$(call put,644,$(BUILD)/libshcount.a,$(LIBDIR)/libshcount.a)
	$(call put,644,$(BUILD)/libshcount.so.0,$(LIBDIR)/libshcount.so.0)
	ln -sf libshcount.so.0 '$(DESTDIR)$(LIBDIR)/libshcount.so'
	$(call put,644,lib/shcount.h,$(INCLUDEDIR)/shcount.h)
	$(call put,644,$(BUILD)/shcount.pc,$(LIBDIR)/pkgconfig/shcount.pc)
	$(call put,644,$(BUILD)/shcounterd.service,$(UNITDIR)/shcounterd.service)
	$(call put,644,$(BUILD)/shcount-gateway.service,$(UNITDIR)/shcount-gateway.service)
	$(call put,644,systemd/shcounterd.socket,$(UNITDIR)/shcounterd.socket)
	$(call put,644,$(BUILD)/shcounterd.user.service,$(USERUNITDIR)/shcounterd.service)
	$(call put,644,systemd/shcounterd.user.socket,$(USERUNITDIR)/shcounterd.socket)
	$(call put,644,systemd/shcounterd.sysusers.conf,$(SYSUSERSDIR)/shcounterd.conf)
	@# What an operator has written stays.
	$(foreach f,$(CONFS),{ test -e '$(DESTDIR)$(SYSCONFDIR)/$f' || $(call put,644,systemd/$f,$(SYSCONFDIR)/$f); } &&) :
	$(foreach f,$(MAN_PAGES),$(call put,644,$f,$(MANDIR)/man$(subst .,,$(suffix $f))/$(notdir $f)) &&) :
	for link in $(MAN3_LINKS); do ln -sf libshcount.3 '$(DESTDIR)$(MANDIR)/man3/'$$link || exit; done
	$(foreach f,$(EXAMPLES),$(call put,644,$f,$(DOCDIR)/$f) &&) :
	$(foreach f,$(COMPLETIONS_BASH),$(call put,644,$f,$(BASH_DIR)/$(basename $(notdir $f))) &&) :
	$(foreach f,$(COMPLETIONS_FISH),$(call put,644,$f,$(FISH_DIR)/$(notdir $f)) &&) :
	$(foreach f,$(COMPLETIONS_ZSH),$(call put,644,$f,$(ZSH_DIR)/$(notdir $f)) &&) :

uninstall:
	$(call drop,$(addprefix $(BINDIR)/,shcounterd shcount shcount-gateway))
	$(call drop,$(addprefix $(LIBDIR)/,libshcount.a libshcount.so libshcount.so.0 pkgconfig/shcount.pc))
	$(call drop,$(INCLUDEDIR)/shcount.h $(SYSUSERSDIR)/shcounterd.conf)
	$(call drop,$(addprefix $(UNITDIR)/,shcounterd.service shcounterd.socket shcount-gateway.service))
	$(call drop,$(addprefix $(USERUNITDIR)/,shcounterd.service shcounterd.socket))
	$(call drop,$(foreach f,$(MAN_PAGES),$(MANDIR)/man$(subst .,,$(suffix $f))/$(notdir $f)))
	$(call drop,$(addprefix $(MANDIR)/man3/,$(MAN3_LINKS)) $(addprefix $(DOCDIR)/,$(EXAMPLES)))
	$(call drop,$(foreach f,$(COMPLETIONS_BASH),$(BASH_DIR)/$(basename $(notdir $f))))
	$(call drop,$(addprefix $(FISH_DIR)/,$(notdir $(COMPLETIONS_FISH))))
	$(call drop,$(addprefix $(ZSH_DIR)/,$(notdir $(COMPLETIONS_ZSH))))
	@# A configuration that was never touched goes too.
	$(foreach f,$(CONFS),{ ! cmp -s systemd/$f '$(DESTDIR)$(SYSCONFDIR)/$f' || $(call drop,$(SYSCONFDIR)/$f); } &&) :

# ---- packages ---------------------------------------------------------------------------------------------------

.PHONY: dist deb test-packages deb-deps test-packages-deps
dist: deps
	@scripts/dist.sh $(BUILD)/dist
deb: deb-deps
	@scripts/deb.sh $(BUILD)/deb
test-packages: test-packages-deps
	$(run_tests) packages
deb-deps:
	@scripts/deps.sh build packages
test-packages-deps:
	@scripts/deps.sh build packages test-packages

# A new file that is in no list would show as a riddle of the linker.
UNLISTED := $(filter-out $(LIB) $(LIB_SERVICE) $(DAEMON) $(CMD) $(GATEWAY),$(wildcard lib/*.c daemon/*.c cmd/*.c gateway/*.c))
$(foreach f,$(UNLISTED),$(warning $f is not in mk/sources.mk))
.PHONY: check-sources
check-sources:
	@test -z '$(UNLISTED)'

# ---- the rest ---------------------------------------------------------------------------------------------------

.PHONY: clean help
clean:
	rm -rf $(BUILD) build-*

help:
	@echo 'make             build shcounterd, shcount, shcount-gateway and libshcount into $(BUILD)/'
	@echo 'make demo        install what building needs, build, and show it at work on the log of this machine'
	@echo 'make test        install what tests need, build, run every test; the last line has the counts'
	@echo 'make install     PREFIX=$(PREFIX), below DESTDIR; programs, library, manuals, systemd units'
	@echo 'make uninstall   the reverse; state and a changed configuration stay'
	@echo 'make dist        the source as a tarball, the same bytes for each commit, with all that building needs from elsewhere: $(BUILD)/dist/'
	@echo 'make deb         Debian packages of that: $(BUILD)/deb/; make test-packages builds them without a network in a clean Debian and'
	@echo '                 installs, upgrades, removes and purges them in another: some minutes, needs root'
	@echo 'make bench       measure it beside redis-server, memcached, redis-cli, mawk and others: a quarter of an hour; a table'
	@echo '                 and a picture in $(REPORT)/ (REPORT=docs: where the README shows them); SIZE=long: more of it'
	@echo 'make bench-quick the same in about a minute, with more noise; bench/run --help has the parts'
	@echo 'make soak        loops of kill, power loss and restart: SOAK_ROUNDS=$(SOAK_ROUNDS), or SOAK_SECONDS=7200 for two hours'
	@echo 'make unit | sim | crash | system | lint | fuzz    one part of the tests; FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo 'make deps | test-deps | bench-deps    install the packages that building, testing or measuring needs: Debian'"'"'s, and for the'
	@echo '                 live page npm'"'"'s, into build/npm'
	@echo 'make clean'
	@echo
	@echo 'Variables: CC CFLAGS LDFLAGS  BUILD=dir  V=1 (show commands)  WERROR=1  SAN=address|undefined|thread'

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/*/*/*/*.d)
