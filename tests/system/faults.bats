#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What a host does when something under it fails: its disk, its clock, its
# limits, its name service, the other end of a connection. Each row of the
# table in PRIVSEP.md names its test.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031

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
	declare_rescue
	[ -e "$top/${B:-build/cc}/shim/nss_hang.so" ] || make -s -C "$top" B="${B:-build/cc}" shims
}
teardown_file() { host_down; }
teardown()
{
	[ -z "${tracer-}" ] || kill "$tracer" 2>/dev/null || :
	[ -n "${BATS_TEST_COMPLETED-}" ] || sb service modelgated restart
}

# A service on this host, that needs no login.
hello() { root setpriv --reuid 7006 --regid 7101 --init-groups modelgate run hello </dev/null; }
# hello_for SECONDS: it is given up after that.
hello_for()
{
	timeout "$1" "$top/scripts/sandbox" root setpriv --reuid 7006 --regid 7101 --clear-groups \
	    modelgate run hello </dev/null 3>&- 9>&-
}
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
	stranger_does_not
	declared_get_in
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

# fail_call CALL ERROR COMMAND...: the daemon's next such calls fail; of=NAME:
# another's. They are in $BATS_TEST_TMPDIR/calls.
fail_call()
{
	local call=$1 error=$2
	shift 2
	strace -qq -o "$BATS_TEST_TMPDIR/calls" -e "trace=$call" -e "inject=$call:error=$error" \
	    -p "$(pid_of "${of-modelgated}")" 3>&- &
	tracer=$!
	soon traced
	"$@"
	kill "$tracer"
	wait "$tracer" || :
}
traced() { ! grep -q '^TracerPid:	0$' "/proc/$(pid_of "${of-modelgated}")/status"; }

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
	nobody_acts
	[ "$(pid_of modelgated)" = "$pid" ] && kill -0 "$pid"
	prlimit --pid "$pid" --nofile="$was:"
	soon hello
}

nobody_acts()
{
	# A file and no pipe: what came with a question that nobody takes stays
	# open, and `run` would wait for the end of the pipe.
	status=0
	hello_for 2 >"$BATS_TEST_TMPDIR/hello" 2>&1 || status=$?
	failed
	run ! grep -x hello "$BATS_TEST_TMPDIR/hello"
	stranger_does_not
	declared_get_in
}

# patient COMMAND...: meanwhile it tries to accept 100 times a second at
# most.
patient()
{
	local begun=$SECONDS
	"$@"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/calls")" -le $((100 * (SECONDS - begun + 1))) ] || fail "it spins"
}
is_deaf() { run timeout 2 "$top/scripts/sandbox" hub bob whoami </dev/null 3>&- 9>&- && failed; }

@test "promise7 a full file table of the machine: nobody is let in, nothing spins, on record, and it goes on" {
	fail_call accept4 ENFILE patient nobody_acts
	soon hello
	sb log modelgated | grep 'evt=limit .*Too many open files in system'
	fail_call openat,socket,socketpair,pipe2 ENFILE nobody_acts
	soon hello
	run root modelgate verify </dev/null
	ok
	of=modelgate-hub fail_call accept4 ENFILE patient is_deaf
	soon sb hub bob whoami
	sb log modelgate-hub | grep 'evt=limit .*Too many open files in system'
	of=modelgate-hub fail_call openat,socket,socketpair,pipe2 ENFILE is_deaf
	soon sb hub bob whoami
}

# lasting: the children of the agent that are there while a request waits.
lasting='mg-front mg-ident mg-audit mg-link mg-run'
# cpu_ms PID: what it used.
cpu_ms() { awk '{ print ($14 + $15) * 10 }' "/proc/$1/stat"; }
# starve NAME LIMIT: every process of that name has no more than it has now.
# Whose user it is may set its limits.
starve()
{
	local pid n uid gid
	for pid in $(pgrep_in -x "$1"); do
		case $2 in
		nofile) n=$(find "/proc/$pid/fd" | wc -l) n=$((n - 1)) ;;
		as) n=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status") ;;
		esac
		uid=$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")
		gid=$(awk '/^Gid:/ { print $2 }' "/proc/$pid/status")
		setpriv --reuid "$uid" --regid "$gid" --clear-groups prlimit --pid "$pid" --"$2=$n:" ||
		    [ ! -e "/proc/$pid" ] || fail "the limit of $1 cannot be set"
	done
}

# starved NAME LIMIT: in that state nobody is let in wrongly, who is declared
# gets in, the agent answers; and a new one of them mends it.
starved()
{
	local t=$SECONDS pid
	echo "# $1 without $2" >&2
	starve "$1" "$2"
	run hello_for 20
	# 127: the command inherits what mg-run has.
	case $status in 0) has hello ;; 125 | 127) hasnt hello$'\n' ;; *) fail "status $status" ;; esac
	alive
	declared_get_in
	is_state "$id" pending
	[ $((SECONDS - t)) -le 60 ] || fail "somebody had to wait"
	for pid in $(pgrep_in -x "$1"); do
		[ "$(cpu_ms "$pid")" -lt $((20000)) ] || fail "it spins"
	done
	pkill_in -KILL -x "$1" || :
	[ "$1" != modelgate-hub ] || {
		sb service modelgate-hub kill || :
		sb service modelgate-hub start
	}
	soon hello
}

