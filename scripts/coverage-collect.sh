#!/usr/bin/env bash
# coverage-collect: what tests/run calls as TEST_AFTER, while its cluster still lives.
exec "$(dirname "${BASH_SOURCE[0]}")/coverage.sh" collect
