# bulkhead. `make` builds into build/; see README.md for the two commands of a new user.

BUILD	?= build
ifeq ($(origin CC),default)
CC	= gcc
endif
PREFIX	?= /usr/local
LIBEXECDIR ?= $(PREFIX)/libexec/bulkhead
MANDIR	?= $(PREFIX)/share/man
T	?=
SECONDS	?= 60

PACKAGES = libbsd-overlay libseccomp openssl jansson libmicrohttpd msgpack libxxhash

CFLAGS	?= -O2 -g
WARN	= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	  -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wno-unused-parameter
HARDEN	= -fPIE -fstack-protector-strong -fcf-protection -fno-strict-aliasing -fno-common
FORTIFY	= -D_FORTIFY_SOURCE=2
LDHARD	= -pie -Wl,-z,relro,-z,now,-z,noexecstack
CPPFLAGS += -I. -D_GNU_SOURCE -DLIBEXECDIR='"$(LIBEXECDIR)"' \
	  $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIBS	= -Wl,--as-needed $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lev -lcrypt

# make SANITIZE=address,undefined BUILD=build/asan
ifdef SANITIZE
CFLAGS	= -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
FORTIFY	= -DSANITIZED
LDHARD	= -pie -Wl,--no-as-needed -lcrypt	# whose functions the sanitizer seems to have, but only wraps
endif
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(FORTIFY) $(WARN) $(HARDEN) -MMD -MP

LIBRARIES = common tls shm nats broker
PROGRAMS = config log auth signer worker system monitor
DIR_config = supervisor/config
DIR_log	= supervisor/log
DIR_auth = supervisor/auth
DIR_signer = supervisor/signer
DIR_worker = worker
DIR_system = admin/system
DIR_monitor = admin/monitor

# those of another system are only compiled, by make lint
sources	= $(filter-out common/openbsd_%,$(wildcard $(1)/*.c))
objects	= $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
archive	= $(BUILD)/lib/lib$(subst /,-,$(1)).a
# most dependent first
ARCHIVES = $(foreach l,broker nats shm tls common,$(call archive,$(l)))

BIN	= $(BUILD)/bin/bulkhead $(BUILD)/bin/nats-server $(BUILD)/bin/bulkheadctl $(BUILD)/bin/mkpasswd
LIBEXEC	= $(PROGRAMS:%=$(BUILD)/libexec/bulkhead/bulkhead-%)

all: $(BIN) $(LIBEXEC)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# An archive of a folder without its main.c, for programs and unit tests alike.
define ARCHIVE_RULE
$(call archive,$(1)): $(filter-out %/main.o,$(call objects,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(AR) rcs $$@ $$^
endef
FOLDERS	= $(LIBRARIES) supervisor admin/ctl $(foreach p,$(PROGRAMS),$(DIR_$(p)))
$(foreach d,$(FOLDERS),$(eval $(call ARCHIVE_RULE,$(d))))

define PROGRAM_RULE
$(BUILD)/libexec/bulkhead/bulkhead-$(1): $(BUILD)/obj/$(DIR_$(1))/main.o $(call archive,$(DIR_$(1))) $(ARCHIVES)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $$@ $$^ $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM_RULE,$(p))))

$(BUILD)/bin/bulkhead: $(BUILD)/obj/supervisor/main.o $(call archive,supervisor) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/bin/nats-server: $(BUILD)/bin/bulkhead
	ln -sf bulkhead $@

$(BUILD)/bin/bulkheadctl: $(BUILD)/obj/admin/ctl/main.o $(call archive,admin/ctl) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/bin/mkpasswd: $(BUILD)/bin/bulkheadctl
	ln -sf bulkheadctl $@

# The probe build: the same objects, with what tries forbidden things from inside (tests/probe/README.md).
PROBE	= $(BUILD)/probe/bin/bulkhead $(PROGRAMS:%=$(BUILD)/probe/libexec/bulkhead/bulkhead-%)
probe_object = $(1:%=$(BUILD)/obj/tests/probe/%.o)
wrapped	= $(1:%=-Wl,--wrap=%)
PROBE_LAYERS = seccomp_load unshare mount chroot setresuid setresgid setrlimit prctl fcntl syscall
PROBE_CHILD = $(PROBE_LAYERS) child_ready sigaction segment_map_own segment_map_peer
MAD_worker = mad

define PROBE_RULE
$(BUILD)/probe/libexec/bulkhead/bulkhead-$(1): $(BUILD)/obj/$(DIR_$(1))/main.o $(call probe_object,probe attempts layers $(MAD_$(1))) $(call archive,$(DIR_$(1))) $(ARCHIVES)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) $(call wrapped,$(PROBE_CHILD)) -o $$@ $$^ $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROBE_RULE,$(p))))

$(BUILD)/probe/bin/bulkhead: $(BUILD)/obj/supervisor/main.o $(call probe_object,supervisor layers) $(call archive,supervisor) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) $(call wrapped,$(PROBE_LAYERS) execveat) -o $@ $^ $(LIBS)

# Unit tests: tests/unit/FOLDER/NAME.c, linked with everything that has no main().
UNIT	= $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*/*.c))
UNIT_ARCHIVES = $(foreach d,worker supervisor supervisor/config supervisor/log supervisor/auth supervisor/signer admin/system admin/monitor admin/ctl,$(call archive,$(d))) $(ARCHIVES)
CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null)

