#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Every process is killed at every state of a request. Nothing is granted
# that was not approved, nothing that was approved is lost, nothing runs
# twice, and what is on record is what happened.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	extra_policy <<'END'
[operation long]
command = /bin/sh -c {args}
run-as = mlserve

[rule long-runs]
operation = long
role = pipeline

[operation big]
command = /bin/echo done-big
run-as = mlserve
artifact = /srv/models/big

[rule big-runs]
operation = big
role = pipeline
END
	# Takes a while to read, and no room.
	root sh -c 'mkdir /srv/models/big && truncate -s 1G /srv/models/big/weights' </dev/null
}
teardown_file() { host_down; }

agent_parts='mg-front mg-ident mg-audit mg-link mg-run'

# kill_part NAME: with SIGKILL, in this sandbox; what is a service comes back.
kill_part()
{
	case $1 in
	modelgated | modelgate-hub)
		sb service "$1" kill
		sb service "$1" start
		;;
	client) pkill_in -KILL -f '^modelgate run' || : ;;
	mg-verify | mg-query) pkill_in -KILL -x "$1" || : ;;
	mg-hub-conn) pkill -KILL -P "$(pid_of modelgate-hub)" || : ;;
	mg-front) # with the workers that have a client each
		pkill -KILL -P "$(pgrep -d, -P "$(pid_of modelgated)" -x mg-front)" || :
		pkill -KILL -P "$(pid_of modelgated)" -x mg-front || :
		;;
	*) pkill -KILL -P "$(pid_of modelgated)" -x "$1" || : ;;
	esac
}

other_version() { [ "$(serving)" = releases/2 ] && echo 1 || echo 2; }
alive() { root modelgate status --all </dev/null; }

# The ledger is whole, its chain holds, and a restart folds it.
ledger_is_sound()
{
	root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl' </dev/null >"$BATS_TEST_TMPDIR/ledger"
	python3 - "$BATS_TEST_TMPDIR/ledger" <<'END'
import hashlib, json, sys
prev = "0" * 64
for n, line in enumerate(open(sys.argv[1], "rb"), 1):
    line = line.rstrip(b"\n")
    rec = json.loads(line)
    assert rec["seq"] == n and rec["prev"] == prev, f"line {n}"
    prev = hashlib.sha256(line).hexdigest()
END
	kill_part modelgated
	soon alive
}

runs_of() { ledger run | jq -c "select(.uuid == \"$1\")" | wc -l; }
uuid() { root modelgate status "$1" --json </dev/null | jq -r '.[0].uuid'; }

# From a request that waits for carol to the model deployed, whatever was
# killed; a client that was cut off asks again and is attached.
finish()
{
	local id=$1 v=$2
	soon alive
	if soon -t 1 pipeline_ended; then
		rm "$BATS_TEST_TMPDIR/status"
		pipeline deploy "receipt-ocr@$v"
	fi
	soon approve carol "$id" || fail "carol could not approve: $(approve carol "$id" 2>&1; sb log modelgate-hub | tail -n 20; sb log modelgated | tail -n 5)"
	soon pipeline_ended || fail "it did not end: $(cat "$BATS_TEST_TMPDIR/pipeline")"
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ] || fail "$(cat "$BATS_TEST_TMPDIR/pipeline")"
	[[ $(serving) == *"$v" ]] || fail "it was not deployed"
	soon is_state "$id" used
	[ "$(runs_of "$(uuid "$id")")" -eq 1 ] || fail "it did not run exactly once"
	run audit -uu "$(uuid "$id")"
	for op in request approve grant run exit used; do
		has "op=modelgate:$op"
	done
	[ "$(grep -c 'op=modelgate:run ' <<<"$output")" -eq 1 ] || fail "not one run in the audit log"
}

@test "killed while approvals are awaited: they are awaited still" {
	for part in modelgated modelgate-hub mg-hub-conn $agent_parts client; do
		echo "# $part" >&2
		v=$(other_version)
		was=$(serving)
		pipeline deploy "receipt-ocr@$v"
		id=$(wait_for_request)
		soon approve bob "$id"
		kill_part "$part"
		soon alive
		is_state "$id" pending
		[ "$(serving)" = "$was" ] || fail "deployed after one approval"
		finish "$id" "$v"
	done
	ledger_is_sound
}

