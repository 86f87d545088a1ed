#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# How much, how sure, where and when: what a running agent knows of the past,
# of the login, of files and of the clock, and that it says what the tool says.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib
load policy_lib

setup_file() { policy_up; }
teardown_file() { host_down; }
teardown() { root modelgate revoke --all </dev/null >/dev/null; }

# request USER OPERATION MODEL: a grant to hold, without a command. A person's
# ends with the session, a service account's does not.
request() { as "$1" "modelgate request $2 $3 --no-wait --reason x ${4-}" </dev/null; }

@test "max-concurrent: per model, per tier, per host; it is free again when a grant ends" {
	policy <<-'END'
	# concurrent
	[role anybody]
	members = alice, ci-deploy
	[model a*]
	tier = top
	[model b*]
	tier = top
	[rule one]
	operation = one
	role = anybody
	max-concurrent = 1
	[rule two]
	operation = two
	role = anybody
	max-concurrent = 1 per tier
	[rule three]
	operation = three
	role = anybody
	max-concurrent = 2 per host
	END
	request ci-deploy one a1@1
	run request alice one a1@1
	[ "$status" -eq 125 ]
	has 'allows 1 at once per model'
	run request alice one a2@1
	ok
	request ci-deploy two a1@1
	run request alice two b1@1
	[ "$status" -eq 125 ]
	has 'per tier'
	run request alice two c1@1
	ok
	request ci-deploy three x@1
	request ci-deploy three y@1
	run request alice three z@1
	[ "$status" -eq 125 ]
	has 'per host'
	# its own grant can be used all the same
	run as ci-deploy 'modelgate run three x@1'
	ok
	soon request alice three z@1
}

