#!/usr/bin/env bash
# Locks what each image installs: the packages of requirements/*.in with the versions and hashes of the project's lock.
# Run by `make lock` after that; UV names the uv program.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tier in edge filter_service ticket_service; do
  "${UV:-.cache/uv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --custom-compile-command 'make lock' --constraints requirements/run.txt \
    --output-file "deploy/images/requirements/$tier.txt" "deploy/images/requirements/$tier.in"
done
