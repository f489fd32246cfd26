# weave: programs, tests and tools.  Not recursive.  One build tree per variant:
#   make                     release build, programs in bin/
#   make VARIANT=asan ...    clang, address and undefined-behaviour sanitizers, ready for libFuzzer
#   make VARIANT=tsan ...    gcc, thread sanitizer
#   make VARIANT=clang ...   clang, release flags
#   make VARIANT=sim ...     gcc, optimized across files, for the simulator
# BUILD chooses another build folder, so that several people can build one checkout.

VARIANT ?= release
BUILD ?= build
O := $(BUILD)/$(VARIANT)
BIN := $(if $(filter release,$(VARIANT)),bin,$(O)/bin)
VERSION := 3.0.0
# V=1 shows the whole commands.
Q := $(if $(V),,@)

CC := gcc
OPTIMIZE := -O2
DEBUG := -g
SAN :=
# One build for three things, as each costs minutes: the other compiler's opinion, the sanitizers,
# and what the fuzzers steer by.
ifeq ($(VARIANT),asan)
CC := clang
SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
OPTIMIZE := -O1
DEBUG := -g1
# Two thirds of this build's time went into optimizing what is never waited for; and the default
# linker takes twice as long over what the sanitizers add.
UNHURRIED := tests/unit plugin net cmd dns
LINK := -fuse-ld=lld
endif
ifeq ($(VARIANT),tsan)
SAN := -fsanitize=thread
OPTIMIZE := -O1
DEBUG := -g1
endif
ifeq ($(VARIANT),sim)
# A thousand runs of fifty routers: every tenth of their time counts.
OPTIMIZE := -O3 -flto=auto -fno-fat-lto-objects
DEBUG := -g1
AR := gcc-ar
endif
ifeq ($(VARIANT),clang)
CC := clang
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wwrite-strings -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef \
	-Wvla -Wno-gnu-zero-variadic-macro-arguments -Werror
CFLAGS = -std=gnu11 $(DEBUG) $(OPTIMIZE) -fno-strict-aliasing -fno-omit-frame-pointer \
	-fstack-protector-strong $(SAN) $(WARN)
CPPFLAGS := -D_GNU_SOURCE -DWEAVE_VERSION='"$(VERSION)"' -Iinclude -isystem $(O)/bpf -MMD -MP
LDFLAGS := $(SAN) $(LINK)
LIBS := -lbpf -lev -lpcap -lmnl -lsodium -lcap-ng -lseccomp -lmicrohttpd -ljansson -lnftables -lsqlite3 -lcurl -lresolv -lm
# LIBCRYPTO= (empty) builds without OpenSSL: libsodium does all ciphers, half as fast.
LIBCRYPTO ?= -lcrypto
# Only x86 has that one; IPSEC_MB= (empty) builds without it.
IPSEC_MB ?= $(if $(wildcard /usr/include/intel-ipsec-mb.h),-lIPSec_MB)
LIBS += $(LIBCRYPTO) $(IPSEC_MB)
CPPFLAGS += $(if $(LIBCRYPTO),,-DWEAVE_WITHOUT_LIBCRYPTO) $(if $(IPSEC_MB),,-DWEAVE_WITHOUT_IPSEC_MB)

FOLDERS := base gossip ipam router plugin net dns cmd
PROGRAMS := weaver weave weave-plugin
MAINS := cmd/weaver.c cmd/weave.c cmd/plugin.c
# weave (the CLI) speaks HTTP to the router and shares only the base with it.
LIBS_weave := -lcurl -ljansson -lresolv