is_decided() { is_state "$id" granted || is_state "$id" used; }

@test "promise7 no descriptors or memory left in another process: bounded, and a new one of it goes on" {
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	for part in $lasting modelgate-hub; do
		starved "$part" nofile
		starved "$part" as
	done
	is_state "$id" pending
	soon approve bob "$id"
	soon approve carol "$id"
	soon is_decided
	# Its client was cut off with the worker of mg-front; it asks again.
	is_state "$id" used || {
		soon pipeline_ended
		rm -f "$BATS_TEST_TMPDIR/status"
		pipeline deploy receipt-ocr@2
	}
	soon pipeline_ended
	is_state "$id" used
	run root modelgate verify </dev/null
	ok
}

@test "promise7 no memory left: it ends rather than guess, people are refused, and a restart goes on" {
	pid=$(pid_of modelgated)
	lines >"$BATS_TEST_TMPDIR/before"
	used=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status")
	prlimit --pid "$pid" --as="$used:"
	for _ in 1 2 3; do
		run hello
	done
	declared_get_in
	if kill -0 "$pid" 2>/dev/null; then
		prlimit --pid "$pid" --as=unlimited: 2>/dev/null || sb service modelgated restart
	else
		sb service modelgated start
	fi
	goes_on
}

@test "promise8 a name service that hangs: unknown in bounded time, and the agent lives" {
	pids=$(pgrep -d ' ' -P "$(pid_of modelgated)" -x mg-ident)
	# shellcheck disable=SC2086
	kill -STOP $pids
	start=$SECONDS
	run hello
	alive
	[ $((SECONDS - start)) -le 30 ] || fail "the agent hung"
	# It was replaced: the next question has an answer.
	soon hello
	# shellcheck disable=SC2086
	kill -KILL $pids 2>/dev/null || :
}

# asks: as a service that has its groups from elsewhere; nobody here asks NSS.
asks()
{
	timeout 30 "$top/scripts/sandbox" root python3 -c 'import os, sys
os.setgroups([]); os.setgid(7101); os.setuid(int(sys.argv[1]))
os.execvp("modelgate", ["modelgate", "run", "hello"])' "$1" </dev/null 3>&- 9>&-
}

@test "promise7 a directory that does not answer (a real NSS module): those it knows are refused in bounded time, rescue= and root get in, the agent works on" {
	so=/usr/lib/$(gcc -print-multiarch)/libnss_hang.so.2
	root sh -c "cat >$so; cp /etc/nsswitch.conf /etc/nsswitch.kept
		sed -i -E '/^(passwd|group):/s/\$/ hang/' /etc/nsswitch.conf" <"$top/${B:-build/cc}/shim/nss_hang.so"
	sb service modelgated restart
	asks 7006
	root touch /run/sandbox/nss-hangs </dev/null
	# Six questions at once that hang, about people and about nobody.
	for uid in 7001 7003 7004 7005 7006 4711; do
		asks "$uid" >"$BATS_TEST_TMPDIR/asked-$uid" 2>&1 &
	done
	t=$SECONDS
	alive
	[ $((SECONDS - t)) -le 15 ] || fail "root waited $((SECONDS - t)) s"
	declared_get_in
	[ $((SECONDS - t)) -le 60 ] || fail "they waited $((SECONDS - t)) s"
	wait
	cat "$BATS_TEST_TMPDIR"/asked-* >&2
	run ! grep -x hello "$BATS_TEST_TMPDIR"/asked-*
	t=$SECONDS
	run asks 7001
	[ "$status" -eq 125 ] || fail "it was not refused"
	[ $((SECONDS - t)) -le 20 ] || fail "it waited $((SECONDS - t)) s"
	sb log modelgated | grep -q 'name service does not answer'
	root rm /run/sandbox/nss-hangs </dev/null
	soon asks 7006
	root sh -c "mv /etc/nsswitch.kept /etc/nsswitch.conf; rm $so" </dev/null
	sb service modelgated restart
	goes_on_with_people
}
goes_on_with_people() { soon hello && as alice true </dev/null; }

@test "promise1 a kernel that takes no audit records: refused in bounded time, and again as soon as it does" {
	lines >"$BATS_TEST_TMPDIR/before"
	hello # its writer is there
	pkill_in -STOP -x mg-audit
	start=$SECONDS
	run hello
	said=$status what=$output
	declared_get_in
	pkill_in -KILL -x mg-audit || :
	status=$said output=$what
	[ "$status" -eq 125 ] || fail "it was not refused"
	hasnt hello$'\n'
	has 'the kernel did not take the record'
	[ $((SECONDS - start)) -le 60 ] || fail "it took too long"
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
	declared_get_in
	pkill_in -CONT '^(modelgate-hub|mg-hub-conn)'
	soon no_outage
	soon approve bob "$id"
	soon approve carol "$id"
	soon pipeline_ended
	is_state "$id" used
}
