# Every target is one call of the task program host/xtask; `make help` lists them.
# Choices (PHOTO, ONCE, SUITE, FULL, PART, NAME, TIME) reach it through the environment.
cargo := $(or $(shell command -v cargo),$(wildcard $(HOME)/.cargo/bin/cargo),$(error Rust is missing: install it from https://rustup.rs))
# A target folder of its own, so that the tasks start even while another cargo builds the host,
# and in the checkout, because another checkout has other tasks.
built := $(CURDIR)/target/xtask
# Loud only the first time, when there is something to wait for.
quiet := $(if $(wildcard $(built)/task/xtask),--quiet)
xtask := @$(cargo) run $(quiet) --profile task --package xtask --target-dir $(built) --

.PHONY: help run build guests test check bench fuzz image cluster cluster-down
help: ; $(xtask) help
run: ; $(xtask) run
build: ; $(xtask) build
guests: ; $(xtask) guests
test: ; $(xtask) test
check: ; $(xtask) check
bench: ; $(xtask) bench
fuzz: ; $(xtask) fuzz
image: ; $(xtask) image
cluster: ; $(xtask) cluster
cluster-down: ; $(xtask) cluster-down