# at_prompt: alice stands before the question for her code, in the background.
at_prompt()
{
	rm -f "$BATS_TEST_TMPDIR/asked" "$BATS_TEST_TMPDIR/killed"
	expect -f - >"$BATS_TEST_TMPDIR/alice" 2>&1 3>&- <<END &
set timeout 90
spawn -noecho $top/scripts/sandbox ssh -tt alice modelgate run rollback receipt-ocr@$1
expect -ex "Verification code:" {} eof { puts "never asked"; exit 98 }
exec touch $BATS_TEST_TMPDIR/asked
# Who is still asked then (the next try has begun) gives up.
exec sh -c {timeout 20 sh -c 'until [ -e "\$0" ]; do sleep 0.05; done' $BATS_TEST_TMPDIR/killed}
catch { send "\003" }
expect eof {} timeout { puts "nothing happens"; exit 99 }
exit [lindex [wait] 3]
END
	soon test -e "$BATS_TEST_TMPDIR/asked"
}

@test "killed at the question for the second factor: nothing is proven, nothing granted" {
	was=$(serving)
	for part in modelgated mg-front mg-auth client; do
		echo "# $part" >&2
		at_prompt "$(other_version)"
		kill_part "$part"
		touch "$BATS_TEST_TMPDIR/killed"
		status=0
		wait $! || status=$? # not by `run`: a subshell has no children
		# 125: refused or cut off; 130: asked again, and given up
		case $status in
		125 | 130 | 255) ;; # 255: the client itself was killed
		*) fail "$part: alice saw $status: $(cat "$BATS_TEST_TMPDIR/alice")" ;;
		esac
		soon alive
		run root modelgate grants --all
		hasnt alice
		[ "$(serving)" = "$was" ]
		root modelgate revoke --all </dev/null
	done
	ledger_is_sound
}

@test "killed while a grant is held: it is held still, and good for one use" {
	for part in modelgated modelgate-hub $agent_parts; do
		echo "# $part" >&2
		as ci-deploy "modelgate request long --reason later -- 'echo used'" </dev/null
		kill_part "$part"
		soon alive
		run root modelgate grants --all
		has ci-deploy
		run as ci-deploy "modelgate run long -- 'echo used'"
		ok
		has used
		soon nothing_held
	done
	ledger_is_sound
}
nothing_held() { root modelgate grants --all </dev/null | grep -q 'nothing is held'; }

@test "killed while a command runs: it ends with what holds it, else it goes on" {
	for part in modelgated mg-run mg-front client; do
		echo "# $part" >&2
		rm -f "$BATS_TEST_TMPDIR/out"
		as ci-deploy "modelgate run long -- 'echo up; exec sleep 4600'" >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
		soon grep -q up "$BATS_TEST_TMPDIR/out"
		kill_part "$part"
		soon none '^sleep 4600' || fail "$part: the command runs on"
		wait $! || :
		soon alive
		soon nothing_held
	done
	for part in modelgate-hub mg-ident mg-audit mg-link; do
		echo "# $part" >&2
		rm -f "$BATS_TEST_TMPDIR/out"
		as ci-deploy "modelgate run long -- 'echo up; read x; echo got; exit 9'" >"$BATS_TEST_TMPDIR/out" 2>&1 \
		    < <(soon test -e "$BATS_TEST_TMPDIR/killed"; echo x) 3>&- &
		soon grep -q up "$BATS_TEST_TMPDIR/out"
		kill_part "$part"
		touch "$BATS_TEST_TMPDIR/killed"
		status=0
		wait $! || status=$? # not by `run`: a subshell has no children
		rm "$BATS_TEST_TMPDIR/killed"
		[ "$status" -eq 9 ] || fail "$part: $status: $(cat "$BATS_TEST_TMPDIR/out")"
		soon nothing_held
	done
	ledger_is_sound
}

# The reader of the artifact stands still, so that others can be killed
# while it reads.
is_reading() { pgrep_in -x mg-verify; }
filed() { ledger request | wc -l; }

