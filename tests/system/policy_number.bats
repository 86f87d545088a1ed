#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# confirm = number: two digits that only the requester's terminal shows, and
# that approvers sign.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib
load policy_lib

setup_file()
{
	policy_up
	policy <<-'END'
	[role anybody]
	members = bob, carol, dave
	[rule one]
	operation = one
	role = ml-engineer
	confirm = number
	approve = 1 anybody
	[rule two]
	operation = two
	role = ml-engineer
	confirm = number
	approve = 2 anybody
	END
}
teardown_file() { host_down; }
teardown() { root modelgate revoke --all </dev/null >/dev/null; }

# ask_number OPERATION MODEL@VERSION: sets id and number.
ask_number()
{
	as alice "modelgate run $1 $2 --no-wait --reason x" \
	    >"$BATS_TEST_TMPDIR/asked" 2>&1 </dev/null
	id=$(sed -n 's/.*is filed as \([0-9A-Z]*\)$/\1/p' "$BATS_TEST_TMPDIR/asked")
	number=$(sed -n 's/.*ask this number: \([0-9]*\)$/\1/p' "$BATS_TEST_TMPDIR/asked")
	[[ $number =~ ^[0-9][0-9]$ ]] || fail "no number: $(cat "$BATS_TEST_TMPDIR/asked")"
}
another() { printf '%02d' $(((10#$number + ${1-1}) % 100)); }
sign_text()
{
	as "$1" "ssh hub text $id approve ${3-} | sed '\$s/[?][?]/$2/' |
	    ssh-keygen -Y sign -n modelgate-approval -f ~/.ssh/id_ed25519 |
	    ssh hub submit $id approve ${3-}"
}

@test "the requester sees two digits; the hub and the approvers do not" {
	ask_number one m@1
	run as alice "modelgate status $id --json"
	has "\"number\":\"$number\""
	for who in bob dave; do
		run as "$who" "ssh hub show $id --json; ssh hub text $id approve"
		has 'confirm: ??'
		hasnt "confirm: $number"
	done
	# who may see everybody's requests does not see the number
	run as dave "modelgate status $id --json"
	has "$id"
	hasnt '"number"'
	run ledger request
	has "$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')"
	hasnt '"number"'
}

@test "modelgate approve: typed on the terminal, part of what is signed" {
	ask_number one m@2
	TOP=$top ID=$id NUMBER=$number run expect -f - <<'END'
set timeout 90
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt bob modelgate approve $env(ID)
expect {
	-ex "number on the requester's terminal: " { send "$env(NUMBER)\r"; exp_continue }
	eof {}
}
exit [lindex [wait] 3]
END
	ok
	soon is_state "$id" granted
	run ledger decision
	text=$(jq -rj "select(.uuid == \"$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')\") .text" <<<"$output")
	[[ $text == *"confirm: $number"* ]] || fail "not in the text"
}

@test "a wrong number does not count, and three end it for that approver" {
	ask_number two m@3
	run as bob "modelgate approve $id --yes"
	[ "$status" -eq 125 ]
	has 'number'
	run as bob "modelgate approve $id --yes --number 4x"
	[ "$status" -eq 2 ]
	for i in 1 2 3; do
		run as bob "modelgate approve $id --yes --number $(another "$i")"
		[ "$status" -eq 125 ]
		has 'was it the number'
	done
	is_state "$id" pending
	run as bob "modelgate approve $id --yes --number $number"
	[ "$status" -eq 125 ]
	has 'too many wrong numbers'
	# the others are not held up by that
	run as carol "modelgate approve $id --yes --number $number"
	ok
	run as dave "modelgate approve $id --yes --number $number"
	ok
	soon is_state "$id" granted
}

@test "raw ssh: the digits come into the text without passing the hub" {
	ask_number one m@4
	run sign_text bob "$(another)"
	failed
	has 'was it the number'
	run sign_text bob '??'
	failed
	is_state "$id" pending
	run sign_text carol "$number" fine
	ok
	has accepted
	soon is_state "$id" granted
}

@test "the hub's menu asks for it" {
	ask_number one m@5
	TOP=$top ID=$id NUMBER=$number run expect -f - <<'END'
set timeout 90
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt bob "ssh-agent sh -c 'ssh-add -q; ssh -A -tt hub'"
expect {
	-ex "q to leave: " {}
	timeout { exit 90 }
}
send "$env(ID)\r"
expect -ex "Enter back: "
send "a\r"
expect -ex "none): "
send "\r"
expect -ex "number on the requester's terminal: "
send "$env(NUMBER)\r"
expect -ex "type yes: "
send "yes\r"
expect {
	-re "(accepted|refused)" {}
	timeout { exit 91 }
}
expect -ex "q to leave: "
send "q\r"
expect eof
END
	ok
	has accepted
	soon is_state "$id" granted
}

@test "a denial needs no number" {
	ask_number one m@6
	run deny bob "$id" no
	ok
	soon is_state "$id" denied
}

@test "the number is the same after a restart of the agent" {
	ask_number one m@7
	sb service modelgated kill
	sb service modelgated start
	run as alice "modelgate status $id --json"
	has "\"number\":\"$number\""
	run as bob "modelgate approve $id --yes --number $number"
	ok
	soon is_state "$id" granted
}
