# SPDX-License-Identifier: ISC
# modelgate: the only makefile. `make help` lists the targets.

VERSION = 0.1

# Where things go; all can be overridden, DESTDIR goes in front.
PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
BINDIR      ?= $(PREFIX)/bin
LIBEXECDIR  ?= $(PREFIX)/libexec/modelgate
SYSCONFDIR  ?= /etc
CONFDIR     ?= $(SYSCONFDIR)/modelgate
MULTIARCH   := $(shell $(CC) -print-multiarch 2>/dev/null)
PAMDIR      ?= /lib/$(MULTIARCH)/security
PAMCONFDIR  ?= $(SYSCONFDIR)/pam.d
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/modelgate
COMPDIR     ?= $(PREFIX)/share/bash-completion/completions
UNITDIR     ?= /lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d

# How things are built. SAN=1: address and undefined-behaviour sanitizers.
# COV=1: coverage. FUZZ=1: for libFuzzer. Each has its own folder below build/.
CC       ?= cc
V        ?= 0
WERROR   ?= 0
SAN      ?= 0
COV      ?= 0
FUZZ     ?= 0
VARIANT  := $(if $(filter 1,$(SAN)),-san)$(if $(filter 1,$(COV)),-cov)$(if $(filter 1,$(FUZZ)),-fuzz)
CCNAME   := $(notdir $(firstword $(CC)))
B        := build/$(CCNAME)$(VARIANT)

WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wundef -Wswitch-enum \
	-Wimplicit-fallthrough -Wnull-dereference
# Text for people is cut to its buffer on purpose.
WARN += $(if $(findstring clang,$(CCNAME)),,-Wno-format-truncation)
ifeq ($(WERROR),1)
WARN += -Werror
endif

ifneq ($(filter 1,$(SAN) $(COV) $(FUZZ)),)
OPT  := -O1 -g -fno-omit-frame-pointer
HARD :=
else
OPT  := -O2 -g
HARD := -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection
endif
ifeq ($(SAN),1)
HARD += -fsanitize=address,undefined -fno-sanitize-recover=all
LSAN := -fsanitize=address,undefined
endif
ifeq ($(FUZZ),1)
HARD += -fsanitize=fuzzer-no-link
endif
ifeq ($(COV),1)
HARD += --coverage
LSAN += --coverage
endif

INC      := -Ipam_module -Iagent -Iagent/lib -Iagent/sys -Iagent/policy -Iagent/ledger
DEFS     := -D_GNU_SOURCE -DMG_VERSION='"$(VERSION)"' \
	-DMG_LIBEXECDIR='"$(LIBEXECDIR)"' -DMG_CONFDIR='"$(CONFDIR)"'
CFLAGS   ?=
ALL_CFLAGS = -std=c11 $(DEFS) $(OPT) $(HARD) $(WARN) $(INC) \
	-MMD -MP $(CFLAGS)
LDHARD   := -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs -Wl,--as-needed
LDFLAGS  ?=
PIE      = -pie
ALL_LDFLAGS = $(LSAN) $(LDHARD) $(PIE) $(LDFLAGS)

comma := ,

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-6s %s\n'
endif

.DEFAULT_GOAL := all

# ---- what is built ----------------------------------------------------------

