#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The gateway keeps the contract of its API. The cases: py/gateway_api.py.

load drive

@test "a request is answered" {
	drive gateway_api answers
}
