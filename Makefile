# Every target does its own set-up: on a fresh clone, `make demo` or `make test` is all.
#
#   make demo          JupyterLab on examples/quickstart.ipynb (the other examples are beside it)
#   make test          everything but the long tests
#   make test-long     the long tests, and every supported host and kernel   (test-hosts: those alone)
#   make lab           JupyterLab on the checkout
#   make check         linters and types     (test-py test-tl2 test-js test-browser: one part each)
#   make docs          the guide and the reference, as a site in build/site
#   make bench         measured times   (BENCH=test_sweeps.py: of one file)
#   make bench-estimates  how good the estimates are, and what checking them costs
#   make lock          resolve the lock files again
#   make clean         remove what the targets made

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

PYTHON ?= python3
LAB_FLAGS ?=
PYTEST_FLAGS ?=
BENCH ?=
# The processor build of this release has no CUDA packages behind it.
TORCH := torch==2.13.0
KERNELS := 7.3.0 6.31.0
HOSTS := ipywidgets7 notebook7 marimo

PIP_INSTALL := -m pip install -qq --disable-pip-version-check
# How the package is built and looks in a page does not depend on TransformerLens.
TL2_IGNORES := $(addprefix --ignore=tests/,packaging browser benchmarks)
# Nor do these, to which it never comes: figures from numbers alone, names, texts, turns of the
# decoder, the bundled model's card (by a net of its own), and the reader of damaged files, of a study written once.
TL2_IGNORES += $(addprefix --ignore=tests/unit/test_,$(addsuffix .py,agreement asked_together bound nodes path_ends \
	published recall_cost rooms saved_fuzz slices spread student tally widget_slices))
TL2_IGNORES += $(addprefix --ignore=tests/,demo/test_card.py demo/test_text.py demo/test_tokenizer.py)
TL2_PYTEST = .venv-tl2/bin/python -m pytest $(TL2_IGNORES) $(PYTEST_FLAGS)
# The release that older notebooks pin: engine, estimates and `patching` against the models themselves.
TL211 := .venv-tl2/older/tl211
TL211_PYTEST = PYTHONPATH=$(TL211) .venv-tl2/bin/python -m pytest tests/oracle $(PYTEST_FLAGS)
PYTEST = .venv/bin/python -m pytest $(PYTEST_FLAGS)
CHECK := .venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy
TEST_JS := npm run -s check && npm run -s test
BUNDLE := patchwidget/static/widget.js
BUNDLE_SOURCES := $(shell find js -name '*.ts' -o -name '*.css' -o -name 'build.mjs') package.json
LAB := .venv/bin/jupyter lab $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)
# Without a display, Jupyter prints its address instead of looking for a browser.
OPEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser)

.PHONY: demo lab docs test test-long test-hosts test-py test-tl2 test-js test-browser bench bench-estimates check
.PHONY: venv venv-tl2 bundle chromium lock clean

# ---- set-up ---------------------------------------------------------------------------

venv: .venv/installed
venv-tl2: .venv-tl2/installed
bundle: $(BUNDLE)

.venv/locked: requirements.lock
.venv-tl2/locked: requirements-tl2.lock
.venv/locked .venv-tl2/locked:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "The lock files are for Python 3.11 and 3.12: make PYTHON=python3.11 ...")'
	echo "installing $< into $(@D) (a few minutes, once)"
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(PIP_INSTALL) -r $<
	touch $@

# package.json holds the version, which an editable install writes down once.
.venv/installed .venv-tl2/installed: %/installed: %/locked pyproject.toml package.json
	@$*/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

node_modules/.package-lock.json: package-lock.json package.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer"; exit 1; }
	echo "installing the front-end tools"
	npm ci --silent --ignore-scripts
	touch $@

$(BUNDLE): $(BUNDLE_SOURCES) node_modules/.package-lock.json
	@npm run -s build

chromium: .venv/installed
	@.venv/bin/python tests/browser/chromium.py --install

# Older kernels lie beside the environment: a kernelspec puts one of them first on the path.
.venv/kernels/%: .venv/locked
	@rm -rf $@.part
	.venv/bin/python $(PIP_INSTALL) --no-deps --target $@.part ipykernel==$*
	mv $@.part $@

# So do other hosts, with what the environment itself has not.
.venv/hosts/%: tests/browser/hosts/%.txt .venv/locked
	@rm -rf $@ $@.part
	.venv/bin/python $(PIP_INSTALL) --no-deps --target $@.part -r $<
	mv $@.part $@

