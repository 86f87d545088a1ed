#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What a host does when something under it fails: its disk, its clock, its
# limits, its name service, the other end of a connection. Each row of the
# table in PRIVSEP.md names its test.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	extra_policy <<'END'
[operation hello]
command = /bin/echo hello
run-as = mlserve

[operation long]
command = /bin/sh -c {args}
run-as = mlserve

[rule hellos]
operation = hello

[rule long-runs]
operation = long
role = pipeline
lasts = 30m
END
	# The state on a small disk of its own, that can be full or read-only.
	sb service modelgated stop
	root sh -ec '
		mkdir /root/kept
		cp -a /var/lib/modelgate/. /root/kept
		mount -t tmpfs -o size=8m,mode=700 none /var/lib/modelgate
		cp -a /root/kept/. /var/lib/modelgate' </dev/null
	sb service modelgated start
	root sed -i 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/sshd </dev/null
}
teardown_file() { host_down; }

# A service on this host, that needs no login.
hello() { root setpriv --reuid 7006 --regid 7101 --init-groups modelgate run hello </dev/null; }
alive() { root modelgate status --all </dev/null; }
# The ledger's bytes, without those of the disk that is full.
lines() { root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl' </dev/null; }
doctor_says() { root modelgate doctor --json </dev/null | jq -e --arg c "$1" --arg r "$2" 'any(.[]; .check == $c and .result == $r)'; }

# Nobody acts and nobody logs in; root on the console and rescue= do.
refuses()
{
	run hello
	[ "$status" -eq 125 ] || fail "it was not refused"
	hasnt hello$'\n'
	has "$1"
	run as alice 'echo in-$((40 + 2))' </dev/null
	failed
	hasnt in-42
	run as bob 'echo in-$((40 + 2))' </dev/null
	ok
	has in-42
}

# After it: what was there, no more and no less; it goes on; the chain holds.
goes_on()
{
	soon hello || fail "it does not go on"
	lines >"$BATS_TEST_TMPDIR/after"
	[ "$(head -c "$(stat -c %s "$BATS_TEST_TMPDIR/before")" "$BATS_TEST_TMPDIR/after" | cmp - "$BATS_TEST_TMPDIR/before" && echo same)" = same ] || fail "the ledger was changed"
	run root modelgate verify </dev/null
	ok
	sb service modelgated restart
	soon alive
	run hello
	ok
}

audited() { audit -m SERVICE_STOP,SERVICE_START -ts "$1" | grep -q "modelgate:$2 "; }
now() { date '+%H:%M:%S'; }

@test "promise1 a full disk: refused with the reason, on record in the audit log, and exact when there is room" {
	t=$(now)
	lines >"$BATS_TEST_TMPDIR/before"
	root sh -c 'cat /dev/zero >/var/lib/modelgate/fill' </dev/null 2>/dev/null || :
	# What is left of the last page is used up.
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
		run hello
		[ "$status" -eq 0 ] || break
		lines >"$BATS_TEST_TMPDIR/before"
	done
	lines >"$BATS_TEST_TMPDIR/before"
	refuses 'the ledger could not be written'
	doctor_says disk fail
	soon audited "$t" ledger-down
	root rm /var/lib/modelgate/fill </dev/null
	goes_on
	doctor_says disk warning
	soon audited "$t" ledger-up
}

# fail_call CALL ERROR COMMAND...: the daemon's next such calls fail.
fail_call()
{
	local call=$1 error=$2
	shift 2
	strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:error=$error" -p "$(pid_of modelgated)" 3>&- &
	tracer=$!
	soon traced
	"$@"
	kill "$tracer"
	wait "$tracer" || :
}
traced() { ! grep -q '^TracerPid:	0$' "/proc/$(pid_of modelgated)/status"; }

@test "promise1 an I/O error, a quota, a read-only disk, and no way back: refused, and exact afterwards" {
	t=$(now)
	for how in fdatasync:EIO fdatasync:EDQUOT fdatasync,fsync,ftruncate:EROFS; do
		echo "# $how" >&2
		lines >"$BATS_TEST_TMPDIR/before"
		fail_call "${how%:*}" "${how#*:}" refuses 'the ledger could not be written'
		goes_on
	done
	soon audited "$t" ledger-down
	soon audited "$t" ledger-up
}

# FAULTS=all: at more syncs than a run makes.
@test "promise1 killed at every sync of a run: no line that counted is lost" {
	for n in 1 2 $([ "${FAULTS-}" != all ] || echo 3 4 5 6); do
		echo "# sync $n" >&2
		lines >"$BATS_TEST_TMPDIR/before"
		strace -qq -o /dev/null -e trace=fdatasync -e "inject=fdatasync:signal=SIGKILL:when=$n" -p "$(pid_of modelgated)" 3>&- &
		tracer=$!
		soon traced
		run hello
		said=$output
		kill "$tracer" 2>/dev/null || :
		wait "$tracer" || :
		sb service modelgated kill 2>/dev/null || :
		sb service modelgated start
		soon alive
		lines >"$BATS_TEST_TMPDIR/now"
		[[ $said != *hello* ]] || tail -n +"$(($(wc -l <"$BATS_TEST_TMPDIR/before") + 1))" "$BATS_TEST_TMPDIR/now" | grep -q '"type":"run"' ||
		    fail "it ran, and that is not on record"
		goes_on
	done
}

@test "promise7 no descriptors left: bounded, nobody is let in, and it recovers" {
	pid=$(pid_of modelgated)
	n=$(find "/proc/$pid/fd" | wc -l)
	was=$(prlimit --pid "$pid" --nofile --noheadings -o SOFT | tr -d ' ')
	prlimit --pid "$pid" --nofile="$n:"
	run hello
	failed
	run as bob 'echo in-$((40 + 2))' </dev/null
	ok
	has in-42
	[ "$(pid_of modelgated)" = "$pid" ] && kill -0 "$pid"
	prlimit --pid "$pid" --nofile="$was:"
	soon hello
}

@test "promise7 no memory left: it ends rather than guess, people are refused, and a restart goes on" {
	pid=$(pid_of modelgated)
	lines >"$BATS_TEST_TMPDIR/before"
	used=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status")
	prlimit --pid "$pid" --as="$used:"
	for _ in 1 2 3; do
		run hello
	done
	run as bob 'echo in-$((40 + 2))' </dev/null
	ok
	has in-42
	if kill -0 "$pid" 2>/dev/null; then
		prlimit --pid "$pid" --as=unlimited: 2>/dev/null || sb service modelgated restart
	else
		sb service modelgated start
	fi
	goes_on
}

@test "promise8 a name service that hangs: unknown in bounded time, and the agent lives" {
	root sh -ec 'cp /etc/nsswitch.conf /etc/nsswitch.kept' </dev/null
	pids=$(pgrep -d ' ' -P "$(pid_of modelgated)" -x mg-ident)
	# shellcheck disable=SC2086
	kill -STOP $pids
	start=$SECONDS
	run hello
	alive
	[ $((SECONDS - start)) -le 10 ] || fail "the agent hung"
	# It was replaced: the next question has an answer.
	soon -t 20 hello
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null || :
}

@test "promise1 a kernel that takes no audit records: refused in bounded time, and again as soon as it does" {
	lines >"$BATS_TEST_TMPDIR/before"
	hello # its writer is there
	pkill_in -STOP -x mg-audit
	start=$SECONDS
	run hello
	pkill_in -KILL -x mg-audit || :
	[ "$status" -eq 125 ] || fail "it was not refused"
	hasnt hello$'\n'
	has 'the kernel did not take the record'
	[ $((SECONDS - start)) -le 20 ] || fail "it took too long"
	goes_on
}

outage() { root modelgate doctor --json </dev/null | jq -e 'any(.[]; .check == "hub" and .result == "fail")'; }
no_outage() { ! outage; }

@test "promise7 a hub that takes connections and says nothing: an outage, a request kept, and decided when it is back" {
	root sed -i 's/^\[hub\]/&\ndown-after = 3s/' /etc/modelgate/agent.ini </dev/null
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	pkill_in -STOP '^(modelgate-hub|mg-hub-conn)'
	reload
	soon -t 90 outage || { pkill_in -CONT '^(modelgate-hub|mg-hub-conn)'; fail "no outage was found"; }
	is_state "$id" pending
	pkill_in -CONT '^(modelgate-hub|mg-hub-conn)'
	soon -t 30 no_outage
	soon -t 30 approve bob "$id"
	soon -t 30 approve carol "$id"
	soon -t 30 pipeline_ended
	is_state "$id" used
}
