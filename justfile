# `just` lists these; `pip install rust-just` or `cargo install just` brings the tool.

# list the recipes
default:
    @just --list

# everything CI does
check:
    bash .ci/run

# the tests alone
test:
    cargo test --workspace

# the smallest whole chain, under a minute
smoke:
    cargo run --release -- run sweeps/smoke

# the headline run: ladder, forecast, registration, target, score, report
quickstart:
    cargo run --release -- run sweeps/quickstart

# target/cuda/bin/forescale, which trains on cards; a CUDA toolkit is made where there is none (five minutes, 1.2 GB)
cuda-build:
    bash benches/cuda-build.sh

# lint the code behind the feature `cuda`
cuda-lint:
    bash benches/cuda-build.sh --lint

# on a machine with a card: is training there right, and how fast; meant for under eight minutes (--dry: tiny, on the CPU)
gpu-check *ARGS:
    python3 benches/gpu_check.py {{ ARGS }}

# our trainer against PyTorch, in turn (needs torch; --quick for one pair, --out FILE for the tables)
bench-train *ARGS:
    python3 benches/train_pairs.py {{ ARGS }}

# answers over remembered keys and values, against computing the prefix anew (--rounds, --threads, --width, --batch)
bench-generation *ARGS:
    cargo run --release -p forescale-train --example generation -- {{ ARGS }}

# our solver against SciPy, in turn (needs scipy; --out FILE for the page)
bench-fit *ARGS:
    cargo build --release -p forescale-fit --features bench --example fit_bench
    python3 benches/fit_pairs.py {{ ARGS }}

# how many intervals hold, by simulation (2000 each; --sims, --part true|bootstrap|misspecified)
bench-coverage *ARGS:
    cargo run --release -p forescale-fit --example coverage -- {{ ARGS }}

# forecasts of published tables from their smaller runs, beside each law and the plain method (needs scipy, pandas)
bench-skill *ARGS:
    cargo build --release -p forescale
    cargo build --release -p forescale-fit --example backtest_tables
    python3 benches/skill.py --form target/release/examples/backtest_tables --out benches/forecast-skill.md {{ ARGS }}

# best sizes of published isoFLOPs from their smaller budgets, and of simulated tables (needs pandas)
bench-optimum *ARGS:
    cargo build --release -p forescale
    python3 benches/optimum.py --out benches/optimum-skill.md {{ ARGS }}

# task scores of published tables from their smaller runs, beside a sigmoid of compute and the OLMo ladder (needs scipy, pandas)
bench-capability *ARGS:
    cargo build --release -p forescale-fit --example capability_tables
    python3 benches/capability.py --out benches/capability-skill.md {{ ARGS }}

# pages of 20, 500 and 10,000 runs, drawn and timed
bench-report:
    cargo run --release -p forescale-report --example page_time

# the pages of the baselines and of a table of 500 runs, opened in headless Chromium; screenshots into a folder, if named
browser SHOTS="":
    cargo build -p forescale
    bash tests/browser/run.sh target/debug/forescale {{ SHOTS }}

# clean builds of the dependency set, timed
bench-build:
    bash benches/build.sh

# rewrite the committed JSON schemas from the types
schemas:
    cargo run -q -- schema --all schemas

# ten thousand tables that nobody would fit, through everything that takes a table
fuzz:
    FORESCALE_FUZZ=10000 cargo test -p forescale-fit --release --test fuzz