@test "killed while the artifact is read: nothing is filed, or it goes on" {
	for part in mg-verify modelgated mg-front client; do
		echo "# $part" >&2
		n=$(filed)
		as ci-deploy 'modelgate run big' >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
		soon is_reading
		pkill_in -STOP -x mg-verify
		kill_part "$part"
		pkill_in -CONT -x mg-verify || :
		status=0
		wait $! || status=$?
		[ "$status" -ne 0 ] || fail "$part: it ran"
		soon alive
		[ "$(grep -c done-big "$BATS_TEST_TMPDIR/out")" = 0 ] || fail "$part: it ran"
		[ "$(filed)" -eq "$n" ] || fail "$part: a request was filed"
		soon none '/mg-verify' || fail "$part: the reader reads on"
	done
	for part in modelgate-hub mg-ident mg-audit mg-run; do
		echo "# $part" >&2
		as ci-deploy 'modelgate run big' >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
		soon is_reading
		pkill_in -STOP -x mg-verify
		kill_part "$part"
		pkill_in -CONT -x mg-verify || :
		status=0
		wait $! || status=$?
		[ "$status" -eq 0 ] || fail "$part: $status: $(cat "$BATS_TEST_TMPDIR/out")"
		grep -q done-big "$BATS_TEST_TMPDIR/out"
	done
	ledger_is_sound
}

# runner_of COMMAND-LINE: the mg-run that started it.
runner_of() { ps -o ppid= -p "$(pgrep_in -f "$1")" | tr -d ' '; }
ended_run() { ledger empty | jq -se --arg u "$1" 'map(select(.uuid == $u)) | length == 1 and (.[0].why == "revoked" or .[0].why == "restart")'; }

@test "killed while a run is being ended: it is ended, once, and that is on record" {
	for part in mg-run modelgated mg-front mg-ident mg-audit modelgate-hub; do
		echo "# $part" >&2
		as ci-deploy "modelgate run long -- 'setsid sleep 4600 >/dev/null 2>&1 & echo up; exec sleep 4601'" >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
		client=$!
		soon grep -q up "$BATS_TEST_TMPDIR/out"
		soon pgrep_in -f '^sleep 4600'
		id=$(root modelgate grants --all --json </dev/null | jq -r '.[0].id')
		u=$(uuid "$id")
		# Its runner cannot say that nothing is left.
		runner=$(runner_of '^sleep 4601')
		kill -STOP "$runner"
		root modelgate revoke "$id" </dev/null
		if [ "$part" = mg-run ]; then
			kill -KILL "$runner"
		else
			kill_part "$part"
		fi
		soon none '^sleep 460' || fail "$part: processes are left"
		soon alive
		soon ended_run "$u" || fail "$part: $(ledger empty | tail -n 2)"
		is_state "$id" revoked
		soon gone "$runner" || fail "$part: the runner is left"
		wait "$client" || :
		run audit -uu "$u"
		has 'op=modelgate:revoked'
		has 'op=modelgate:kill'
	done
	ledger_is_sound
}
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "who revokes is answered when it is on record, not before" {
	as ci-deploy "modelgate run long -- 'echo up; exec sleep 4603'" >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
	client=$!
	soon grep -q up "$BATS_TEST_TMPDIR/out"
	id=$(root modelgate grants --all --json </dev/null | jq -r '.[0].id')
	root modelgate grants </dev/null # whose writer of records is there now
	pkill_in -STOP -x mg-audit
	root modelgate revoke "$id" >"$BATS_TEST_TMPDIR/revoke" 2>&1 </dev/null 3>&- &
	soon ended_in_ledger "$(uuid "$id")"
	[ ! -s "$BATS_TEST_TMPDIR/revoke" ] || fail "$(cat "$BATS_TEST_TMPDIR/revoke")"
	pkill_in -CONT -x mg-audit
	wait $!
	grep -qx revoked "$BATS_TEST_TMPDIR/revoke"
	# Nothing is left to be recorded: what comes next cannot undo it.
	is_state "$id" revoked
	soon none '^sleep 4603'
	wait "$client" || :
}
ended_in_ledger() { root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl' </dev/null | jq -se --arg u "$1" 'any(.uuid == $u and .type == "end")' >/dev/null; }

@test "killed while the ledger is read: the listing says that it is cut short, nothing else is touched" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	as ci-deploy "modelgate run long -- 'echo up; read x; exit 9'" >"$BATS_TEST_TMPDIR/out" 2>&1 \
	    < <(soon test -e "$BATS_TEST_TMPDIR/killed"; echo x) 3>&- &
	client=$!
	soon grep -q up "$BATS_TEST_TMPDIR/out"
	# One that follows the ledger, while a request waits and a command runs.
	root modelgate log --follow --json </dev/null >"$BATS_TEST_TMPDIR/log" 2>"$BATS_TEST_TMPDIR/said" 3>&- &
	reader=$!
	soon grep -q "$(uuid "$id")" "$BATS_TEST_TMPDIR/log"
	kill_part mg-query
	s=0
	wait "$reader" || s=$?
	[ "$s" -eq 125 ] || fail "the reader saw $s: $(cat "$BATS_TEST_TMPDIR/said")"
	grep -q modelgate: "$BATS_TEST_TMPDIR/said" || grep -q '"refused"' "$BATS_TEST_TMPDIR/said"
	is_state "$id" pending
	touch "$BATS_TEST_TMPDIR/killed"
	s=0
	wait "$client" || s=$?
	[ "$s" -eq 9 ] || fail "the command: $s"
	# And the next listing is whole.
	run ledger request
	has "$(uuid "$id")"
	as ci-deploy "modelgate cancel $id" </dev/null
	soon pipeline_ended
	ledger_is_sound
}