@test "max-concurrent: root shells that a rule allows without a grant count, until they end" {
	policy <<-'END'
	# shells
	[role keeper]
	members = bob, mallory
	[rule shells]
	operation = root-shell
	role = keeper
	max-concurrent = 1 per host
	END
	root sh -c 'echo "bob ALL=(ALL:ALL) NOPASSWD: ALL" >>/etc/sudoers' </dev/null
	root sh -c 'mkfifo -m 666 /run/hold' </dev/null
	# as long as nobody opens the other end
	as bob 'sudo -n sh -c "read x </run/hold"' >/dev/null 2>&1 </dev/null 3>&- &
	shell=$!
	soon pgrep_in -f '^sh -c read x'
	run as mallory 'sudo -n id -u' </dev/null
	failed
	has 'allows 1 at once per host, and 1 is going on'
	# over a restart of the agent, too
	sb service modelgated kill
	sb service modelgated start
	run as mallory 'sudo -n id -u' </dev/null
	failed
	has 'allows 1 at once'
	root sh -c 'echo >/run/hold' </dev/null
	wait "$shell"
	mallory_in() { [ "$(as mallory 'sudo -n id -u' </dev/null)" = 0 ]; }
	soon mallory_in
	id=$(ledger access | jq -rs 'map(select(.operation == "root-shell" and .user == "bob")) | last.uuid')
	[ "$(ledger access-end | jq -rs "map(select(.uuid == \"$id\")) | length")" -eq 1 ]
	# one that was killed while the agent was down is not counted either
	as bob 'sudo -n sh -c "read x </run/hold"' >/dev/null 2>&1 </dev/null 3>&- &
	soon pgrep_in -f '^sh -c read x'
	sb service modelgated kill
	pkill_in -9 -f '^sudo -n sh -c read x'
	pkill_in -9 -f '^sh -c read x'
	sb service modelgated start
	soon mallory_in
	wait
}

@test "rate: per person and time, over restarts" {
	policy <<-'END'
	# rate
	[role anybody]
	members = alice, bob
	[rule one]
	operation = one, two
	role = anybody
	rate = 2 per 1h
	[rule three]
	operation = three
	role = anybody
	rate = 1 per 2s
	END
	run as bob 'modelgate run one r@1'
	run as bob 'modelgate run two r@1'
	run as bob 'modelgate run one r@2'
	[ "$status" -eq 125 ]
	has 'allows 2 per 1h to one person'
	sb service modelgated restart
	run as bob 'modelgate run two r@2'
	[ "$status" -eq 125 ]
	run as alice 'modelgate run three r@3'
	ok
	again() { as alice 'modelgate run three r@4' </dev/null; }
	soon again
}

@test "a budget of bytes, of the artifacts that were granted" {
	root sh -c 'for v in 1 2 3; do mkdir -p /srv/models/big/$v; head -c 3000000 /dev/zero >/srv/models/big/$v/w; done
	    cat >/etc/modelgate/operations.d/get.ini' <<-'END'
	[operation get]
	command = /bin/echo got {model} {version}
	run-as = mlserve
	artifact = /srv/models/{model}/{version}
	END
	policy <<-'END'
	# budget
	[rule get]
	operation = get
	role = ml-engineer
	budget = 5MiB per 1d
	[rule one]
	operation = one
	role = ml-engineer
	budget = 5MiB per 1d
	END
	run as alice 'modelgate run get big@1'
	ok
	run as alice 'modelgate run get big@2'
	[ "$status" -eq 125 ]
	has 'allows 5 MiB per 1d'
	sb service modelgated restart
	run as alice 'modelgate run get big@2'
	[ "$status" -eq 125 ]
	run as ci-deploy 'modelgate run get big@2'
	[ "$status" -eq 125 ]
	hasnt 'MiB'
	# what has no size is in no budget
	run as alice 'modelgate run one big@1'
	[ "$status" -eq 125 ]
	has 'is not known'
}

@test "uses, start-within, lasts: a grant is used so often, begun so soon, and ends" {
	policy <<-'END'
	# times
	[role anybody]
	members = ci-deploy
	[rule one]
	operation = one
	role = anybody
	uses = 2
	[rule two]
	operation = two
	role = anybody
	uses = unlimited
	lasts = 2s
	[rule three]
	operation = three
	role = anybody
	approve = 1 risk-owner
	approve-within = 1s
	[rule wait]
	operation = wait
	role = anybody
	lasts = 2s
	END
	request ci-deploy one u@1
	run as ci-deploy 'modelgate run one u@1'
	ok
	run as ci-deploy 'modelgate run one u@1'
	ok
	id=$(ledger grant | jq -r .uuid | tail -n 1)
	soon is_state "$id" used
	request ci-deploy two u@1
	id=$(ledger grant | jq -r .uuid | tail -n 1)
	run as ci-deploy 'modelgate run two u@1'
	run as ci-deploy 'modelgate run two u@1'
	ok
	soon is_state "$id" expired
	id=$(ask ci-deploy three u@1)
	soon is_state "$id" timedout
	# what still runs at the end of its grant is ended
	run as ci-deploy 'modelgate run wait'
	[ "$status" -eq 137 ]
	has 'its time is over'
}

@test "the login's key: hardware or not, which kind, and how long it is in use" {
	policy <<-'END'
	# keys
	[rule one]
	operation = one
	role = ml-engineer
	mfa = hardware-key
	[rule two]
	operation = two
	role = ml-engineer
	login-key = ed25519
	login-key-max-age = 1d
	[rule three]
	operation = three
	role = ml-engineer
	login-key = rsa
	END
	run as alice 'modelgate run one k@1'
	[ "$status" -eq 125 ]
	has 'hardware-backed key'
	run as alice 'modelgate run two k@1'
	ok
	run as alice 'modelgate run three k@1'
	[ "$status" -eq 125 ]
	has 'rsa'
	policy <<-'END'
	# old keys
	[rule two]
	operation = two
	role = ml-engineer
	login-key-max-age = 1s
	END
	too_old() { ! as alice 'modelgate run two k@2' </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1; }
	soon too_old
	grep -q 'came into use in the last 1s' "$BATS_TEST_TMPDIR/out"
	# and a restart makes it no younger
	sb service modelgated restart
	run as alice 'modelgate run two k@3'
	[ "$status" -eq 125 ]
}

@test "a second factor is fresh for a while, in its session" {
	policy <<-'END'
	# fresh
	[rule one]
	operation = one
	role = ml-engineer
	mfa = required
	mfa-max-age = 1h
	END
	# twice in one session: one code
	run with_code alice 'modelgate run one f@1; modelgate run one f@2 </dev/null'
	ok
	has 'one f 1'
	has 'one f 2'
	[ "$(grep -c 'Verification code' <<<"$output")" -eq 1 ]
	# another session is another matter
	run as alice 'modelgate run one f@3'
	[ "$status" -eq 125 ]
	has 'second factor is needed'
}

@test "files that other systems write, safely looked at" {
	policy <<-'END'
	# files
	[rule one]
	operation = one
	role = ml-engineer
	when = file:/run/modelgate-test/open newer than 1h
	[rule two]
	operation = two
	role = ml-engineer
	[rule no-two]
	effect = deny
	operation = two
	when = file:/run/modelgate-test/incident present
	END
	root mkdir -p /run/modelgate-test
	run as alice 'modelgate run one w@1'
	[ "$status" -eq 125 ]
	root touch /run/modelgate-test/open
	run as alice 'modelgate run one w@1'
	ok
	root touch -d '2 hours ago' /run/modelgate-test/open
	run as alice 'modelgate run one w@1'
	[ "$status" -eq 125 ]
	run as alice 'modelgate run two w@1'
	ok
	root touch /run/modelgate-test/incident
	run as alice 'modelgate run two w@1'
	[ "$status" -eq 125 ]
	has 'no-two'
	root rm /run/modelgate-test/incident
	# a folder that others can write says nothing: doubt is no
	root touch /run/modelgate-test/open
	root chmod 777 /run/modelgate-test
	run as alice 'modelgate run one w@1'
	[ "$status" -eq 125 ]
	run as alice 'modelgate run two w@1'
	[ "$status" -eq 125 ]
	root rm -r /run/modelgate-test
}

@test "hosts, networks, windows and freezes" {
	before=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M)
	after=$(date -u -d 'next hour' +%Y-%m-%dT%H:%M)
	later=$(date -u -d '2 hours' +%Y-%m-%dT%H:%M)
	policy <<-END
	# where and when
	[rule one]
	operation = one
	role = ml-engineer
	host = env:production
	from = 127.0.0.0/8
	time = $before .. $after UTC
	[rule two]
	operation = two
	role = ml-engineer
	host = env:staging
	[rule three]
	operation = three
	role = ml-engineer
	from = 10.0.0.0/8
	[rule wait]
	operation = wait
	role = ml-engineer
	time = $after .. $later UTC
	END
	run as alice 'modelgate run one h@1'
	ok
	for op in two three wait; do
		run as alice "modelgate run $op h@1"
		[ "$status" -eq 125 ]
		has "rule $op"
	done
	policy <<-END
	# freeze
	[rule one]
	operation = one
	role = ml-engineer
	[rule frozen]
	effect = deny
	operation = *
	role = ml-engineer
	time = $before .. $after UTC
	[rule people-log-in]
	operation = login
	END
	run as alice 'modelgate run one h@1'
	[ "$status" -ne 0 ]
	# who has logged in stays refused by the same rule that the tool names
	root rm /etc/modelgate/policy.d/zz-test.ini
	reload
}

@test "the agent says what modelgate policy explain says" {
	policy <<-'END'
	# explain
	[rule one]
	operation = one
	role = ml-engineer
	host = env:staging
	[rule two]
	operation = two
	role = ml-engineer
	[rule no-two]
	effect = deny
	operation = two
	model = secret-*
	[rule three]
	operation = three
	role = risk-owner
	END
	while read -r who op model; do
		run as "$who" "modelgate run $op $model --json"
		[ "$status" -eq 125 ] || fail "$who $op $model"
		jq -r 'select(.event == "refused") | "\(.why)\n\(.rule)\n\(.remedy)"' <<<"$output" >"$BATS_TEST_TMPDIR/agent"
		root modelgate policy explain "$who" "$op" "$model" on gpu-7,env:production from 127.0.0.1 --json </dev/null >"$BATS_TEST_TMPDIR/tool" || :
		why=$(sed -n 1p "$BATS_TEST_TMPDIR/agent")
		remedy=$(sed -n 3p "$BATS_TEST_TMPDIR/agent")
		[ -n "$remedy" ]
		grep -qF "\"$why\"" "$BATS_TEST_TMPDIR/tool" || fail "$(cat "$BATS_TEST_TMPDIR/agent" "$BATS_TEST_TMPDIR/tool")"
		jq -e --arg r "$remedy" '[.. | strings] | index($r)' "$BATS_TEST_TMPDIR/tool" >/dev/null ||
		    fail "$(cat "$BATS_TEST_TMPDIR/agent" "$BATS_TEST_TMPDIR/tool")"
	done <<-'END'
	alice one m@1
	alice two secret-x@1
	alice three m@1
	mallory two m@1
	END
	run as alice 'modelgate run two m@1'
	ok
	run root modelgate policy explain alice two m@1 on gpu-7,env:production from 127.0.0.1 </dev/null
	ok
}
