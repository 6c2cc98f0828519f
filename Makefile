# make                 the four programs, the BPF object and the manual pages, in .build/release
# make demo            the story in half a minute: an exploit works, and then it does not
# make benign          programs of every kind, without callgate and under it: the same, and every stack understood
# make soak            the same over and over, until SOAK_STACKS=1000000 stacks were inspected
# make bench           what callgate costs, with peers beside it; BENCH_FLAGS="--quick --only nginx", "--json FILE"
# make hot-path        the instructions of one trapped call; HOT_PATH_FLAGS="fresh --frames 100"
# make layout          the order of functions in the programs, written anew from what is used of them
# make attacks         every attack, without callgate and under it
# make test            every test; make lint, make format
# make fuzz            every fuzz target for FUZZ_SECONDS=60 each; make fuzz FUZZ=cfi for one
# make install         DESTDIR= and PREFIX=/usr; make uninstall takes away what install put there
# make dependencies    what is missing for the build, with apt; make test-dependencies: for the tests and the
#                      demo as well; bench-dependencies: for the benchmarks as well

PREFIX ?= /usr
DESTDIR ?=
PROGRAMS ?= .build/release

SWIFT_FLAGS := -c release --static-swift-stdlib
BPF_SOURCE := Sources/BPF/snapshot.bpf.c
BPF_OBJECT := .build/release/callgate-snapshot.bpf.o
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null)

INSTALLED := $(DESTDIR)$(PREFIX)

.PHONY: all programs bpf man dependencies test-dependencies bench-dependencies demo benign soak bench hot-path layout attacks test fuzz lint format install uninstall clean

all: programs bpf man

programs: dependencies
	swift build $(SWIFT_FLAGS)

# Beside the programs. Without it the supervisor reads /proc, which is slower.
bpf: programs
ifneq ($(wildcard $(BPF_SOURCE)),)
	@$(MAKE) --no-print-directory $(BPF_OBJECT)
else
	@echo "$(BPF_SOURCE) is not there: no BPF object is made"
endif

$(BPF_OBJECT): $(BPF_SOURCE)
	clang -target bpf -O2 -g -Wall -idirafter /usr/include/$(MULTIARCH) -c $< -o $@

# One page a command, from what its --help says.
man: programs
	@swift build $(SWIFT_FLAGS) --product generate-manual
	@rm -rf .build/release/man && mkdir .build/release/man
	@.build/release/generate-manual .build/release/callgatectl --multi-page --output-directory .build/release/man

dependencies:
	@packaging/install-dependencies build

test-dependencies:
	@packaging/install-dependencies tests

bench-dependencies:
	@packaging/install-dependencies bench

demo: test-dependencies all
	@Tests/Demo/demo --programs $(PROGRAMS)

attacks: test-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) Tests/Attacks/suite $(ATTACK_FLAGS)

benign: test-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) Tests/Benign/suite $(BENIGN_FLAGS)

SOAK_STACKS ?= 1000000
soak: test-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) Tests/Benign/soak $(SOAK_STACKS)

bench: bench-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) Benchmarks/bench $(BENCH_FLAGS)

hot-path: bench-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) Benchmarks/hot-path $(HOT_PATH_FLAGS)

layout: bench-dependencies all
	@CALLGATE_PROGRAMS=$(PROGRAMS) packaging/layout/record
	@rm -f $(PROGRAMS)/callgate-supervisor $(PROGRAMS)/callgate-inspector
	@$(MAKE) --no-print-directory programs

test: test-dependencies all
	CALLGATE_PROGRAMS=$(PROGRAMS) Tests/run $(TEST_FLAGS)

FUZZ_SECONDS ?= 60
fuzz: test-dependencies
	Tests/Fuzz/run $(FUZZ_SECONDS) $(FUZZ)

lint: dependencies
	swift format lint --strict --recursive Package.swift Sources Tests
	packaging/check-imports
	swift build --explicit-target-dependency-import-check error
	@if command -v shellcheck >/dev/null; then \
	  shellcheck $$(grep -lE '^#!/bin/(ba)?sh' .ci/run Tests/run Tests/Fuzz/run Tests/Fuzz/seeds packaging/* Tests/EndToEnd/* Tests/Demo/* 2>/dev/null); \
	else echo "no shellcheck here: the shell scripts are not checked"; fi

format:
	swift format --in-place --recursive Package.swift Sources Tests

install:
	install -d $(INSTALLED)/bin $(INSTALLED)/libexec/callgate $(INSTALLED)/share/callgate/profiles $(INSTALLED)/share/doc/callgate
	install -m 755 $(PROGRAMS)/callgate $(PROGRAMS)/callgatectl $(INSTALLED)/bin
	install -m 755 $(PROGRAMS)/callgate-supervisor $(PROGRAMS)/callgate-inspector $(INSTALLED)/libexec/callgate
	if [ -e $(PROGRAMS)/callgate-snapshot.bpf.o ]; then \
	  install -m 644 $(PROGRAMS)/callgate-snapshot.bpf.o $(INSTALLED)/libexec/callgate; fi
	for profile in profiles/*.yaml profiles/*.schema.json; do \
	  if [ -e "$$profile" ]; then install -m 644 "$$profile" $(INSTALLED)/share/callgate/profiles; fi; done
	for example in packaging/*/*.toml packaging/*/*.conf; do \
	  if [ -e "$$example" ]; then install -D -m 644 "$$example" $(INSTALLED)/share/callgate/"$$example"; fi; done
	# What `callgatectl profile test NAME --attacks` runs, with python3 and gcc.
	install -d $(INSTALLED)/libexec/callgate/attacks
	cp -R --no-preserve=ownership Tests/Attacks/. $(INSTALLED)/libexec/callgate/attacks
	install -m 644 Tests/Benign/running.py $(INSTALLED)/libexec/callgate/attacks
	rm -rf $(INSTALLED)/libexec/callgate/attacks/__pycache__
	if [ -d $(PROGRAMS)/man ]; then \
	  install -d $(INSTALLED)/share/man/man1 && install -m 644 $(PROGRAMS)/man/*.1 $(INSTALLED)/share/man/man1; fi
	if [ -e README.md ]; then install -m 644 README.md $(INSTALLED)/share/doc/callgate; fi
	if [ -d docs ]; then cp -R --no-preserve=ownership,mode docs $(INSTALLED)/share/doc/callgate; fi

uninstall:
	rm -f $(INSTALLED)/bin/callgate $(INSTALLED)/bin/callgatectl
	rm -f $(INSTALLED)/share/man/man1/callgatectl*.1
	rm -rf $(INSTALLED)/libexec/callgate $(INSTALLED)/share/callgate $(INSTALLED)/share/doc/callgate

clean:
	rm -rf .build
