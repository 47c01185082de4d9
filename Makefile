# `make help` lists the targets. Each one makes .venv on first use and needs nothing but Python 3.11
# to 3.13 and a package index; afterwards pip is called again only when requirements change.
#
#   make demo DEMO_FLAGS="--seed=7"         further flags for the demo
#   make test TEST_FLAGS="-k convolution"   further flags for pytest
#   make test TEST_XLA_LEVEL=3              compile as real runs do (slower)
#   make test PYTHON=/path/to/python3.12    choose the interpreter of a new .venv

PYTHON ?=
DEMO_FLAGS ?=
TEST_FLAGS ?=
VENV := .venv
RUN := $(VENV)/bin/python
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3 python)

# A stamp is no use if the making of .venv was cut short, or if its interpreter has gone since.
BROKEN := $(shell test ! -d $(VENV) || { test ! -e $(VENV)/.incomplete && $(RUN) -c '' 2>/dev/null; } || echo repair)

.PHONY: help demo test lint format bench clean repair

help:
	@echo 'make demo    train on digits, four seeds in one program; pictures and numbers in runs/'
	@echo 'make test    every test'
	@echo 'make lint    ruff: rules and formatting'
	@echo 'make format  let ruff rewrite what it can'
	@echo 'make bench   what is fast, measured side by side with the peers in one run'
	@echo 'make clean   remove .venv and caches; runs/ stays'

demo: $(VENV)/.runtime
	@$(RUN) -m experiments.image_classification $(DEMO_FLAGS)

test: $(VENV)/.dev
	@$(RUN) -m pytest --numprocesses=2 --dist=worksteal $(TEST_FLAGS)

lint: $(VENV)/.dev
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: $(VENV)/.dev
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

bench: $(VENV)/.dev
	@$(RUN) -m benchmarks.steps --repeats=3
	@$(RUN) -m benchmarks.layers --repeats=3
	@$(RUN) -m benchmarks.recurrent --repeats=3
	@$(RUN) -m benchmarks.language --repeats=3
	@$(RUN) -m benchmarks.loop --repeats=1
	@$(RUN) -m benchmarks.data --repeats=3
	@$(RUN) -m benchmarks.rl --repeats=2 --updates=480
	@$(RUN) -m benchmarks.scaling
	@$(RUN) -m benchmarks.compile

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build *.egg-info
	find dljax experiments tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

repair:

# The first candidate that runs (a shim may exist and fail), is a Python that we test, and has venv.
define choose_python
python=; for candidate in $(CANDIDATES); do \
  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
    >/dev/null 2>&1; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'error: no Python 3.11 to 3.13 with venv found (tried: $(CANDIDATES)). Install one' \
    '(on Debian and Ubuntu also the package python3-venv) or say make PYTHON=/path/to/python' >&2; \
  exit 1; \
fi
endef

# $(VENV)/.incomplete stands while venv works: a .venv that was left with it is made afresh. A pip that
# was cut short needs no such care, for a package that it left half done is not registered yet. A .pth
# file lets .venv's Python find dljax and the scripts from any folder.
define install
@if [ -n "$(BROKEN)" ]; then echo '$(VENV) is broken or half made: making it afresh'; rm -rf $(VENV); fi; \
if [ ! -d $(VENV) ]; then \
  $(choose_python); \
  mkdir $(VENV) && touch $(VENV)/.incomplete && $$python -m venv $(VENV) && rm $(VENV)/.incomplete || exit 1; \
fi; \
echo "installing $(1) into $(VENV) with $$($(RUN) -V) (once; it may take some minutes)"; \
$(RUN) -m pip install --disable-pip-version-check -qq -r $(1) && \
$(RUN) -c 'import sys, sysconfig; open(sysconfig.get_path("purelib") + "/dljax.pth", "w").write(sys.argv[1] + "\n")' '$(CURDIR)'
endef

$(VENV)/.runtime: requirements.txt $(BROKEN)
	$(call install,requirements.txt)
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt $(BROKEN)
	$(call install,requirements-dev.txt)
	@touch $(VENV)/.runtime $@
