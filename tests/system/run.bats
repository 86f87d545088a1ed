#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Running the command of a grant, and ending it.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	extra_policy <<'END'
[operation sh]
command = /bin/sh -c {args}
run-as = mlserve

[operation show]
command = /usr/bin/printf [%s] a{model}b {version} {args}
run-as = mlserve

[operation missing]
command = /no/such/command
run-as = mlserve

[operation not-executable]
command = /etc/hostname
run-as = mlserve

[operation brief]
command = /bin/sh -c {args}
run-as = mlserve

[operation once]
command = /bin/sh -c {args}
run-as = mlserve

[rule test-runs]
operation = sh, show, missing, not-executable
uses = unlimited
role = ml-engineer
lasts = 1h

[rule test-once]
operation = once
role = ml-engineer
lasts = 1h

[rule test-brief]
operation = brief
role = ml-engineer
lasts = 2s
END
}
teardown_file() { host_down; }

run_sh() { as alice "modelgate run sh -- '$1'"; }

@test "promise5 the command runs as its user, with fresh groups and nobody else's" {
	run run_sh 'id -u; id -g; id -G; id -ru'
	ok
	[ "${lines[0]}" = "$(root id -u mlserve </dev/null)" ]
	[ "${lines[1]}" = "$(root id -g mlserve </dev/null)" ]
	[ "${lines[2]}" = "$(root id -G mlserve </dev/null)" ]
	[ "${lines[3]}" = "$(root id -u mlserve </dev/null)" ]
	root usermod -a -G adm mlserve </dev/null
	run run_sh 'id -Gn'
	ok
	has adm
	root gpasswd -d mlserve adm </dev/null
	run run_sh 'id -Gn'
	ok
	hasnt adm
}

@test "the command cannot become root again" {
	run run_sh 'grep -E "^(Uid|CapEff|CapPrm)" /proc/self/status'
	ok
	has 'CapPrm:	0000000000000000'
	has 'CapEff:	0000000000000000'
}

@test "the environment is clean and says what runs" {
	run as alice 'FOO=bar LD_PRELOAD=/nowhere/evil.so PATH=/tmp IFS=x
	    /usr/bin/modelgate run sh -- env' 2>/dev/null
	ok
	hasnt FOO
	hasnt LD_PRELOAD
	has 'PATH=/usr/local/sbin:'
	has 'USER=mlserve'
	has 'MODELGATE_USER=alice'
	has 'MODELGATE_OPERATION=sh'
}

@test "nothing is open but 0, 1 and 2" {
	run as alice 'exec 5</etc/passwd 9>/dev/null
	    modelgate run sh -- "exec ls /proc/self/fd"'
	ok
	# 3 is the folder that ls reads
	[ "$(xargs <<<"$output")" = '0 1 2 3' ] || fail 'more is open'
}

@test "a placeholder is one argument or a part of one, and no shell sees it" {
	run as alice 'modelgate run show m@1 -- "x y" "\$(id)" "; id" "" "*"'
	ok
	[ "$output" = '[amb][1][x y][$(id)][; id][][*]' ]
}

@test "exit statuses are the command's own" {
	run run_sh 'exit 7'
	[ "$status" -eq 7 ]
	run run_sh 'exit 125'
	[ "$status" -eq 125 ]
	run run_sh 'kill -TERM $$'
	[ "$status" -eq 143 ]
	run -127 as alice 'modelgate run missing'
	run as alice 'modelgate run not-executable'
	[ "$status" -eq 126 ]
}

@test "bytes go through untouched, both ways" {
	head -c 20000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	as alice 'modelgate run sh -- cat' <"$BATS_TEST_TMPDIR/in" \
	    >"$BATS_TEST_TMPDIR/out"
	cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
	run as alice 'modelgate run sh -- "echo out; echo err >&2" 2>/dev/null'
	ok
	[ "$output" = out ]
}

@test "the requester's login uid goes along, in an audit session of its own" {
	run as alice 'cat /proc/self/sessionid; echo
	    modelgate run sh -- "cat /proc/self/loginuid; echo; cat /proc/self/sessionid"'
	ok
	[ "${lines[1]}" = 7001 ]
	[ "${lines[0]}" != "${lines[2]}" ]
	[ "${lines[2]}" != 4294967295 ]
}

