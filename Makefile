# Kiln: `make` alone lists what there is. Every path is relative, so a checkout may lie below a folder with a space.
#
# What is built where:   build/bin/        the programs
#                        build/asan/…      the same under AddressSanitizer and UBSan
#                        build/coverage/…  the same counting lines and branches (gcov)
#                        build/chaos/…     the same with fail points (lib/failpoint.h), for tests/chaos
#                        build/fuzz/…      the libFuzzer programs (clang)
# A flavour is a variable, not another makefile:  make FLAVOUR=asan build

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS     += --no-builtin-rules
SHELL         := /bin/bash
FLAVOUR       ?= release
FUZZ_SECONDS  ?= 10

# Quiet, one short line a step; V=1 shows the commands, -s not even the lines.
ifdef V
Q    :=
note  = @:
else
Q    := @
note  = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),@:,@printf '  %-5s %s\n')
MAKEFLAGS += --no-print-directory
endif

# --- flavours -------------------------------------------------------------------------------------------------------

warnings  := -Wall -Wextra -Wconversion -Wshadow -Werror
hardening := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
ifeq ($(shell uname -m),x86_64)
hardening += -fcf-protection
endif
sanitize  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

ifeq ($(FLAVOUR),release)
B       := build
CC      := gcc
flags   := -O2 -g $(hardening)
ldflags := -pie -Wl,-z,relro,-z,now
else ifeq ($(FLAVOUR),asan)
B       := build/asan
CC      := gcc
flags   := -O1 -g $(sanitize)
ldflags := $(sanitize)
else ifeq ($(FLAVOUR),coverage)
B       := build/coverage
CC      := gcc
flags   := -O0 -g --coverage -fprofile-update=atomic -DKILN_COVERAGE='"$(CURDIR)/$(B)"'
ldflags := --coverage
else ifeq ($(FLAVOUR),chaos)
B       := build/chaos
CC      := gcc
flags   := -O2 -g $(hardening) -DKILN_FAILPOINTS
ldflags := -pie -Wl,-z,relro,-z,now
else ifeq ($(FLAVOUR),fuzz)
B       := build/fuzz
CC      := clang
flags   := -O1 -g $(sanitize) -fsanitize=fuzzer-no-link
ldflags := $(sanitize) -fsanitize=fuzzer
else
$(error FLAVOUR is release, asan, coverage, chaos or fuzz, not "$(FLAVOUR)")
endif

# --- libraries of others: asked of pkg-config once, when first needed -----------------------------------------------

packages   := libmicrohttpd libpq libjwt jansson libcurl libcrypto nettle libsecp256k1 libseccomp
pkg_cflags  = $(eval pkg_cflags := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(packages))))$(pkg_cflags)
pkg_libs    = $(eval pkg_libs := $(shell pkg-config --libs $(packages)))$(pkg_libs)
vips_cflags = $(eval vips_cflags := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags vips libjpeg)))$(vips_cflags)
vips_libs   = $(eval vips_libs := $(shell pkg-config --libs vips libjpeg))$(vips_libs)

version := -DKILN_VERSION='"$(file <VERSION)"'
CFLAGS  = -std=gnu11 -D_GNU_SOURCE $(version) $(warnings) $(flags) -MMD -MP -I.
LDFLAGS = $(ldflags) -Wl,--as-needed

# --- what there is to build: whatever lies in the folders -----------------------------------------------------------