src_lib    := $(wildcard agent/lib/*.c)
src_sys    := $(wildcard agent/sys/*.c)
src_policy := $(wildcard agent/policy/*.c)
src_ledger := $(wildcard agent/ledger/*.c)
src_verify := $(wildcard agent/verify/*.c)
src_hub    := $(wildcard agent/hub/*.c)
src_cli    := $(wildcard agent/cli/*.c)
src_pam    := $(wildcard pam_module/*.c)

src_all := $(wildcard agent/*.c agent/*/*.c agent/*/*/*.c pam_module/*.c)

obj = $(patsubst %.c,$(B)/o/%.o,$(1))
pic = $(patsubst %.c,$(B)/pic/%.o,$(1))

# Archives, so that a binary holds only what it uses.
LIBMG  := $(B)/libmg.a
LIBSYS := $(B)/libsys.a
LIBPOL := $(B)/libpolicy.a
LIBLED := $(B)/libledger.a
LIBVER := $(B)/libverify.a
LIBHUB := $(B)/libhub.a
LIBPIC := $(B)/libmg_pic.a

$(LIBMG): $(call obj,$(src_lib))
$(LIBSYS): $(call obj,$(src_sys))
$(LIBPOL): $(call obj,$(src_policy))
$(LIBLED): $(call obj,$(src_ledger))
$(LIBVER): $(call obj,$(src_verify))
$(LIBHUB): $(call obj,$(filter-out %/hub.c %/conn.c,$(src_hub)))
$(LIBPIC): $(call pic,$(src_lib))

# One line a binary: name, sources, archives, libraries, how to link. Which of them run as
# root, and which meet the network, is in agent/PRIVSEP.md.
define binary
BINARIES += $(B)/$(1)
$(B)/$(1): $(call obj,$(2)) $(3)
$(B)/$(1): LIBS = $(4)
$(B)/$(1): PIE = $(or $(5),-pie)
endef
# The hot path links nothing at run time: loading shared libraries took a
# tenth of a whole `modelgate run`.
STATIC   := $(if $(LSAN),-pie,-static-pie)
lib      := $(LIBMG)
sys      := $(LIBSYS) $(LIBMG)
monitor  := $(LIBPOL) $(LIBLED) $(LIBSYS) $(LIBMG)

$(eval $(call binary,modelgated,agent/proc_monitor.c $(wildcard agent/mon_*.c),$(monitor),-linih -lcrypto))
$(eval $(call binary,mg-front,agent/proc_front.c,$(sys),-lseccomp,$(STATIC)))
$(eval $(call binary,mg-ident,agent/proc_ident.c,$(sys),-lseccomp))
$(eval $(call binary,mg-audit,agent/proc_audit.c,$(sys),-laudit -lseccomp))
$(eval $(call binary,mg-auth,agent/proc_auth.c,$(sys),-lpam -loath -lcrypto -lseccomp))
$(eval $(call binary,mg-run,agent/proc_run.c,$(sys),,$(STATIC)))
$(eval $(call binary,mg-verify,agent/proc_verify.c,$(LIBVER) $(sys),-ljansson -lcrypto -lseccomp -lpthread -lm))
$(eval $(call binary,mg-store,agent/proc_store.c,$(LIBVER) $(sys),-lseccomp))
$(eval $(call binary,mg-query,agent/proc_query.c,$(sys),-lzstd -lseccomp))
$(eval $(call binary,mg-keep,agent/proc_keep.c,$(LIBLED) $(sys),-lzstd -lcrypto -lseccomp))
$(eval $(call binary,mg-probe,agent/proc_probe.c,$(sys),-lseccomp))
$(eval $(call binary,mg-link,agent/proc_link.c,$(sys),-lssh -lseccomp))
$(eval $(call binary,modelgate-hub,agent/hub/hub.c $(wildcard agent/hub/hub_*.c),$(LIBLED) $(sys),-linih -lcrypto -lseccomp))
$(eval $(call binary,mg-hub-conn,agent/hub/conn.c $(wildcard agent/hub/conn_*.c),$(sys),-lssh -lcrypto -lseccomp))
$(eval $(call binary,modelgate,agent/cli/main.c $(wildcard agent/cli/cmd_*.c),$(lib),,$(STATIC)))
$(eval $(call binary,modelgate-policy,$(wildcard agent/cli/policy/*.c),$(LIBPOL) $(lib),-linih -lcrypto))
$(eval $(call binary,modelgate-doctor,$(wildcard agent/cli/doctor/*.c),$(LIBPOL) $(sys),-linih -lcrypto -laudit))
$(eval $(call binary,modelgate-enroll,$(wildcard agent/cli/enroll/*.c),$(lib),-lqrencode))
$(eval $(call binary,modelgate-tokens,agent/cli/tokens/main.c agent/cli/enroll/enroll_tty.c,$(lib),-lcrypto))
$(eval $(call binary,modelgate-ledger,$(wildcard agent/cli/ledger/*.c),$(LIBLED) $(LIBVER) $(lib),-linih -lzstd -lcrypto))
$(eval $(call binary,modelgate-artifact,$(wildcard agent/cli/artifact/*.c),$(LIBVER) $(lib),-ljansson -lcrypto -lpthread -lm))

$(BINARIES):
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -fPIE $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

%.a:
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/o/%.o: %.c
	$(say) CC $<
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIE -c -o $@ $<

$(B)/pic/%.o: %.c
	$(say) CC $<
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

# The two PAM modules: pam_modelgate.so asks the agent and links libpam alone;
# pam_modelgate_totp.so is the second factor, used by mg-auth only.
MODULES := $(B)/pam_modelgate.so $(B)/pam_modelgate_totp.so
$(B)/pam_modelgate.so: $(call pic,$(filter-out %_totp.c,$(src_pam))) $(LIBPIC)
$(B)/pam_modelgate.so: LIBS = -lpam
$(B)/pam_modelgate_totp.so: $(call pic,$(filter %_totp.c,$(src_pam))) $(LIBPIC)
$(B)/pam_modelgate_totp.so: LIBS = -lpam -loath -lcrypto
$(MODULES): $(B)/%.so: pam_module/%.map
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -shared $(LSAN) $(LDHARD) -Wl,--version-script=pam_module/$*.map -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.PHONY: all
all: $(BINARIES) $(MODULES) ## build everything below build/

# ---- tests ------------------------------------------------------------------

UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
$(UNIT): $(B)/unit/%: $(B)/o/tests/unit/%.o $(LIBHUB) $(LIBVER) $(monitor)
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIE $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka -linih -ljansson -lzstd -lcrypto -lssh -lseccomp -lpam -loath -lqrencode -lm

# Whose system calls fail in turn; clang's sanitizers keep their own names.
FAULTY := openat __openat_2 open write pwrite copy_file_range fsync fdatasync \
	syncfs ftruncate renameat unlinkat mkdirat fchmod close read pread \
	__pread_chk fstat flock
FAULTS := $(filter %/test_fault_ledger %/test_fault_totp %/test_fault_hub,$(UNIT))
$(FAULTS): $(call obj,tests/unit/fault.c)
$(FAULTS): ALL_LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(FAULTY))

# Whose every request fails in turn, in this process: starve.c has the names.
STARVED := $(filter %/test_starve_state %/test_starve_ledger %/test_starve_hub %/test_starve_oms %/test_starve_seal %/test_starve_sshsig,$(UNIT))
$(STARVED): $(call obj,tests/unit/starve.c)
$(STARVED): ALL_LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(shell sed -nE '/^WRAP./{/,/!N;s/^WRAP.[[:space:]]*[^,]+, ([A-Za-z0-9_]+).*/\1/p}' tests/unit/starve.c))