# And an older TransformerLens, with what it needs older.
$(TL211): tests/tl211.lock .venv-tl2/locked
	@rm -rf $@ $@.part
	.venv-tl2/bin/python $(PIP_INSTALL) --no-deps --target $@.part -r $<
	mv $@.part $@

# ---- the main job ---------------------------------------------------------------------

# Jupyter takes the next free port where its usual one is in use.
demo: .venv/installed $(BUNDLE)
	@exec $(LAB) --LabApp.default_url=/lab/tree/examples/quickstart.ipynb $(OPEN) $(LAB_FLAGS)

lab: .venv/installed $(BUNDLE)
	@exec $(LAB) $(OPEN) $(LAB_FLAGS)

docs: .venv/installed $(BUNDLE)
	@.venv/bin/python examples/guide/build_site.py build/site
	echo "open $(CURDIR)/build/site/index.html"

# ---- tests ----------------------------------------------------------------------------

# Two lanes, a core each: the commands of the first beside those of the second, whose output
# comes after. Every command is run, whatever becomes of the others.
define lanes
export OMP_NUM_THREADS=1
mkdir -p .artifacts
lane() {
  local status=0 command
  for command in "$$@"; do eval "$$command" || status=$$?; done
  return $$status
}
lane $(2) >.artifacts/second-lane.log 2>&1 & second=$$!
trap "kill $$second 2>/dev/null || true" EXIT
status=0
lane $(1) || status=$$?
echo "waiting for TransformerLens 2 and the browser"
wait $$second || status=$$?
cat .artifacts/second-lane.log
exit $$status
endef

test: .venv/installed .venv-tl2/installed $(BUNDLE) chromium
	@$(call lanes,'$(CHECK)' '$(TEST_JS)' '$(PYTEST)','$(TL2_PYTEST)' '$(PYTEST) -m "browser and not long"')

test-long: .venv/installed .venv-tl2/installed $(TL211) $(BUNDLE) chromium $(KERNELS:%=.venv/kernels/%) $(HOSTS:%=.venv/hosts/%)
	@$(call lanes,'$(PYTEST) -m "long and not gpt2 and not browser"' '$(TL2_PYTEST) -m "long and not gpt2"' '$(TL211_PYTEST)','$(PYTEST) -m "long and browser"')

test-py: .venv/installed $(BUNDLE)
	@$(PYTEST)

test-tl2: .venv-tl2/installed $(BUNDLE)
	@$(TL2_PYTEST)

test-js: node_modules/.package-lock.json
	@$(TEST_JS)

test-browser: .venv/installed $(BUNDLE) chromium
	@$(PYTEST) -m "browser and not long"

# Every host with every kernel.
test-hosts: .venv/installed $(BUNDLE) chromium $(KERNELS:%=.venv/kernels/%) $(HOSTS:%=.venv/hosts/%)
	@$(PYTEST) -m "long and browser" -s

check: .venv/installed
	@$(CHECK)

bench: .venv/installed $(BUNDLE) chromium
	@$(PYTEST) tests/benchmarks/$(BENCH) -m "" -s

bench-estimates: .venv/installed $(BUNDLE)
	@$(PYTEST) tests/benchmarks/test_estimators.py -m bench -s

# ---- housekeeping ---------------------------------------------------------------------

# A lock file is names and versions: no addresses, no local suffix, nothing of CUDA.
define freeze
$(PYTHON) -m venv --clear .lock-venv
.lock-venv/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
.lock-venv/bin/python $(PIP_INSTALL) $(TORCH)
PATCHWIDGET_SKIP_BUNDLE=1 .lock-venv/bin/python $(PIP_INSTALL) $(TORCH) --editable . --group $(1)
.lock-venv/bin/python -m pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//; /^(nvidia|cuda|triton)/d' > $(2)
rm -rf .lock-venv
endef

lock:
	@$(call freeze,tl4,requirements.lock)
	$(call freeze,tl2,requirements-tl2.lock)
	npm install --silent --package-lock-only
	node js/strip-lock.mjs

clean:
	@rm -rf .venv .venv-tl2 .lock-venv node_modules dist build/site .artifacts patchwidget/static
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find patchwidget tests js -name __pycache__ -type d -prune -exec rm -rf {} +