$(BUILD)/unit/shm/%: $(BUILD)/obj/tests/unit/shm/%.o $(call archive,shm) $(call archive,common)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)
$(BUILD)/unit/common/%: $(BUILD)/obj/tests/unit/common/%.o $(call archive,common)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)
$(BUILD)/unit/nats/%: $(BUILD)/obj/tests/unit/nats/%.o $(call archive,nats) $(call archive,common)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)
$(BUILD)/unit/tls/%: $(BUILD)/obj/tests/unit/tls/%.o $(call archive,supervisor/signer) $(call archive,tls) $(call archive,common)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)
$(BUILD)/unit/broker/%: $(BUILD)/obj/tests/unit/broker/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS) $(CHECK_LIBS)

# Fuzz targets: tests/fuzz/NAME.c, all sources compiled by clang with libFuzzer, ASan and UBSan.
FUZZ_CC	?= clang
FUZZ_FLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	  -fno-sanitize-recover=all -DSANITIZED -Wno-unused-parameter -MMD -MP
FUZZERS	= $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*.c))
FUZZ_OBJECTS = $(patsubst %.c,$(BUILD)/fuzz-obj/%.o,$(filter-out %/main.c,$(foreach d,$(FOLDERS),$(call sources,$(d)))))
FUZZ_ARCHIVE = $(BUILD)/fuzz-obj/libbulkhead.a

$(BUILD)/fuzz-obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) -c -o $@ $<
$(FUZZ_ARCHIVE): $(FUZZ_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/fuzz/%: $(BUILD)/fuzz-obj/tests/fuzz/%.o $(FUZZ_ARCHIVE)
	@mkdir -p $(@D)
	$(FUZZ_CC) -g -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIBS)

# Load generator and small benchmarks: tests/bench/NAME.c
BENCHES	= $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/obj/tests/bench/natsload.o: CPPFLAGS += -DWITH_TLS
$(BUILD)/bench/tls_bench: $(BUILD)/obj/tests/bench/tls_bench.o $(call archive,supervisor/signer) $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -pthread $(LDHARD) $(LDFLAGS) -o $@ $^ $(LIBS)

deps:
	sh contrib/deps.sh

JOBS	?= $(shell nproc)

run:
	$(MAKE) -j$(JOBS) all
	$(BUILD)/bin/bulkhead

unit: $(UNIT)
probe: $(PROBE)
fuzzers: $(FUZZERS)
benches: $(BENCHES)

# One test: make check T=ring
check:
	$(MAKE) -j$(JOBS) all unit probe $$(command -v clang >/dev/null && echo fuzzers)
	python3 tests/run.py $(BUILD) $(if $(T),--only $(T) unit integration interop fault)

check-long:
	$(MAKE) -j$(JOBS) all unit probe benches $$(command -v clang >/dev/null && echo fuzzers)
	python3 tests/run.py $(BUILD) --long --seconds 300

asan:
	$(MAKE) -j$(JOBS) SANITIZE=address,undefined BUILD=build/asan all unit
	python3 tests/run.py build/asan unit integration fault

fuzz:
	$(MAKE) -j$(JOBS) fuzzers
	python3 tests/run.py $(BUILD) fuzz --seconds $(SECONDS) $(if $(T),--only $(T))

bench:
	$(MAKE) -j$(JOBS) all benches
	python3 tests/bench/compare.py $(BUILD) $(T)

lint:
	sh contrib/lint.sh

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

# Where another nats-server is installed, it is not ours to replace or remove.
NATS_SERVER = $(DESTDIR)$(PREFIX)/bin/nats-server
LINK_IS_OURS = [ "$$(readlink $(NATS_SERVER))" = bulkhead ]

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8
	install $(BUILD)/bin/bulkhead $(BUILD)/bin/bulkheadctl $(DESTDIR)$(PREFIX)/bin/
	ln -sf bulkheadctl $(DESTDIR)$(PREFIX)/bin/mkpasswd
	@if [ ! -e $(NATS_SERVER) ] && [ ! -L $(NATS_SERVER) ] || $(LINK_IS_OURS); then \
		echo ln -sf bulkhead $(NATS_SERVER); ln -sf bulkhead $(NATS_SERVER); \
	else echo "$(NATS_SERVER) is another one and stays"; fi
	install $(LIBEXEC) $(DESTDIR)$(LIBEXECDIR)/
	for page in man/*; do install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/; done

uninstall:
	if $(LINK_IS_OURS); then rm $(NATS_SERVER); fi
	for name in bulkhead bulkheadctl mkpasswd; do rm -f $(DESTDIR)$(PREFIX)/bin/$$name; done
	rm -f $(LIBEXEC:$(BUILD)/libexec/bulkhead/%=$(DESTDIR)$(LIBEXECDIR)/%)
	-rmdir $(DESTDIR)$(LIBEXECDIR)
	for page in man/*; do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done

# What make deps fetched stays.
clean:
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +

# `make -j deps run`: nothing is built before deps is done.
ifneq ($(filter deps,$(MAKECMDGOALS)),)
run check check-long bench fuzz asan: | deps
$(foreach d,$(FOLDERS),$(call objects,$(d))): | deps
endif

.PHONY: all deps run unit probe fuzzers benches check check-long asan fuzz bench lint format install uninstall clean
.SECONDARY:
-include $(shell find $(BUILD)/obj $(BUILD)/fuzz-obj -name '*.d' 2>/dev/null)