@test "on a terminal: a pty of its own, its size, Ctrl-C, Ctrl-Z and fg" {
	run expect -f - <<END
set timeout 90
proc want {what} { expect -ex \$what {} timeout { puts "no \$what"; exit 1 } eof { puts "eof before \$what"; exit 1 } }
spawn -noecho $top/scripts/sandbox ssh alice
stty rows 33 columns 91 < \$spawn_out(slave,name)
want {alice@gpu-7:~\$ }
send "tty; modelgate run sh -- 'tty; stty size; echo rea\\\$(:)dy; exec sleep 4321'\r"
want "33 91"
want "ready"
send "\032"
want "Stopped"
send "echo here\\\$((1+1))\r"
want "here2"
send "fg\r"
want "modelgate run sh"
send "\003"
want {alice@gpu-7:~\$ }
send "echo status \$?\r"
want "status 130"
send "modelgate run sh -- 'read x; echo got=\\\$x'\r"
send "hello\r"
want "got=hello"
send "exit\r"
expect eof
END
	ok
	soon none 'sleep 4321'
}

@test "the window's size follows, and signals reach the command" {
	run expect -f - <<END
set timeout 90
proc want {what} { expect -ex \$what {} timeout { puts "no \$what"; exit 1 } }
spawn -noecho $top/scripts/sandbox ssh alice
want {alice@gpu-7:~\$ }
send "modelgate run sh -- 'trap \"stty size\" WINCH; echo rea\\\$(:)dy; while :; do sleep 0.1; done'\r"
want "ready"
stty rows 44 columns 77 < \$spawn_out(slave,name)
want "44 77"
send "\003"
want {alice@gpu-7:~\$ }
send "exit\r"
expect eof
END
	ok
}

@test "what a command says to its terminal is seen, wherever its output goes" {
	run expect -f - <<END
set timeout 90
spawn -noecho $top/scripts/sandbox ssh alice
expect -ex {alice@gpu-7:~\$ }
send "modelgate run sh -- 'echo to-the-\\\$(:)file; echo to-the-\\\$(:)terminal >/dev/tty' >said 2>&1\r"
expect -ex "to-the-terminal" {} timeout { puts "unseen"; exit 1 }
expect -ex {alice@gpu-7:~\$ }
send "cat said\r"
expect -ex "to-the-file" {} timeout { puts "no file"; exit 1 }
send "exit\r"
expect eof
END
	ok
	hasnt unseen
}

@test "a paste into a command that writes before it reads: neither waits for the other" {
	run expect -f - <<END
set timeout 90
log_user 0
proc want {what} { expect -ex \$what {} timeout { puts "no \$what"; exit 1 } }
spawn -noecho $top/scripts/sandbox ssh alice
want {alice@gpu-7:~\$ }
send "modelgate run sh -- 'stty -echo; echo rea\\\$(:)dy; sleep 1; head -c 1000000 /dev/zero | tr \"\\\\0\" x; head -n 20000 | sort | uniq -c'\r"
want "ready"
send [string repeat "z\r" 20000]
expect -re {20000 z} {} timeout { puts "stuck"; exit 1 }
want {alice@gpu-7:~\$ }
send "exit\r"
expect eof
END
	ok
}

