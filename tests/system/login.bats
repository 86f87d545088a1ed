#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# login(1) with the shipped stack: people on a terminal line, and root on a
# real virtual console, whatever state the agent is in.
# shellcheck disable=SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	root sh -c 'printf "%s:secret\n" root bob alice mallory | chpasswd
	    touch /root/.hushlogin /home/bob/.hushlogin' </dev/null
	# Three seconds after each wrong password are not what is tested.
	root sed -i '/pam_faildelay/d' /etc/pam.d/login </dev/null
	extra_policy <<-'EOF'
	[rule risk-owners-prove-it]
	effect = require
	operation = login
	role = risk-owner
	mfa = required

	[rule not-mallory]
	effect = deny
	operation = login
	user = mallory
	EOF
}
teardown_file() { host_down; }
teardown()
{
	pkill_in -CONT -x modelgated ||
	    sb service modelgated start
	soon root modelgate status </dev/null
}

# at_line USER: logs in on a line of its own (a pty: no console), with a
# password and, where one is asked for, a code; then echoes in-42.
at_line()
{
	local code=
	[ "$1" != bob ] || code=$(code_of bob)
	NAME=$1 CODE=$code TOP=$top expect -f - 3>&- <<'END2'
set timeout 90
spawn -noecho $env(TOP)/scripts/sandbox root login
set asked 0
expect {
	"gpu-7 login:" {
		# again: this try was refused
		if {[incr asked] > 1} { close; puts "REFUSED"; exit 1 }
		send "$env(NAME)\r"; exp_continue
	}
	"Password:" { send "secret\r"; exp_continue }
	-ex "Verification code:" { puts "ASKED"; send "$env(CODE)\r"; exp_continue }
	-re {[$#] $} { send "echo in-\$((40+2)); tty; exit\r" }
	eof { puts "REFUSED"; exit 1 }
	timeout { puts "nothing happens"; exit 99 }
}
expect eof
END2
}

sessions() { ledger session-open | jq -c 'select(.service == "login")'; }

# takes_at_most SECONDS COMMAND...: `run`, within that time.
takes_at_most()
{
	local began=$SECONDS most=$1
	shift
	run "$@"
	[ $((SECONDS - began)) -le "$most" ] || fail "it took $((SECONDS - began)) s"
}

@test "promise5 a login on a line is a session of that person, from beginning to end" {
	run at_line alice
	ok
	has in-42
	hasnt ASKED
	tty=$(grep -o 'pts/[0-9]*' <<<"$output" | head -n 1)
	run sessions
	[ "$(jq -r '.user, .uid, .tty, .origin' <<<"${lines[-1]}" | xargs)" = "alice 7001 $tty" ]
	ses=$(jq .ses <<<"${lines[-1]}")
	ledger session-close | jq -se "map(select(.ses == $ses)) | length == 1 and .[0].how == \"closed\""
	# Text says which session it was that ended.
	run root modelgate log </dev/null
	has "session-open $ses by login"
	has "session-close $ses (closed)"
	ledger access | jq -se 'last | .user == "alice" and .service == "login" and .operation == "login"'
}

@test "who has to prove more is asked on the line, and a wrong code is no way in" {
	run at_line bob
	ok
	has ASKED
	has in-42
	# The code and the access are one story.
	u=$(ledger access | jq -r 'select(.user == "bob").uuid')
	run audit -uu "$u"
	has 'op=modelgate:mfa'
	has 'op=modelgate:access'
	sb factor bob >/dev/null
	n=$(sessions | wc -l)
	sb() { if [ "$1" = totp ]; then echo 000000; else "$top/scripts/sandbox" "$@" 3>&-; fi; }
	run at_line bob
	failed
	has 'wrong code'
	hasnt in-42
	[ "$(sessions | wc -l)" -eq "$n" ]
}

@test "whom a rule denies is told which, and gets no shell" {
	run at_line mallory
	failed
	has 'mallory may not login: a rule forbids this'
	has 'zz-test.ini:'
	hasnt in-42
}

@test "root on the console gets in, and that is on record" {
	at_console
	sessions | tail -n 1 | jq -e '.user == "root" and (.tty | test("^tty[0-9]+$"))'
	run sb log syslog
	has 'root on the console'
}

@test "promise7 an agent that is down: people are refused at once, rescue= is not, nor root on the console" {
	sb service modelgated stop
	takes_at_most 20 at_line alice
	failed
	has 'the agent does not answer'
	hasnt in-42
	# A pseudo-terminal is no console, whoever sits there.
	takes_at_most 20 at_line root
	failed
	hasnt in-42
	root sed -i.kept 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/login </dev/null
	takes_at_most 20 at_line bob
	root mv /etc/pam.d/login.kept /etc/pam.d/login </dev/null
	ok
	has in-42
	hasnt ASKED
	at_console
}

@test "promise7 an agent that hangs: the same, in bounded time" {
	pkill_in -STOP -x modelgated
	takes_at_most 30 at_line alice
	failed
	has 'the agent does not answer'
	hasnt in-42
	root sed -i.kept 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/login </dev/null
	takes_at_most 60 at_line bob
	root mv /etc/pam.d/login.kept /etc/pam.d/login </dev/null
	ok
	has in-42
	at_console
}

@test "promise7 no policy and no rule keeps root from the console" {
	extra_policy <<-'EOF'
	[rule nobody-at-all]
	effect = deny
	operation = login
	EOF
	run at_line alice
	failed
	run at_line root
	failed
	at_console
	root rm /etc/modelgate/policy.d/zz-test.ini </dev/null
	reload
}