# Tests of a built program start the one beside them.
$(B)/unit/test_verify_process: | $(B)/mg-verify
$(B)/unit/test_flaws: | $(B)/modelgate-ledger

JOBS ?= $(shell nproc)

$(B)/unit/test_enroll_qr: $(call obj,agent/cli/enroll/enroll_qr.c)
$(filter %/test_pam_verdict %/test_pam_args %/test_pam_console %/test_pam_ask,$(UNIT)): $(call obj,$(filter-out %_totp.c %/pam_modelgate.c %/pam_bug.c,$(src_pam)))

.PHONY: unit
unit: $(UNIT) ## build and run the unit tests
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --merge -e '' $(UNIT)

# What tests/alloc/run preloads: memory that is out at one request.
$(B)/alloc/alloc.so: tests/alloc/alloc.c
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) -std=c11 $(DEFS) $(OPT) $(WARN) -fPIC -shared -o $@ $<
.PHONY: check-alloc check-fault
check-alloc: $(UNIT) $(B)/alloc/alloc.so ## the unit tests, every allocation failing in turn: an hour of CPU; MAX=n of each test function
	$(Q)B=$(B) tests/alloc/run $(if $(MAX),-n $(MAX)) $(NAME)
check-fault: $(FAULTS) ## every system call of the durable paths failing in every way
	$(Q)FAULTS=all CMOCKA_MESSAGE_OUTPUT=TAP prove --merge -v -e '' $(FAULTS)