# Every .c file below a folder, however deep.
sources     = $(shell find $(1) -name '*.c' 2>/dev/null | LC_ALL=C sort)
lib_src    := $(call sources,lib)
server_src := $(call sources,server)
media_src  := $(call sources,media)
runner_src := $(call sources,pipeline_runner)
c_test_src := $(call sources,tests/c)
test_src   := $(filter %_test.c,$(c_test_src))
support_src := $(filter-out %_test.c,$(c_test_src))
fuzz_src   := $(wildcard tests/fuzz/*_fuzz.c)
# A subject under test belongs to one program, named by the folder of its test: tests/c/server/… to server/.
object      = $(patsubst %.c,$(B)/obj/%.o,$(1))

programs := $(if $(server_src),$(B)/bin/kiln-server) $(if $(runner_src),$(B)/bin/kiln-runner) $(if $(media_src),$(B)/bin/kiln-media)
tests    := $(patsubst %.c,$(B)/%,$(test_src))
fuzzers  := $(patsubst tests/fuzz/%.c,$(B)/bin/%,$(fuzz_src))
pages    := share.html share.css mail_link.html
embedded := api.html openapi.json openapi.json.gz scalar.js scalar.js.gz $(pages)
archives := $(B)/libserver.a $(B)/librunner.a $(B)/libmedia.a $(B)/libkiln.a

$(B)/libkiln.a:   $(call object,$(lib_src))
$(B)/libserver.a: $(call object,$(filter-out server/main.c,$(server_src))) $(patsubst %,$(B)/embed/%.o,$(embedded))
$(B)/librunner.a: $(call object,$(filter-out pipeline_runner/main.c,$(runner_src)))
$(B)/libmedia.a:  $(call object,$(filter-out media/main.c,$(media_src)))

$(B)/obj/server/% $(B)/obj/tests/c/server/%:                  CFLAGS += $(pkg_cflags)
$(B)/obj/pipeline_runner/% $(B)/obj/tests/c/runner/%:         CFLAGS += $(pkg_cflags)
$(B)/obj/media/% $(B)/obj/tests/c/media/%:                    CFLAGS += $(pkg_cflags) $(vips_cflags)
$(B)/obj/lib/% $(B)/obj/tests/c/lib/% $(B)/obj/tests/c/base/%: CFLAGS += $(pkg_cflags)
$(B)/obj/tests/fuzz/%:  CFLAGS += $(pkg_cflags) $(vips_cflags)

$(B)/obj/%.o: %.c Makefile VERSION
	$(note) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# Files that are part of a program, some of them packed too; server/routes has their ends.
$(B)/embed/api.html $(B)/embed/openapi.json: $(B)/embed/%: docs/%
	$(Q)mkdir -p $(@D) && cp $< $@
$(patsubst %,$(B)/embed/%,$(pages)): $(B)/embed/%: server/pages/%
	$(Q)mkdir -p $(@D) && cp $< $@
$(B)/embed/openapi.json.gz: docs/openapi.json
	$(Q)mkdir -p $(@D) && gzip -9nc $< >$@
$(B)/embed/scalar.js.gz: third_party/scalar/api-reference.js.gz
	$(Q)mkdir -p $(@D) && cp $< $@
$(B)/embed/scalar.js: third_party/scalar/api-reference.js.gz
	$(Q)mkdir -p $(@D) && gzip -dc $< >$@
# The symbols are named after the path that ld is given: the name alone.
$(B)/embed/%.o: $(B)/embed/% Makefile
	$(note) EMBED $*
	$(Q)cd $(@D) && ld -r -b binary -z noexecstack -o $*.o $*
	$(Q)objcopy --rename-section .data=.rodata,alloc,load,readonly,data,contents $@

$(B)/lib%.a:
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)ar rcsD $@ $^

link = $(Q)mkdir -p $(@D) && $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1) -lm -lpthread

$(B)/bin/kiln-server: $(call object,server/main.c) $(B)/libserver.a $(B)/libkiln.a
	$(note) LD $@
	$(call link,$(pkg_libs) -lwslay -larchive)
$(B)/bin/kiln-runner: $(call object,pipeline_runner/main.c) $(B)/librunner.a $(B)/libkiln.a
	$(note) LD $@
	$(call link,$(pkg_libs))
$(B)/bin/kiln-media: $(call object,media/main.c) $(B)/libmedia.a $(B)/libkiln.a
	$(note) LD $@
	$(call link,$(pkg_libs) $(vips_libs))

# Each NAME_test.c is a program: its object, those below its program's folder that are no tests (helpers), and its program's archive.
define test_rule
$(B)/tests/c/$(1)/%_test: $(B)/obj/tests/c/$(1)/%_test.o $(call object,$(filter tests/c/$(1)/%,$(support_src))) $(2) $(B)/libkiln.a
	$$(note) LD $$@
	$$(call link,-lcmocka $$(pkg_libs) $(3))
endef
$(eval $(call test_rule,lib,,))
$(eval $(call test_rule,server,$(B)/libserver.a,-lwslay -larchive))
$(eval $(call test_rule,runner,$(B)/librunner.a,))
$(eval $(call test_rule,media,$(B)/libmedia.a,$$(vips_libs)))

$(B)/bin/%_fuzz: $(B)/obj/tests/fuzz/%_fuzz.o $(archives)
	$(note) LD $@
	$(call link,$(pkg_libs) $(vips_libs) -lwslay -larchive)

.SECONDARY:
-include $(patsubst %.o,%.d,$(call object,$(lib_src) $(server_src) $(runner_src) $(media_src) $(test_src) $(support_src) $(fuzz_src)))

.PHONY: programs test-programs fuzz-programs
programs: $(programs)
test-programs: $(tests)
fuzz-programs: $(fuzzers)

# --- what people type -----------------------------------------------------------------------------------------------

.PHONY: help demo build test test-unit test-integration chaos lint fix check coverage api-coverage contract bench live bus docs types compose-test clean

demo: ## install what is missing, build, start, and make one image, one video and one recording
	@scripts/demo.sh

build: programs ## build the three programs into build/bin (FLAVOUR=asan, coverage: into build/…)

test: test-deps s3-deps browser-deps programs test-programs chaos-programs ## every test, on its own database and ports; ends with "N passed, N failed"
	@FLAVOUR=$(FLAVOUR) tests/run unit integration

test-unit: test-deps programs test-programs ## the fast half: C modules (cmocka), SQL functions (pgTAP) and scripts
	@FLAVOUR=$(FLAVOUR) tests/run unit

test-integration: test-deps s3-deps browser-deps programs chaos-programs ## the other half: the real programs, end to end (node:test)
	@FLAVOUR=$(FLAVOUR) tests/run integration

chaos: test-deps chaos-programs ## kill, cut and freeze everything at every fail point, under load; writes docs/chaos.md
	@KILN_CHAOS_DOC=docs/chaos.md tests/chaos/run

.PHONY: chaos-programs
chaos-programs:
	@$(MAKE) FLAVOUR=chaos programs

bus: programs tests/node_modules/.installed ## the property of the event log, 10,000 events a seed: make bus SEEDS=20 (random ones) or SEEDS=7,11 (these)
	@KILN_BUS_SEEDS="$(or $(SEEDS),10)" nice node --test --test-reporter=spec tests/e2e/bus_property.test.mjs

contract: programs tests/node_modules/.installed ## requests generated from docs/openapi.json, none a 500 or undescribed: make contract REQUESTS=10000 SEED=7
	@TEST_CONTRACT_REQUESTS="$(or $(REQUESTS),10000)" TEST_CONTRACT_SEED="$(SEED)" nice node --test --test-reporter=spec tests/e2e/contract.test.mjs

api-coverage: test-deps s3-deps browser-deps programs chaos-programs ## run the end-to-end tests and write docs/api-coverage.md: which status of which route was seen
	@FLAVOUR=$(FLAVOUR) TEST_API_DOC=docs/api-coverage.md tests/run integration

lint: test-deps docs/lint/node_modules/.installed programs ## the floors of the C folders, clang-format, clang-tidy, cppcheck, shellcheck, plpgsql_check, spectral, redocly, tsc; changes nothing
	@CFLAGS="-std=gnu11 -D_GNU_SOURCE $(warnings) -I." scripts/lint.sh

fix: test-deps ## let clang-format set the C files straight
	@scripts/lint.sh --fix

check: lint model programs ## lint, the models, the unit tests under ASan and UBSan, every odd file as an upload, then short fuzz runs (FUZZ_SECONDS=10 each)
	@$(MAKE) FLAVOUR=asan programs test-programs
	@FLAVOUR=asan tests/run unit
	@TEST_ODD_FILES=all tests/run integration tests/e2e/odd_files.test.mjs
	@$(MAKE) FLAVOUR=fuzz fuzz-programs
	@scripts/fuzz.sh $(FUZZ_SECONDS)

model: ## Spin goes through every run of the models in docs/model: the rule of money holds, and each of its parts is needed
	@scripts/deps.sh demo model || true
	@docs/model/check

coverage: test-deps ## line and branch coverage of C, statement coverage of plpgsql, and what is missing with its reason
	@$(MAKE) FLAVOUR=coverage programs test-programs
	@scripts/coverage.sh

.PHONY: bench-packages
bench-packages:
	@scripts/deps.sh demo test bench
build/bench/listeners: bench/listeners.c
	@mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(warnings) -o $@ $<
bench: programs build/bench/listeners tests/node_modules/.installed bench-packages ## queue, REST and streams as ratios to bare PostgreSQL in the same run; writes docs/bench.md
	@bench/run

live: programs ## one image, one video, one recording at a real provider: make live PROVIDER=fal MAX_USD=0.50, with its key set
	@scripts/live.mjs "$(PROVIDER)" "$(MAX_USD)"

docs: tests/node_modules/.installed ## write again the pages of docs/ that are made from database, code and docs/openapi.json; build/docs is for publishing
	@scripts/docs.sh
	@scripts/openapi.mjs

types: tests/node_modules/.installed ## make clients/ts, the list in docs/events.md and the events in docs/openapi.json from docs/events.schema.json and docs/openapi.json
	@scripts/types.mjs

compose-test: ## start compose.yml for real, with Debian's docker.io where no Docker runs (root; else it skips)
	@scripts/compose-test.sh

clean: ## remove build/ (the data of ./kiln stays: ./kiln down, then remove .kiln)
	$(Q)rm -rf build

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

.PHONY: s3-deps browser-deps
browser-deps:
	@scripts/deps.sh browser || echo 'the tests in a browser are skipped' >&2
s3-deps:
	@scripts/deps.sh s3 || echo 'the tests of media in a bucket are skipped' >&2

.PHONY: deps test-deps test-packages
deps:
	@scripts/deps.sh demo
test-deps: test-packages tests/node_modules/.installed
test-packages:
	@scripts/deps.sh demo test
# What only the tests use, from the npm registry (docs/dependencies.md); exactly what the lock file says.
tests/node_modules/.installed: tests/package-lock.json | test-packages
	@npm ci --prefix tests --no-audit --no-fund --silent && touch $@
# What only `make lint` uses, for docs/openapi.json. Without the packages' own scripts: one of them reports installations to its maker.
docs/lint/node_modules/.installed: docs/lint/package-lock.json | test-packages
	@npm ci --prefix docs/lint --ignore-scripts --no-audit --no-fund --silent && touch $@