sources = $(filter-out $(MAINS),$(sort $(wildcard $(1)/*.c)))
objects = $(patsubst %.c,$(O)/%.o,$(call sources,$(1)))
lib = $(if $(call sources,$(1)),$(O)/lib$(1).a)
# In link order: a folder's library stands before those it uses.
libs_of_cmd := cmd plugin dns ipam router gossip net base
libs_of_plugin := plugin dns ipam router gossip net base
libs_of_router := router gossip net base
libs_of_ipam := ipam gossip base
libs_of_dns := dns gossip base
libs_of_gossip := gossip base
libs_of_net := net base
libs_of_base := base
libs_of_sim := cmd ipam dns router gossip base
archives = $(foreach f,$(libs_of_$(1)),$(call lib,$(f)))

.PHONY: all
all: $(PROGRAMS:%=$(BIN)/%)

.SECONDARY:
$(UNHURRIED:%=$(O)/%/%.o): OPTIMIZE := -O0
$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(if $(V),,echo '  CC $(VARIANT) $<';) $(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define folder_library
ifneq ($$(call sources,$(1)),)
$$(O)/lib$(1).a: $$(call objects,$(1))
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endif
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_library,$(f))))

$(BIN)/weaver: $(O)/cmd/weaver.o $(call archives,cmd)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# The parts of cmd/ that the CLI is made of are named cli_*.c; it checks weaver's options too.
CLI_OBJECTS := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard cmd/cli_*.c)) cmd/options.c)
$(BIN)/weave: $(O)/cmd/weave.o $(CLI_OBJECTS) $(call lib,base)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_weave)

# What Docker talks to: the codec of its protocol, an HTTP server, and no router.
$(BIN)/weave-plugin: $(O)/cmd/plugin.o $(call archives,plugin)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcurl -lmicrohttpd -ljansson -lpthread

# --- kernel programs -----------------------------------------------------------------------
# One object of all, embedded into the router as a header that libbpf's tool makes.  Only the
# kernel's stable interface is used, so there is nothing to relocate for another kernel.
BPF_FLAGS := -target bpf -ffreestanding -std=gnu11 -O2 -g -mcpu=v3 -Wall -Wextra -Wshadow -Werror \
	-Iinclude -I/usr/include/$(shell gcc -print-multiarch) -MMD -MP
BPF_OBJECTS := $(patsubst bpf/%.c,$(O)/bpf/%.o,$(sort $(wildcard bpf/*.bpf.c)))

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(Q)$(if $(V),,echo '  BPF $<';) clang $(BPF_FLAGS) -c -o $@ $<

$(O)/bpf/fastdp.skel.h: $(BPF_OBJECTS)
	$(Q)bpftool gen object $(O)/bpf/fastdp.o $^
	$(Q)(echo '/* NOLINTBEGIN */'; bpftool gen skeleton $(O)/bpf/fastdp.o name fastdp_bpf; \
		echo '/* NOLINTEND */') >$@.tmp
	$(Q)mv $@.tmp $@

USE_BPF := router/fastdp_maps_io tests/unit/router/test_fastdp_bpf
$(USE_BPF:%=$(O)/%.o): $(O)/bpf/fastdp.skel.h

# --- tests ---------------------------------------------------------------------------------
# tests/unit/<folder>/test_<module>.c and tests/prop/<folder>/prop_<what>.c link the libraries
# that the folder may use, and nothing else.
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c tests/prop/*/prop_*.c))
UNIT_PROGRAMS := $(UNIT_SOURCES:%.c=$(O)/%)

define unit_program
$$(O)/$(1:%.c=%): $$(O)/$(1:%.c=%.o) $$(call archives,$(notdir $(patsubst %/,%,$(dir $(1)))))
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LIBS) -lcurl
endef
$(foreach t,$(UNIT_SOURCES),$(eval $(call unit_program,$(t))))

SIM_OBJECTS := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/sim/*.c)))
ifneq ($(SIM_OBJECTS),)
$(O)/simulate: $(SIM_OBJECTS) $(call archives,sim)
	$(Q)$(CC) $(LDFLAGS) $(OPTIMIZE) -o $@ $^ -lsodium $(LIBCRYPTO) $(IPSEC_MB) -lm
endif

FUZZ_PROGRAMS := $(patsubst %.c,$(O)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
$(O)/tests/fuzz/%: $(O)/tests/fuzz/%.o $(call archives,cmd)
	$(Q)$(CC) $(LDFLAGS) $(if $(filter asan,$(VARIANT)),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

# Benchmarks in C: make build/release/bench/probe
$(O)/bench/%: $(O)/bench/%.o $(call archives,cmd)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

MICRO_OBJECTS := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard bench/micro/*.c)))
$(O)/bench/micro/micro: $(MICRO_OBJECTS) $(call archives,cmd)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

BENCH_PROGRAMS := $(patsubst %.c,$(O)/%,$(sort $(wildcard bench/*.c))) $(O)/bench/micro/micro

.PHONY: programs-unit programs-fuzz programs-bench simulate
programs-bench: $(BENCH_PROGRAMS)
programs-unit: $(UNIT_PROGRAMS)
programs-fuzz: $(FUZZ_PROGRAMS)
simulate: $(O)/simulate

.PHONY: test test-unit test-net test-vm test-docker sim soak fuzz lint layers demo bench bench-full microbench
test:
	@python3 tests/run.py all
test-unit:
	@python3 tests/run.py unit
test-net: all
	@python3 tests/run.py net
test-vm: all
	@python3 tests/run.py vm
test-docker: all
	@python3 tests/run.py docker
sim:
	@python3 tests/run.py sim
soak:
	@python3 tests/run.py soak
fuzz:
	@python3 tests/run.py fuzz
lint:
	@sh tools/lint
layers: $(call archives,cmd)
	@sh tools/layers $(O)
demo: all
	@sh tools/demo-story
# BENCH="--modes ... --measures ..." for more; see docs/BENCHMARK.md.
bench: all
	@bench/run $(BENCH)
bench-full: all
	@bench/run --full $(BENCH)
microbench:
	@bench/microbench $(BENCH)

# A managed plugin: docker plugin create weave build/plugin
.PHONY: plugin
plugin: all
	@sh packaging/plugin/build $(BIN) $(BUILD)/plugin

.PHONY: install clean
PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 bin/weave bin/weaver bin/weave-plugin $(DESTDIR)$(PREFIX)/bin/
	install -m 644 docs/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
clean:
	rm -rf $(BUILD) bin

-include $(shell find $(O) -name '*.d' 2>/dev/null)