# What tests/pam/*.bats play with: an application, an agent, a monitor.
PAMTESTS := $(patsubst tests/pam/%.c,$(B)/pam/%,$(wildcard tests/pam/*.c))
$(PAMTESTS): $(B)/pam/%: $(B)/o/tests/pam/%.o $(sys)
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIE $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lpam -loath -lcrypto
$(B)/pam/pam_odd.so: $(call pic,tests/pam/mod/pam_odd.c)
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIC -shared $(LSAN) -o $@ $^ -lpam
PAMTESTS += $(B)/pam/pam_odd.so
.PHONY: check-pam
check-pam: $(PAMTESTS) $(MODULES) $(B)/mg-auth $(B)/modelgate-enroll ## the PAM modules and mg-auth alone
	$(Q)B=$(B) prove --merge tests/pam/*.bats

# What tests/system/swap.bats attacks with.
ATTACKS := $(patsubst tests/attack/%.c,$(B)/attack/%,$(wildcard tests/attack/*.c))
$(ATTACKS): $(B)/attack/%: $(B)/o/tests/attack/%.o
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIE $(ALL_LDFLAGS) -o $@ $^
.PHONY: attack
attack: $(ATTACKS)

# What tests/system/*.bats put into a sandbox's programs: clocks that are
# set, a name service that hangs.
SHIMS := $(patsubst tests/system/shim/%.c,$(B)/shim/%.so,$(wildcard tests/system/shim/*.c))
$(SHIMS): $(B)/shim/%.so: tests/system/shim/%.c
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) -std=c11 $(DEFS) $(OPT) $(WARN) -fPIC -shared -o $@ $<
.PHONY: shims
shims: $(SHIMS)

# Every decoder's fuzz target, linked with the real objects.
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(FUZZERS): $(B)/fuzz/%: $(B)/o/tests/fuzz/%.o $(LIBHUB) $(LIBVER) $(monitor)
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) -linih -ljansson -lzstd -lcrypto -lssh -lpam -loath -lm

fuzz_make = $(MAKE) --no-print-directory CC=clang SAN=1 COV=0 FUZZ=1 B=build/clang-san-fuzz
TIME ?= 60
.PHONY: fuzz fuzz-replay fuzz-build fuzzers
fuzzers: $(FUZZERS)
fuzz-build:
	+$(Q)$(fuzz_make) fuzzers
fuzz: fuzz-build ## fuzz every decoder for TIME=60 seconds; NAME=x: one
	scripts/fuzz run build/clang-san-fuzz/fuzz $(TIME) $(NAME)
fuzz-replay: fuzz-build ## replay all corpora
	scripts/fuzz replay build/clang-san-fuzz/fuzz

# What the policy tools print, and the examples of their man page.
GOLDEN := tests/golden/run tests/golden/man
.PHONY: golden
golden: $(B)/modelgate-policy ## what the policy tools print, as it was kept
	$(Q)B=$(B) prove -e '' $(GOLDEN)

# The policy engine against models of it; SEED=n repeats a run.
PROPERTY := $(filter %/test_policy_model %/test_policy_quorum_model,$(UNIT))
CASES ?= 1000000
.PHONY: property
property: $(PROPERTY) ## the policy engine against its models: CASES=1000000
	$(Q)CASES=$(CASES) CMOCKA_MESSAGE_OUTPUT=TAP prove --merge -v -e '' $(PROPERTY)

.PHONY: asan valgrind coverage
asan: ## the unit tests with address and undefined-behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory SAN=1 unit
# Not those whose system calls valgrind 3.19 lacks (pidfd_open, openat2) or
# that forbid themselves calls which it makes. `make asan` runs them all.
NOT_VALGRIND := $(addprefix %/test_,confine spawn_reap verify_approval \
	verify_digest verify_process verify_protocol keep)
valgrind: $(UNIT) ## the unit tests under valgrind
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP prove --merge -j$(JOBS) -e 'timeout 300 valgrind -q --leak-check=full --error-exitcode=99 --child-silent-after-fork=yes' $(filter-out $(NOT_VALGRIND),$(UNIT))
coverage: ## lines and branches that unit and golden tests reach
	$(Q)$(MAKE) --no-print-directory COV=1 unit golden
	scripts/coverage build/$(CCNAME)-cov

# What benchmarks start commands and clients with.
BENCHTOOLS := $(addprefix $(B)/bench/,spawn_bench pam_bench soak_client ledger_bench hub_clients)
$(B)/bench/ledger_bench: $(LIBLED)
$(BENCHTOOLS): $(B)/bench/%: $(B)/o/tests/bench/%.o $(sys)
	$(say) LINK $@
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fPIE $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIBLED) $(LIBMG) $(filter-out $(LIBLED),$(filter %.a,$^)) -lcrypto -lpthread -lpam -lssh

.PHONY: bench
bench: all $(BENCHTOOLS) ## as root: every benchmark beside its peers; NAME=x: one
	$(Q)B=$(B) scripts/bench $(NAME)
.PHONY: soak
soak: all $(BENCHTOOLS) ## as root: 20 minutes under load; TIME=seconds, PENDING=requests
	$(Q)B=$(B) tests/bench/soak $(if $(filter file,$(origin TIME)),1200,$(TIME)) $(PENDING)

.PHONY: lint analyze format objects
objects: $(call obj,$(src_all))
lint: all ## what a compiler does not say; scripts/lint NAME: one check
	$(Q)B=$(B) scripts/lint
analyze: ## gcc's, clang's and cppcheck's analyzers: 40 minutes of CPU
	$(Q)scripts/analyze gcc build/analyze $(src_all) -- -std=c11 $(DEFS) $(INC)
	$(Q)scripts/analyze tidy build/analyze $(src_all) -- -std=c11 $(DEFS) $(INC)
	$(Q)scripts/lint cppcheck
format: ## put every source into the one form
	clang-format -i $(shell git ls-files '*.c' '*.h')

# The longest come first, so that none of them is the last one left.
LONG := tests/pam/auth_slow.bats $(patsubst %,tests/system/%.bats,kill \
	root_shell run faults ops_download models badinput confine limits)
SYSTEM := $(LONG) $(filter-out $(LONG),$(wildcard tests/pam/*.bats tests/system/*.bats tests/attack/*.bats))
.PHONY: check check-all test check-docs
check-docs: all ## what the documents say is what the code does
	$(Q)B=$(B) prove tests/docs/agree
# A machine with nothing prepared has no compiler to ask for its paths yet:
# hence a second make behind install-deps.
check: ## as root: install what is needed, build, run every test
	scripts/install-deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) check-all
	$(Q)chown -R --reference=Makefile build
# Most of a test of the system is waiting: two at once for a processor.
AT_ONCE ?= $(shell expr 2 \* $(JOBS))
check-all: all $(UNIT) $(PAMTESTS) $(ATTACKS) $(SHIMS) $(B)/bench/ledger_bench fuzz-build
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP B=$(B) tests/prove $(AT_ONCE) $(SYSTEM) scripts/lint tests/docs/agree tests/fuzz/replay $(GOLDEN) $(UNIT)
test: all $(UNIT) fuzz-build ## without root: unit tests, lint, corpora
	$(Q)CMOCKA_MESSAGE_OUTPUT=TAP B=$(B) tests/prove $(JOBS) $(UNIT) scripts/lint tests/docs/agree tests/fuzz/replay $(GOLDEN)

.PHONY: demo
demo: ## as root: the whole story, in a sandbox, step by step
	scripts/install-deps build run demo
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)chown -R --reference=Makefile build
	scripts/demo

# ---- installing -------------------------------------------------------------

INST_SBIN    := modelgated modelgate-hub
INST_BIN     := modelgate
INST_LIBEXEC := $(filter-out $(INST_SBIN) $(INST_BIN),$(notdir $(BINARIES)))
INST_PAM     := $(notdir $(MODULES))
INST_OPS     := $(wildcard scripts/ops/[a-z]*[!0-9])
INST_NOTIFY  := $(wildcard config/notify/*)
INST_MAN     := $(sort $(foreach d,agent agent/* agent/*/* pam_module scripts/ops,\
	$(wildcard $(d)/*.[1578])))
INST_UNITS   := $(wildcard config/systemd/*.service config/systemd/*.timer)
# Written only where there is none yet: the site's from then on.
INST_CONF    := $(wildcard config/*.ini)
INST_EXAMPLE := $(wildcard config/*.ini config/policy.d/* config/operations.d/* \
	config/pam.d/* config/audit.rules)

# put MODE,FILE,TARGET: TARGET is replaced in one step (rename), so that
# nobody ever loads half a PAM module or starts half a daemon.
put = install -D -m $(1) $(2) '$(DESTDIR)$(3).new' && \
	mv -f '$(DESTDIR)$(3).new' '$(DESTDIR)$(3)'
built = $(filter $(notdir $(wildcard $(B)/*)),$(1))

define do_install
$(Q)$(foreach f,$(call built,$(INST_SBIN)),$(call put,755,$(B)/$(f),$(SBINDIR)/$(f)) &&) :
$(Q)$(foreach f,$(call built,$(INST_BIN)),$(call put,755,$(B)/$(f),$(BINDIR)/$(f)) &&) :
$(Q)$(foreach f,$(call built,$(INST_LIBEXEC)),$(call put,755,$(B)/$(f),$(LIBEXECDIR)/$(f)) &&) :
$(Q)$(foreach f,$(call built,$(INST_PAM)),$(call put,644,$(B)/$(f),$(PAMDIR)/$(f)) &&) :
$(Q)$(foreach f,$(INST_OPS),$(call put,755,$(f),$(LIBEXECDIR)/ops/$(notdir $(f))) &&) :
$(Q)$(foreach f,$(INST_NOTIFY),$(call put,755,$(f),$(LIBEXECDIR)/notify/$(notdir $(f))) &&) :
$(Q)$(foreach f,$(INST_UNITS),$(call put,644,$(f),$(UNITDIR)/$(notdir $(f))) &&) :
$(Q)sed -i 's|/usr/sbin/|$(SBINDIR)/|' $(foreach f,$(INST_UNITS),'$(DESTDIR)$(UNITDIR)/$(notdir $(f))')
$(Q)$(call put,644,config/sysusers.d/modelgate.conf,$(SYSUSERSDIR)/modelgate.conf)
$(Q)$(call put,644,config/tmpfiles.d/modelgate.conf,$(TMPFILESDIR)/modelgate.conf)
$(Q)$(call put,644,scripts/completion,$(COMPDIR)/modelgate)
$(Q)$(foreach f,$(INST_MAN),$(call put,644,$(f),$(call mandir,$(f))) && gzip -9nf '$(DESTDIR)$(call mandir,$(f))' &&) :
$(Q)install -d -m 755 $(foreach d,policy.d operations.d,'$(DESTDIR)$(CONFDIR)/$(d)')
$(Q)$(foreach f,$(INST_CONF),{ [ -e '$(DESTDIR)$(CONFDIR)/$(notdir $(f))' ] || \
	install -m 644 $(f) '$(DESTDIR)$(CONFDIR)/$(notdir $(f))'; } &&) :
$(Q)[ ! -e config/pam.d/modelgate ] || [ -e '$(DESTDIR)$(PAMCONFDIR)/modelgate' ] || \
	install -D -m 644 config/pam.d/modelgate '$(DESTDIR)$(PAMCONFDIR)/modelgate'
$(Q)$(foreach f,$(INST_EXAMPLE),$(call put,644,$(f),$(DOCDIR)/examples/$(f:config/%=%)) &&) :
$(Q)$(foreach f,$(wildcard README.md agent/PRIVSEP.md agent/PROTOCOL.md),$(call put,644,$(f),$(DOCDIR)/$(notdir $(f))) &&) :
endef
mandir = $(MANDIR)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))

.PHONY: install
install: all ## install below DESTDIR; configuration only where there is none
	$(do_install)

# For the sandbox: what is built now, and it builds nothing as root.
.PHONY: install-built
install-built:
	$(do_install)

# A stack that names a module that is not there refuses everybody.
.PHONY: uninstall
uninstall: ## remove what install put there, but not configuration and state
	$(Q)if grep -ls '^[^#]*pam_modelgate' '$(DESTDIR)$(PAMCONFDIR)'/* | grep -v '/modelgate$$'; then \
		echo 'these still name pam_modelgate.so: take it out of them first' >&2; exit 1; fi
	$(Q)rm -f $(foreach f,$(INST_SBIN),'$(DESTDIR)$(SBINDIR)/$(f)') \
		$(foreach f,$(INST_BIN),'$(DESTDIR)$(BINDIR)/$(f)') \
		$(foreach f,$(INST_PAM),'$(DESTDIR)$(PAMDIR)/$(f)') \
		$(foreach f,$(INST_UNITS),'$(DESTDIR)$(UNITDIR)/$(notdir $(f))') \
		$(foreach f,$(INST_MAN),'$(DESTDIR)$(call mandir,$(f)).gz') \
		'$(DESTDIR)$(SYSUSERSDIR)/modelgate.conf' \
		'$(DESTDIR)$(TMPFILESDIR)/modelgate.conf' '$(DESTDIR)$(COMPDIR)/modelgate'
	$(Q)rm -rf '$(DESTDIR)$(LIBEXECDIR)' '$(DESTDIR)$(DOCDIR)'

.PHONY: dist
dist: ## build/modelgate-VERSION.tar.gz of what is committed
	$(Q)mkdir -p build && git archive --prefix=modelgate-$(VERSION)/ -o build/modelgate-$(VERSION).tar.gz HEAD
	@echo build/modelgate-$(VERSION).tar.gz

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 16

-include $(shell find $(B) -name '*.d' 2>/dev/null)
