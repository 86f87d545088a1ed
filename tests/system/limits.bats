#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Nobody writes records or log lines without end, and guesses at a second
# factor are counted per person: over every channel, across restarts, and
# never for somebody else.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

rate=20
setup_file()
{
	host_up
	root sh -c "printf '[limits]\nrefusals-per-minute = $rate\n' >>/etc/modelgate/agent.ini" </dev/null
	sb service modelgated restart
}
teardown_file() { host_down; }

peer() { as "$1" python3 "$top/tests/system/agent_peer.py" "${@:2}" </dev/null; }
lines() { sb log modelgated | grep -c "$1" || :; }
of() { ledger "$1" | jq -c "select($2)" | wc -l; }

# guesses N USER COMMAND: N wrong codes; then the terminal is closed.
guesses()
{
	N=$1 USER_NAME=$2 USER_COMMAND=$3 TOP=$top expect -f - <<'END'
set timeout 90
set n 0
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt $env(USER_NAME) $env(USER_COMMAND)
expect {
	-ex "Verification code:" { if {[incr n] > $env(N)} { exit 3 }; send "000000\r"; exp_continue }
	-ex "assword:" { send "wrong\r"; exp_continue }
	timeout { exit 99 }
	eof {}
}
exit [lindex [wait] 3]
END
}
# how often USER's guesses counted, by service
counted() { ledger mfa | jq -r "select(.user == \"$1\" and .counts) | .service"; }

@test "promise8 refusals: so many a minute are on record and on the log, and then how many were not" {
	# the minute may change once, and with it what may be written
	run peer mallory unenroll 150
	[ "$(grep -c 'unenroll refused' <<<"$output")" -eq 150 ]
	n=$(of refused '.user == "mallory" and .operation == "unenroll" and .why == "not-permitted"')
	[ "$n" -ge "$rate" ] && [ "$n" -le $((2 * rate)) ] || fail "$n records"
	n=$(lines 'evt=refused.*user=mallory')
	[ "$n" -ge "$rate" ] && [ "$n" -le $((2 * rate)) ] || fail "$n lines"
	[ "$(lines 'user=mallory\|uid=7005')" -le $((2 * rate + 2)) ]
	sb service modelgated restart
	[ "$(lines 'evt=limit uid=7005 dropped=')" -ge 1 ]
	# hers are hers: others' refusals are on record all the same
	was=$(of refused '.user == "bob"')
	run as bob 'modelgate run deploy receipt-ocr@1 --reason x'
	[ "$status" -eq 125 ]
	[ "$(of refused '.user == "bob"')" -eq $((was + 1)) ]
}

@test "promise8 who has a code asked for and hangs up, fills no ledger and uses up no guess" {
	sb factor alice
	run peer alice asked 60
	has 'asked 60'
	soon [ -n "$(ledger mfa)" ]
	n=$(of mfa '.user == "alice"')
	[ "$n" -le $((2 * rate)) ] || fail "$n records"
	[ -z "$(counted alice)" ]
	[ "$(lines 'evt=mfa user=alice')" -le $((2 * rate)) ]
}

@test "guesses count for who makes them: nobody locks out somebody else" {
	sb factor mallory
	# as alice's account, in her name, and with her name at a prompt
	for how in 'su alice -c id' 'sudo -u alice id' 'sudo id'; do
		guesses 3 mallory "$how" || :
	done
	# from outside, with nothing but her name
	port=$(sb env | sed -n "s/^MG_SANDBOX_SSH_PORT='\{0,1\}\([0-9]*\).*/\1/p")
	for methods in keyboard-interactive password keyboard-interactive; do
		root setsid -w ssh -F none -p "$port" -o StrictHostKeyChecking=no \
		    -o UserKnownHostsFile=/dev/null -o BatchMode=no \
		    -o NumberOfPasswordPrompts=3 -o PreferredAuthentications=$methods \
		    alice@127.0.0.1 id </dev/null || :
	done
	[ -z "$(counted alice)" ]
	run with_code alice 'modelgate run rollback receipt-ocr@1 --reason x'
	hasnt 'too many wrong codes'
	[ "$(of mfa '.user == "alice" and .ok')" -ge 1 ]
}

@test "five wrong codes lock, over every channel and across a restart" {
	sb factor alice
	was=$(counted alice | wc -l)
	guesses 1 alice 'modelgate run rollback receipt-ocr@2 --reason x' || :
	guesses 1 alice 'modelgate request root-shell --reason x' || :
	guesses 1 alice 'modelgate enroll' || :
	sb service modelgated kill
	sb service modelgated start
	extra_policy <<-'END'
		[rule logins-take-a-code]
		operation = login
		user = alice
		mfa = required
	END
	root python3 "$top/tests/system/agent_peer.py" guess 4 </dev/null
	[ "$(counted alice | tail -n +$((was + 1)) | sort | uniq -c | tr -s ' \n' ' ')" = ' 1 enroll 2 run 2 sshd ' ] ||
	    fail "$(counted alice | tr '\n' ' ')"
	root rm /etc/modelgate/policy.d/zz-test.ini </dev/null
	sb service modelgated restart
	for command in 'modelgate run rollback receipt-ocr@2 --reason x' 'modelgate request root-shell --reason x' 'modelgate enroll'; do
		run with_code alice "$command"
		failed
		has 'too many wrong codes'
	done
	# each is in the audit log too, and others are not locked
	run audit -m USER_AUTH -i
	has 'op=modelgate:mfa'
	run audit -m ANOM_LOGIN_FAILURES
	has 'acct="alice"'
	run as bob 'modelgate status'
	ok
}

