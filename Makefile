# SPDX-License-Identifier: GPL-2.0
#
# The front door; `make help` says what there is. What the kernel's build system
# reads is Kbuild.

# Kbuild includes this file where it finds no Kbuild; it must not.
ifeq ($(KERNELRELEASE),)

SCRIPTS := $(CURDIR)/scripts
RUN := $(SCRIPTS)/toolchain run
# Instructions a packet, in virtual machines that count them.
BENCH := $(RUN) cargo run --quiet --package nftrace-bench --bin bench --

# The prepared tree of the stock kernel, made when it is first asked for.
STOCK_KDIR = $(shell $(SCRIPTS)/prepare-kernel)/build

export KERNEL NFTRACE_CACHE NFTRACE_MIRROR NFTRACE_ACCEL NFTRACE_TOOLCHAIN V
# Sub-makes run in another root: they have their own idea of how many jobs.
unexport MAKEFLAGS MAKELEVEL MFLAGS

.DEFAULT_GOAL := all
.PHONY: all module command demo lab docs test test-debug check images fuzz mutants bench bench-native bench-check clean distclean help

all: module command

module:
	@$(SCRIPTS)/build-module $(KDIR)
	@echo 'nftrace: nftrace.ko is built' >&2

command:
	@echo 'nftrace: compiling the command (usually 2 to 4 min, the first time) ...' >&2
	@$(RUN) $(SCRIPTS)/build-command
	@echo 'nftrace: the command is ./nftrace' >&2

images: module
	@$(SCRIPTS)/guest-image >/dev/null

demo: images
	@echo 'nftrace: demo: compiling the command and the test program (usually 3 min, the first time) ...' >&2
	@$(RUN) cargo run --quiet --package nftrace-tests --bin demo

lab: images
	@echo 'nftrace: lab: compiling the command and the test program (usually 3 min, the first time) ...' >&2
	@$(RUN) cargo run --quiet --package nftrace-tests --bin lab -- $(SCENARIO) $(VARIANT)

docs: images
	@echo 'nftrace: docs: running every scenario in virtual machines (usually 5 to 10 min without KVM) ...' >&2
	@$(RUN) cargo run --quiet --package nftrace-tests --bin scenario-docs

check: module
	@$(RUN) $(SCRIPTS)/check "$(STOCK_KDIR)"

test: check images
	@echo 'nftrace: tests: in virtual machines (usually 40 to 60 min without KVM) ...' >&2
	@$(RUN) cargo test --workspace --no-fail-fast
	@$(BENCH) check

# Of cells and rates, those that have this in their names.
BENCH_ONLY = $(if $(ONLY),--only=$(ONLY))

bench: images command
	@echo 'nftrace: bench: measuring in virtual machines (usually $(if $(ONLY),an hour or less,2 h); they run without KVM) ...' >&2
	@NFTRACE_COMMAND=$(CURDIR)/nftrace $(BENCH) run $(BENCH_ONLY)
	@NFTRACE_COMMAND=$(CURDIR)/nftrace $(BENCH) --cpu max,-avx2 run vector $(BENCH_ONLY)
	@NFTRACE_COMMAND=$(CURDIR)/nftrace $(BENCH) life
	@$(MAKE) --no-print-directory bench-native

bench-native: images command
	@$(SCRIPTS)/debug-kernel plain >/dev/null
	@echo 'nftrace: bench-native: measuring time, in User Mode Linux (usually 40 min; nothing else should run) ...' >&2
	@NFTRACE_COMMAND=$(CURDIR)/nftrace $(BENCH) native all $(BENCH_ONLY)
	@$(BENCH) report

bench-check: images
	@echo 'nftrace: bench-check: measuring in a virtual machine (usually 2 min; it runs without KVM) ...' >&2
	@$(BENCH) check

test-debug: images
	@for kind in kasan lockdep; do $(SCRIPTS)/debug-kernel $$kind >/dev/null || exit; done
	@echo 'nftrace: test-debug: in kernels that look at themselves ...' >&2
	@$(RUN) cargo test --package nftrace-tests --features debug-kernels --test debug

ifeq ($(TARGET),module)
fuzz: images
	@$(SCRIPTS)/debug-kernel kasan >/dev/null
	@NFTRACE_PESTER=$(or $(SECONDS),60) $(RUN) cargo test --quiet --package nftrace-tests --features debug-kernels \
		--test debug -- --nocapture --exact pester::whatever_the_module_is_asked_it_breaks_no_rule_of_memory
else
fuzz:
	@$(RUN) $(CURDIR)/tests/fuzz/run $(or $(TARGET),all) $(or $(SECONDS),60)
endif

mutants:
	@$(RUN) $(CURDIR)/tests/fuzz/mutants $(or $(MUTANTS),1000000)

clean:
	@rm -rf target tests/fuzz/target nftrace
	@git clean -fdXq -- '*.o' '*.ko' '*.mod' '*.mod.c' '*.cmd' '*.rmeta' '*.symvers' '*.order' 'bindings/generated.rs'

distclean: clean
	@$(SCRIPTS)/toolchain remove

help:
	@echo 'Main:'
	@echo '  make demo       watch a request go through a published port into a container and back'
	@echo '  make lab        a scenario in a virtual machine, and its journeys: SCENARIO=S6 VARIANT=bare'
	@echo '  make test       all checks and all tests'
	@echo
	@echo 'Building:'
	@echo '  make            nftrace.ko for the stock Debian kernel, and ./nftrace, the command'
	@echo '  make module     the module only; make command: the command only'
	@echo '  make KDIR=DIR   nftrace.ko for a kernel tree that you prepared (Rust metadata included)'
	@echo '  make images     what the test VMs boot'
	@echo
	@echo 'Testing:'
	@echo '  make test-debug the module under fire, in kernels with KASAN and lockdep'
	@echo '  make check      formatting, clippy, rustdoc, shellcheck, the rules of the project'
	@echo '  make fuzz       fuzz whatever reads input from outside, by coverage; SECONDS=60 each, TARGET=parse;'
	@echo '                  TARGET=module calls the real one, in the kernel with KASAN'
	@echo '  make mutants    damage 1,000,000 compiled policies: each is refused or decides as its rules say'
	@echo '  make docs       write docs/scenarios/ anew, from real runs'
	@echo '  make bench      measure nftrace and its peers anew: bench/results, docs/performance.md;'
	@echo '                  ONLY=acl-disjoint.100. of cells and rates only those that have this in their names'
	@echo '  make bench-native  what of it is measured in time, on this processor'
	@echo '  make bench-check  a small part of it, against what is stored'
	@echo
	@echo 'Cleaning:'
	@echo '  make clean      what was built in this tree'
	@echo '  make distclean  also the toolchain, the kernel and the images in the cache'
	@echo
	@echo 'Variables:'
	@echo '  KERNEL=7.3             a series or a release that Debian offers'
	@echo '  NFTRACE_CACHE=DIR      where all that is fetched or made is kept; ~/.cache/nftrace'
	@echo '  NFTRACE_MIRROR=URL     the Debian mirror; else that of this machine'
	@echo '  NFTRACE_TOOLCHAIN=native|root   this machine, or a Debian root in the cache'
	@echo '  NFTRACE_ACCEL=tcg|kvm  how the VMs run; else KVM is tried'
	@echo '  V=1                    what make runs'

endif
