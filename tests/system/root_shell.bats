#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Becoming root under a grant, over the real sudo and su: the grant holds
# what it let in, and its end ends it.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	root sh -c 'echo root:secret | chpasswd' </dev/null
}
teardown_file() { host_down; }
teardown() { root modelgate revoke --all </dev/null || :; }

# Two processes of a root shell, one of them on its own.
tree='id -u; setsid sleep 4711 >/dev/null 2>&1 & echo up; exec sleep 4712'
both_run() { [ "$(pgrep_in -fc '^sleep 471[12]')" -eq 2 ]; }
neither_runs() { none '^sleep 471[12]'; }

# asks_root OPTIONS COMMAND...: alice asks for a grant and goes on with
# COMMAND in the same login, in the background; what it says is in $out.
out=
asks_root()
{
	local options=$1 code
	shift
	out=$BATS_TEST_TMPDIR/out
	code=$(sb totp alice)
	TOP=$top CODE=$code LINE="modelgate request root-shell --reason fix $options && { $*; }; echo left-\$?" \
	    expect -f - >"$out" 2>&1 3>&- <<'END' &
set timeout 60
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt alice $env(LINE)
expect {
	-ex "Verification code:" { send "$env(CODE)\r"; exp_continue }
	-ex "Password:" { send "secret\r"; exp_continue }
	timeout { puts "nothing happens"; exit 99 }
	eof {}
}
END
	id=$(wait_for_request)
	soon approve bob "$id" ok
}

# What the ledger has of the end of the last session under a grant.
last_empty() { ledger empty | jq -se --arg id "$(uuid_of "$id")" "map(select(.uuid == \$id)) | length == 1 and (last | $1)"; }
uuid_of() { root modelgate status "$1" --json </dev/null | jq -r '.[0].uuid'; }

@test "without a grant sudo is refused, says why, and runs nothing" {
	run as alice 'sudo -n -i echo in'
	failed
	hasnt in-42
	has 'root-shell'
	has 'modelgate request root-shell'
	run as mallory 'sudo -n id'
	failed
}

@test "promise4 sudo -i under a grant: revocation ends the shell and all it started" {
	asks_root '' "sudo -i sh -c '$tree'"
	soon both_run
	grep -q '^0' "$out"
	is_state "$id" granted
	root modelgate grants --all --json </dev/null | jq -e '.[0].running == 1'
	root modelgate revoke "$id" </dev/null
	soon neither_runs
	soon last_empty '.why == "revoked" and .took_us >= 0'
	# Her own login goes on.
	soon grep -q left- "$out"
	soon is_state "$id" revoked
	run audit -uu "$(uuid_of "$id")" -i
	ok
	has 'op=modelgate:run'
	has 'op=modelgate:revoked'
}

@test "promise4 the end of the time ends it too, and su is as sudo" {
	asks_root '--for 6s' "su -c '$tree'"
	soon both_run
	soon -t 20 neither_runs
	soon last_empty '.why == "expired"'
	soon grep -q left- "$out"
}

@test "promise4 logout ends it, also what daemonised" {
	asks_root '' "sudo sh -c '$tree'"
	soon both_run
	pkill_in -f '^sshd: alice' || :
	soon -t 20 neither_runs
	soon last_empty '.why == "logout"'
}

@test "a root shell that is left is on record, and the grant is used" {
	asks_root '' 'sudo -i echo in-$((40+2)); sudo -n -i echo again-$((40+2))'
	soon grep -q left- "$out"
	grep -q '^in-42' "$out"
	soon is_state "$id" used
	last_empty '.why == null'
	! grep -q '^again-42' "$out"
}

@test "promise6 an agent that is killed: a new one ends what nobody held" {
	asks_root '' "sudo -i sh -c '$tree'"
	soon both_run
	sb service modelgated kill
	sb service modelgated start
	soon neither_runs
	soon last_empty '.why == "restart"'
}

@test "promise7 who is root already needs neither grant nor agent" {
	sb service modelgated stop
	run root su -c 'echo in-$((40+2))' alice
	ok
	has in-42
	sb service modelgated start
}