# descriptors and processes of the agent
count_fds() { find "/proc/$(pid_of modelgated)/fd" -mindepth 1 | wc -l; }
count_workers() { pgrep_in -c -x mg-front || :; }
# (writers of audit records stay, one a user, of a few descriptors)
is_as_before() { [ "$(count_fds)" -le $((fds + 16)) ] && [ "$(count_workers)" -le $((workers + 2)) ]; }

@test "promise8 a list longer than any queue comes whole, and says which limit ended it" {
	extra_policy <<-'END'
		[operation wait]
		command = /bin/true
		run-as = mlserve

		[rule wait]
		operation = wait
		role = pipeline
		approve = 1 risk-owner
		approve-within = 8h
	END
	run peer ci-deploy file 201
	has 'filed 200'
	has "refused you have 200 open requests and grants"
	# much more than the 256 KiB that may wait for one client
	[ "$(root modelgate requests --all --json </dev/null | jq length)" -ge 200 ]
	[ "$(root modelgate requests --all --json </dev/null | wc -c)" -gt 262144 ]
	as ci-deploy 'modelgate requests --json' >"$BATS_TEST_TMPDIR/own" </dev/null
	[ "$(jq length "$BATS_TEST_TMPDIR/own")" -eq 200 ]
	run as ci-deploy 'modelgate request wait more@1 --reason x' </dev/null
	has 'pending-per-user'
}

@test "promise8 floods of one user: others are answered, and nothing is left of them" {
	fds=$(count_fds) workers=$(count_workers)
	mkfifo "$BATS_TEST_TMPDIR/go"
	# dave may list everything, and does not read it
	for who in mallory dave; do
		as "$who" "python3 $top/tests/system/agent_peer.py flood 120" \
		    <"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/$who" 2>&1 3>&- &
	done
	exec 8>"$BATS_TEST_TMPDIR/go"
	soon grep -q holding "$BATS_TEST_TMPDIR/mallory"
	soon grep -q holding "$BATS_TEST_TMPDIR/dave"
	soon grep -q "refused .* you have 64 connections to the agent" "$BATS_TEST_TMPDIR/mallory"
	[ "$(count_workers)" -le 140 ]
	for _ in 1 2 3 4 5; do
		run as bob 'timeout 5 modelgate status' </dev/null
		ok
	done
	run as alice 'timeout 5 modelgate requests' </dev/null
	ok
	run timeout 5 "$top/scripts/sandbox" root modelgate requests --all --json </dev/null
	ok
	[ "$(jq length <<<"$output")" -ge 200 ]
	exec 8>&-
	output=
	soon is_as_before || fail "$(count_fds) descriptors, $(count_workers) workers; before $fds, $workers"
}

@test "promise8 users have turns, not connections: who comes alone is not behind all that others have waiting" {
	local who
	for who in mallory dave bob; do
		mkfifo "$BATS_TEST_TMPDIR/$who.go"
		as $who "python3 $top/tests/system/agent_peer.py turns $([ $who = bob ] && echo 1 || echo 60)" \
		    <"$BATS_TEST_TMPDIR/$who.go" >"$BATS_TEST_TMPDIR/$who" 2>&1 3>&- &
	done
	exec 6>"$BATS_TEST_TMPDIR/mallory.go" 7>"$BATS_TEST_TMPDIR/dave.go" 8>"$BATS_TEST_TMPDIR/bob.go"
	soon three_wait
	pkill_in -STOP -x mg-front
	echo >&6
	echo >&7
	soon grep -q waiting "$BATS_TEST_TMPDIR/mallory"
	soon grep -q waiting "$BATS_TEST_TMPDIR/dave"
	echo >&8
	soon grep -q waiting "$BATS_TEST_TMPDIR/bob"
	pkill_in -CONT -x mg-front
	exec 6>&- 7>&- 8>&-
	wait
	# all are answered, with an item and not by a refusal
	[ "$(cat "$BATS_TEST_TMPDIR"/{mallory,dave,bob} | grep -c ' 28$')" -eq 121 ] ||
	    fail "$(cut -d' ' -f2 "$BATS_TEST_TMPDIR"/{mallory,dave,bob} | sort | uniq -c)"
	bob=$(awk '$2 == 28 { print $1 }' "$BATS_TEST_TMPDIR/bob")
	later=$(cat "$BATS_TEST_TMPDIR"/{mallory,dave} | awk -v t="$bob" '$2 == 28 && $1 > t' | wc -l)
	[ "$later" -gt 10 ] || fail "after bob only $later of 120"
}
three_wait() { [ "$(pgrep_in -fc 'agent_peer.py turns')" -ge 3 ]; }

@test "root's programs have a socket of their own" {
	[ "$(root stat -c '%a %U' /run/modelgate/root.sock </dev/null)" = '600 root' ]
	run as mallory 'python3 -c "import socket; socket.socket(socket.AF_UNIX).connect(\"/run/modelgate/root.sock\")"' </dev/null
	failed
	has 'Permission denied'
}
