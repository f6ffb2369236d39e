# The front door.  meson.build is the build itself; this spells the usual commands.
#   make          builds build/dev/tarn           make lint fmt          style, static analysis
#   make demo     installs, builds, shows it all  make asan tsan fuzz    the tests under sanitizers; fuzzing
#   make test     installs, builds, every test    make bench             figures beside their limits
#   make check    unit tests only                 make e2e               end-to-end tests only
#   make interop  clients from PyPI, Maven        make torture powercut plants   3,000 kills, 200 cuts, planted bugs
B ?= build

all: $(B)/dev
	@ninja -C $<

demo: install all
	tools/demo
test: install all
	tools/test unit e2e
check: all
	tools/test unit
e2e: all
	tools/test e2e
install:
	@tools/install

interop: all
	tools/interop

torture: all
	tests/history/run --kills 3000 --tarn $(B)/dev/tarn
plants:
	tests/history/plants/run
powercut: all
	tests/powercut/run --cuts 200 --tarn $(B)/dev/tarn

lint: all $(B)/clang
	tools/lint
fmt:
	clang-format-14 -i $$(git ls-files '*.[ch]')
asan: $(B)/asan
	B=$< tools/test unit e2e
tsan: $(B)/tsan
	B=$< tools/test unit
fuzz: $(B)/fuzz
	tools/fuzz
bench: all
	bench/run
bench-peers: all
	bench/run peers.
clean:
	rm -rf $(B)

$(B)/dev:
	@command -v meson >/dev/null || { echo "meson is missing: run tools/install, or make test"; exit 1; }
	meson setup $@
$(B)/clang:
	CC=clang-14 meson setup $@
$(B)/asan:
	CC=clang-14 meson setup $@ -Db_sanitize=address,undefined -Db_lundef=false
$(B)/tsan:
	CC=clang-14 meson setup $@ -Db_sanitize=thread -Db_lundef=false
$(B)/fuzz:
	CC=clang-14 meson setup $@ -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false

.PHONY: all demo test check e2e interop torture plants powercut install lint fmt asan tsan fuzz bench bench-peers clean