@test "100 MB go through the pty" {
	run expect -f - <<END
set timeout 120
log_user 0
spawn -noecho $top/scripts/sandbox ssh alice
expect "alice@gpu-7:~\$ "
send "stty -opost; modelgate run sh -- 'stty -opost; yes 0123456789abcde | head -c 100000000; echo; echo END'; echo LEFT\r"
set n 0
expect {
	-re {(?:0123456789abcde\n)+} { incr n [string length \$expect_out(0,string)]; exp_continue }
	"LEFT\n" {}
	timeout { puts "timeout after \$n"; exit 1 }
}
puts "bytes \$n"
send "exit\r"
END
	ok
	n=${output##*bytes }
	[ "${n%%[!0-9]*}" -ge 99999900 ] || fail "bytes were lost"
}

# Fifty processes that leave session, group and parent behind.
storm='for i in $(seq 50); do (setsid sh -c "(exec sleep 4444) & exit" &) ; done; echo up; exec sleep 4444'

start_storm()
{
	as alice "modelgate run ${2-sh} -- '$storm'" >"$BATS_TEST_TMPDIR/$1" 2>&1 &
	soon grep -q up "$BATS_TEST_TMPDIR/$1"
	soon storm_is_up
}
storm_is_up() { [ "$(pgrep_in -fc '^sleep 4444')" -eq 51 ]; }

killed()
{
	ledger empty | jq -se "map(select(.why == \"$1\")) | last | .took_us >= 0"
}

@test "promise4 revoke ends every process, however it daemonised" {
	start_storm out
	run root modelgate revoke --user alice
	ok
	soon none '^sleep 4444'
	soon killed revoked
	soon grep -q 'ended: it was revoked' "$BATS_TEST_TMPDIR/out"
}

@test "promise4 done ends every process" {
	start_storm out
	id=$(root modelgate grants --all --json | jq -r '.[0].id')
	as alice "modelgate done $id"
	soon none '^sleep 4444'
	soon killed 'done'
}

@test "promise4 the end of the time ends every process" {
	start_storm out brief
	soon none '^sleep 4444'
	soon killed expired
}

@test "promise4 logout ends every process" {
	start_storm out
	pkill_in -f "sshd: alice" || :
	soon none '^sleep 4444'
	soon killed logout
}

@test "a grant that was used is not taken away by who logs out at once" {
	local id runner
	as alice "modelgate run once -- 'echo up; until [ -e /tmp/go ]; do sleep 0.1; done'" >"$BATS_TEST_TMPDIR/out" 2>&1 &
	soon grep -q up "$BATS_TEST_TMPDIR/out"
	id=$(root modelgate grants --all --json </dev/null | jq -r '.[] | select(.operation == "once").id')
	# its runner is slow to say that no process is left: the second that it says
	runner=$(run_of "$(pgrep_in -f '^/bin/sh -c echo up')")
	strace -o "$BATS_TEST_TMPDIR/trace" -p "$runner" -e trace=sendmsg \
	    -e inject=sendmsg:delay_enter=1500000:when=2+ 3>&- 9>&- &
	soon traced "$runner"
	root touch /tmp/go </dev/null
	wait %1
	soon ledger_closes_before_empty
	soon is_state "$id" used
}
run_of() { ps -o ppid= -p "$1" | tr -d ' '; }
traced() { ! grep -q '^TracerPid:.0$' "/proc/$1/status"; }
# What the login of the last run left: its end came before the run's.
ledger_closes_before_empty() { [ "$(root modelgate log --json </dev/null | jq -r .type | grep -E '^(session-close|empty)$' | tail -n 2 | paste -sd ' ')" = 'session-close empty' ]; }

@test "promise4 what the command leaves behind lives as long as the grant, no longer" {
	# one login session: its end would end the grant
	run as alice "modelgate run sh -- '(setsid sleep 4555 >/dev/null 2>&1 &)'
		echo running: \$(modelgate grants --json | jq -c 'map(.running)')
		pgrep -f '^sleep 4555' >/dev/null && echo alive
		id=\$(modelgate grants --json | jq -r '.[0].id')
		modelgate done \$id"
	ok
	has 'running: [1]'
	has alive
	soon none '^sleep 4555'
}

@test "promise6 a runner that is killed takes its processes along, on record" {
	start_storm out
	pkill_in -KILL -f '^/usr/libexec/modelgate/mg-run$'
	soon none '^sleep 4444'
	soon killed internal
	run root modelgate status --all
	ok
	hasnt running
}

@test "promise6 an agent that is killed takes its runs along, and a new one knows" {
	start_storm out
	sb service modelgated kill
	soon none '^sleep 4444'
	soon grep -q 'agent' "$BATS_TEST_TMPDIR/out"
	sb service modelgated start
	soon killed restart
	run root modelgate status --all
	ok
	hasnt running
	# The login went with its client: so does the grant of that login.
	soon ended_by logout
}
ended_by() { [ "$(ledger end | jq -r .why | tail -n 1)" = "$1" ]; }

@test "promise4 without cgroup v2 the tree and the audit session are enough" {
	sb service modelgated stop
	# A kernel without it, as far as the agent can see.
	root mount -t tmpfs none /sys/fs/cgroup
	root sh -c 'exec strace -f -qq --seccomp-bpf -o /dev/null \
	    -e trace=fsopen -e inject=fsopen:error=ENODEV \
	    /usr/sbin/modelgated </dev/null >/tmp/no-cgroup.log 2>&1 &'
	soon root grep -q 'evt=ready host' /tmp/no-cgroup.log
	root grep -q 'cgroup=none' /tmp/no-cgroup.log
	start_storm out
	run root modelgate revoke --user alice
	ok
	soon none '^sleep 4444'
	soon killed revoked
	root sh -c 'kill $(cat /run/modelgate/modelgated.pid)' </dev/null
	soon none 'inject=fsopen'
	root umount /sys/fs/cgroup
	sb service modelgated start
}
