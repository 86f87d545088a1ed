#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Who has to agree, judged by the agent over signatures that it verified, and
# what nobody may do alone over the life of a version.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib
load policy_lib

setup_file() { policy_up; }
teardown_file() { host_down; }
teardown() { root modelgate revoke --all </dev/null >/dev/null; }

@test "either all of one list or all of the other: half of each is not enough" {
	policy <<-'END'
	# either
	[role boss]
	members = dave
	[rule one]
	operation = one
	role = ml-engineer
	approve = (1 risk-owner and 1 data-steward) or 2 boss
	[role boss2]
	members = mallory
	[rule two]
	operation = two
	role = ml-engineer
	approve = 2 risk-owner or (1 boss and 1 boss2)
	[role risk-owner-too]
	members = carol
	END
	id=$(ask alice one m@1)
	run approve dave "$id"
	ok
	has 'needed: (1 risk-owner and 1 data-steward) or 2 boss'
	run approve bob "$id"
	ok
	is_state "$id" pending
	run approve carol "$id"
	ok
	soon is_state "$id" granted
	id=$(ask alice two m@1)
	approve bob "$id"
	approve mallory "$id"
	is_state "$id" pending
	approve dave "$id"
	soon is_state "$id" granted
}

@test "one stage after the other: who comes too early is told, and may come again" {
	policy <<-'END'
	# stages
	[rule one]
	operation = one
	role = ml-engineer
	approve = 1 data-steward then 1 risk-owner
	END
	id=$(ask alice one m@1)
	run approve bob "$id"
	[ "$status" -eq 125 ]
	has 'others have to agree first'
	run approve carol "$id"
	ok
	is_state "$id" pending
	run approve bob "$id"
	ok
	soon is_state "$id" granted
}

@test "a denial needs no stage" {
	id=$(ask alice one m@2)
	run deny bob "$id" no
	ok
	soon is_state "$id" denied
}

@test "different teams: one of each, and none of the requester's" {
	policy <<-'END'
	# teams
	[role anybody]
	members = bob, carol, dave, mallory
	[user alice]
	team = ml
	[user bob]
	team = risk
	[user carol]
	team = risk
	[user dave]
	team = ml
	[rule one]
	operation = one
	role = ml-engineer
	approve = 2 anybody
	approve-teams = different
	[user mallory]
	team = legal
	END
	id=$(ask alice one m@1)
	run approve dave "$id"
	[ "$status" -eq 125 ]
	has 'of another team'
	run approve bob "$id"
	ok
	run approve carol "$id"
	is_state "$id" pending
	run approve mallory "$id"
	ok
	soon is_state "$id" granted
}

@test "a service account approves nothing" {
	policy <<-'END'
	# service
	[role robots]
	members = ci-deploy, bob
	[rule one]
	operation = one
	role = ml-engineer
	approve = 1 robots
	END
	id=$(ask alice one m@1)
	run approve ci-deploy "$id"
	[ "$status" -eq 125 ]
	has 'a service account approves nothing'
	is_state "$id" pending
	as alice "modelgate cancel $id"
}

@test "who approved or did the earlier stage does not approve the later one" {
	policy <<-'END'
	# earlier
	[role anybody]
	members = alice, bob, carol, dave
	[rule one]
	operation = one
	role = anybody
	approve = 1 anybody
	[rule two]
	operation = two
	role = anybody
	approve = 1 anybody
	approve-not = approved one, did one
	END
	id=$(ask alice one n@1)
	approve bob "$id"
	soon is_state "$id" granted
	run as alice 'modelgate run one n@1'
	ok
	id=$(ask dave two n@1)
	run approve bob "$id"
	[ "$status" -eq 125 ]
	has 'no part in this version'
	run approve alice "$id"
	[ "$status" -eq 125 ]
	# and it is the ledger that remembers, not the process
	sb service modelgated restart
	run approve bob "$id"
	[ "$status" -eq 125 ]
	run approve carol "$id"
	ok
	soon is_state "$id" granted
	# another version is another matter
	id=$(ask dave two n@2)
	run approve bob "$id"
	ok
	soon is_state "$id" granted
}

@test "nobody drives a version from deploy to retire alone" {
	policy <<-'END'
	# separation
	[role anybody]
	members = alice, bob
	[rule all]
	operation = one, two, three
	role = anybody
	[separation life]
	operations = one, two, three
	at-most = 2
	END
	run as alice 'modelgate run one s@1'
	ok
	run as alice 'modelgate run two s@1'
	ok
	run as alice 'modelgate run three s@1'
	[ "$status" -eq 125 ]
	has 'alone'
	has 'alice did 2 of its operations'
	run as alice 'modelgate run three s@2'
	ok
	sb service modelgated restart
	run as alice 'modelgate run three s@1'
	[ "$status" -eq 125 ]
	run as bob 'modelgate run three s@1'
	ok
}

@test "grants that were collected beforehand do not help against separation" {
	for op in one two three; do
		as alice "modelgate request $op t@1 --reason x --no-wait" </dev/null
	done
	run as alice 'modelgate run one t@1'
	ok
	run as alice 'modelgate run two t@1'
	ok
	run as alice 'modelgate run three t@1'
	[ "$status" -eq 125 ]
	has 'alone'
}
