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
	code=$(code_of alice)
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
	soon neither_runs
	soon last_empty '.why == "expired"'
	soon grep -q left- "$out"
}

@test "promise4 logout ends it, also what daemonised" {
	asks_root '' "sudo sh -c '$tree'"
	soon both_run
	pkill_in -f '^sshd: alice' || :
	soon neither_runs
	soon last_empty '.why == "logout"'
}

# stalled: `su` gets its password and is let in, but cannot say so, for its
# terminal's output is stopped; it goes on when /tmp/go is there.
stalled='python3 -c "
import os, pty, sys, termios, time
leader, line = pty.openpty()
termios.tcflow(line, termios.TCOOFF)
pid = os.fork()
if pid == 0:
    os.setsid()
    import fcntl
    fcntl.ioctl(line, termios.TIOCSCTTY, 0)
    os.dup2(line, 0); os.dup2(line, 1)
    os.dup2(os.open(\"/dev/null\", os.O_WRONLY), 2)
    os.execvp(\"su\", [\"su\", \"-c\", sys.argv[1]])
time.sleep(1)
os.write(leader, b\"secret\\n\")
while not os.path.exists(\"/tmp/go\"):
    time.sleep(0.05)
termios.tcflow(line, termios.TCOON)
print(\"su ended\", os.waitpid(pid, 0)[1])
"'

@test "promise4 who waits between the account and the session is held as well" {
	root rm -f /tmp/go </dev/null
	asks_root '' "$stalled 'exec sleep 4711'"
	let_in() { [ "$(ledger access | jq -s --arg u "$(uuid_of "$id")" 'map(select(.uuid == $u)) | length')" -eq 1 ]; }
	soon let_in
	root modelgate revoke "$id" </dev/null
	soon is_state "$id" revoked
	root touch /tmp/go </dev/null
	soon grep -q 'su ended' "$out"
	none '^sleep 4711' || fail "a root shell without a grant"
	grep -q 'su ended [^0]' "$out"
	soon last_empty '.why == "revoked"'
}

@test "promise4 sudo -e is held, too: nothing is written back after the end" {
	root sh -c 'echo before >/etc/edited; rm -f /tmp/editing
	    printf "#!/bin/sh\necho after >\"\$1\"; touch /tmp/editing; exec sleep 4711\n" >/tmp/editor; chmod 755 /tmp/editor' </dev/null
	asks_root '' 'EDITOR=/tmp/editor sudo -e /etc/edited'
	soon root test -e /tmp/editing
	root modelgate revoke "$id" </dev/null
	soon none '^sleep 4711'
	soon grep -q left- "$out"
	run root cat /etc/edited </dev/null
	[ "$output" = before ] || fail "it was written after the end"
}

@test "each root shell is on record; the grant is good for others until its login ends" {
	asks_root '' 'sudo -i echo in-$((40+2)); sudo -n -i echo again-$((40+2))'
	soon grep -q left- "$out"
	grep -q '^in-42' "$out"
	grep -q '^again-42' "$out"
	soon is_state "$id" revoked
	[ "$(ledger end | jq -r .why | tail -n 1)" = logout ]
	ledger empty | jq -se --arg id "$(uuid_of "$id")" 'map(select(.uuid == $id)) | map(.why) == [null, null]'
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

# takes_at_most SECONDS COMMAND...: `run`, within that time.
takes_at_most()
{
	local began=$SECONDS most=$1
	shift
	run timeout 60 "$@"
	[ $((SECONDS - began)) -le "$most" ] || fail "it took $((SECONDS - began)) s"
}
as_now() { "$top/scripts/sandbox" ssh "$@" </dev/null 3>&-; }
export -f as_now
export top

@test "promise7 an agent that hangs refuses in time, and who is declared gets in" {
	root cp /etc/pam.d/sshd /etc/pam.d/sshd.kept
	root sed -i 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/sshd
	kill -STOP "$(pid_of modelgated)"
	takes_at_most 40 bash -c 'as_now alice echo in-42'
	first=("$status" "$output")
	takes_at_most 60 bash -c 'as_now bob echo in-42'
	second=("$status" "$output")
	takes_at_most 40 "$top/scripts/sandbox" root su -c 'echo in-$((40+2))' alice
	third=("$status" "$output")
	kill -CONT "$(pid_of modelgated)"
	root mv /etc/pam.d/sshd.kept /etc/pam.d/sshd
	[ "${first[0]}" -ne 0 ] || fail "alice got in: ${first[1]}"
	[[ ${first[1]} != *in-42* ]] || fail "${first[1]}"
	[ "${second[0]}" -eq 0 ] && [[ ${second[1]} == *in-42* ]] || fail "bob: ${second[1]}"
	[ "${third[0]}" -eq 0 ] && [[ ${third[1]} == *in-42* ]] || fail "su: ${third[1]}"
	soon as alice true
}

@test "promise7 an agent that is down refuses at once, over sshd, sudo and su" {
	sb service modelgated stop
	takes_at_most 20 bash -c 'as_now alice echo in-42'
	failed
	hasnt in-42
	takes_at_most 20 bash -c '"$top/scripts/sandbox" shell alice <<<"sudo -n id"'
	failed
	hasnt uid=0
	has 'the agent does not answer'
	sb service modelgated start
	soon as alice true
}
