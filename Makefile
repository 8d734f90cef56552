# The common commands. `make check` is what CI runs.

.PHONY: serve demo test fmt lint check bench

serve: ## Run the server on http://localhost:4000
	cargo run --release -- serve

demo: ## Watch simulated agents work, cheat and be refused
	cargo run --release -- demo

test: ## Everything that must hold
	cargo test --workspace

fmt: ## Format the sources
	cargo fmt --all

lint: ## What CI refuses
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check: ## As CI does it
	.ci/run

bench: ## loopctl over HTTP against the same statements through pgbench (docs/performance.md)
	cargo bench --bench performance