# A hub that hangs up: when link came, in ms since boot. Who only looks
# whether somebody listens (mg-probe) says nothing, and is not counted.
visitors()
{
	root python3 - "$1" <<'END'
import socket, sys, threading, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def meet(c, at):
    if c.recv(4) == b"SSH-":
        print(at, flush=True)
    c.close()
print("ready", flush=True)
while True:
    c, _ = s.accept()
    at = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    threading.Thread(target=meet, args=(c, at), daemon=True).start()
END
}
came() { [ "$(grep -c '^[0-9]' "$BATS_TEST_TMPDIR/visits")" -ge "$1" ]; }

@test "promise8 link calls a hub that hangs up ever more rarely, and is there when it is back" {
	sb service modelgate-hub stop
	visitors "$(sb env | sed -n 's/^MG_SANDBOX_HUB_PORT=//p')" >"$BATS_TEST_TMPDIR/visits" 2>&1 3>&- &
	soon grep -q ready "$BATS_TEST_TMPDIR/visits"
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	# 200 ms, doubled each time, give or take half: never earlier.
	soon came 6
	pkill_in -f '^python3 - [0-9]*$'
	mapfile -t at < <(grep '^[0-9]' "$BATS_TEST_TMPDIR/visits" | tail -n 6)
	for i in 2 3 4; do
		[ $((at[i + 1] - at[i])) -ge $((100 << i)) ] ||
		    fail "call $((i + 1)) after $((at[i + 1] - at[i])) ms: ${at[*]}"
	done
	is_state "$id" pending
	sb service modelgate-hub start
	# Nobody asks for it: it calls again, and submits again.
	soon approve bob "$id"
	soon approve carol "$id"
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ]
}

@test "promise1 a torn last line is repaired and said; a changed one refuses to start" {
	root sh -c 'printf "{\"seq\":" >>$(ls /var/lib/modelgate/ledger/*.jsonl | tail -n 1)' </dev/null
	kill_part modelgated
	soon alive
	sb log modelgated | grep -q 'cut off 7 bytes'
	sb service modelgated stop
	root sh -c 'cp -p /var/lib/modelgate/ledger/*1.jsonl /tmp/kept; sed -i "5s/\"type\":\"[a-z]/&x/" /var/lib/modelgate/ledger/*1.jsonl' </dev/null
	run sb service modelgated start
	failed
	sb log modelgated | tail -n 3 | grep -q 'ledger is broken: .*jsonl:[56]: '
	root sh -c 'cp -p /tmp/kept /var/lib/modelgate/ledger/00000000000000000001.jsonl' </dev/null
	sb service modelgated start
	soon alive
}
