#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Every process holds exactly what agent/PRIVSEP.md says, and one that was
# taken over gains nothing: no grant, no run, no secret, no silence.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file() { host_up; }
teardown_file() { host_down; }
teardown() { [ -n "${BATS_TEST_COMPLETED-}" ] || given_back; }

libexec=/usr/libexec/modelgate

# taken PROGRAM MODE: MODE of PROGRAM is the attacker's from now on; its
# other modes stay as they are. The monitor starts anew, so that it uses it.
taken()
{
	root mkdir -p /tmp/taken </dev/null
	root sh -c 'rm -f /tmp/taken/gained /tmp/taken/next /tmp/taken/go; : >/tmp/taken/gained; chmod 777 /tmp/taken; chmod 666 /tmp/taken/*' </dev/null
	root sh -c "[ -e $libexec/$1.real ] || mv $libexec/$1 $libexec/$1.real; cat >$libexec/$1; chmod 755 $libexec/$1" <<-END
		#!/bin/sh
		[ -z "\$1" ] || [ "\$1" = $2 ] || exec $libexec/$1.real "\$@"
		umask 0
		exec $(python3 -c 'import sys; print(sys.executable)') $top/tests/system/taken.py $top/agent/lib/mg_msg.def $2 /tmp/taken
	END
	restart
}
given_back()
{
	root sh -c "for f in $libexec/*.real; do [ ! -e \$f ] || mv \$f \${f%.real}; done" </dev/null
	restart
}
# a taken front answers nobody, so readiness is read from the log
restart()
{
	local n
	n=$(starts)
	sb service modelgated restart
	soon started_since "$n"
}
starts() { root grep -c 'evt=ready host' /var/log/modelgate/modelgated.log </dev/null || :; }
started_since() { [ "$(starts)" -gt "$1" ]; }
gained() { root cat /tmp/taken/gained </dev/null; }
tried() { root cat /tmp/taken/next </dev/null; }
other_version() { [ "$(serving)" = releases/2 ] && echo 1 || echo 2; }
of() { ledger "$1" | wc -l; }

@test "what PRIVSEP.md says of every process is what the kernel says" {
	as mallory 'modelgate run deploy receipt-ocr@1' || : # her writer of records
	run root python3 "$top/tests/system/confined.py" "$top/agent/PRIVSEP.md" \
	    "$(pid_of modelgated)" "$(pid_of modelgate-hub)" \
	    "$(sb env | sed -n "s/^MG_SANDBOX_HUB_PORT='\{0,1\}\([0-9]*\).*/\1/p")" </dev/null
	ok
	hasnt bad
	[ "$(grep -c ^ok <<<"$output")" -eq "$(sed '1,/confine -->/d; /^$/,$d' "$top/agent/PRIVSEP.md" | grep -c '^| m')" ]
}

@test "every program that a process of ours can be is in the table" {
	for p in "$top"/agent/proc_*.c; do
		name=$(sed -n 's/^ \* \(m[a-z-]*\): .*/\1/p' "$p" | head -n 1)
		grep -q "^| $name" "$top/agent/PRIVSEP.md" || fail "$name"
	done
}

# asks USER: again and again, in one session.
asks()
{
	as "$1" 'until [ -e /tmp/taken/go ]; do sleep 0.1; done
	    until [ -e /tmp/taken/stop ]; do timeout 5 modelgate status </dev/null >/dev/null 2>&1; done' &
}
said() { root cat "/tmp/taken/$1" </dev/null 2>/dev/null || echo 0; }

@test "a taken front: every message in its clients' names and its own, nothing gained" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	grants=$(of grant) runs=$(of run)
	ops=$(grep -c '^	M(' "$top/agent/lib/mg_msg.def")
	own=$(grep -c '^	M([A-Z_]*, [a-z_]*, [0-9]*, CLIENT' "$top/agent/lib/mg_msg.def")
	root rm -rf /tmp/taken </dev/null
	asks mallory
	mallory=$!
	asks alice
	alice=$!
	taken mg-front front
	pid=$(pid_of modelgated)
	root touch /tmp/taken/speak /tmp/taken/go </dev/null
	all_said() { [ "$(said mallory)" -ge $((ops + own)) ] && [ "$(said asked)" -ge "$own" ] && [ "$(said own)" -ge "$ops" ]; }
	soon -t 240 all_said || fail "of $ops messages $own are clients'; said: mallory $(said mallory) alice $(said asked) front $(said own)"
	root touch /tmp/taken/stop </dev/null
	wait "$mallory" "$alice" || :
	[ "$(pid_of modelgated)" = "$pid" ]
	[ -z "$(gained)" ] || fail "$(gained)"
	# what it says in its own name is on the log, and its end
	root grep -q 'evt=protocol-violation.*proc=mg-front' /var/log/modelgate/modelgated.log </dev/null
	root grep -q 'evt=child-died proc=mg-front' /var/log/modelgate/modelgated.log </dev/null
	given_back
	[ "$(of grant)" -eq "$grants" ] && [ "$(of run)" -eq "$runs" ]
	is_state "$id" pending
	# what it asked in her name is on record in her name
	ledger refused | jq -se '[.[] | select(.user == "mallory")] | length > 0'
	as ci-deploy "modelgate cancel $id"
	soon pipeline_ended
	root modelgate revoke --user alice </dev/null || :
}

@test "a taken front stands between nobody of root's and the agent" {
	root sh -c 'printf "[rule dave-stays-out]\neffect = deny\noperation = login\nrole = auditor\n" >/etc/modelgate/policy.d/zz-dave.ini' </dev/null
	restart
	pkill_in -STOP -x mg-front
	# What a stopped worker does not pass on, a taken one cannot change.
	run as alice true
	[ "$status" -eq 0 ] || { pkill_in -CONT -x mg-front; fail "a login passes mg-front"; }
	run as dave true
	pkill_in -CONT -x mg-front
	failed
	run audit -m USER_ACCT -ts recent
	root rm /etc/modelgate/policy.d/zz-dave.ini </dev/null
	restart
	has 'acct="dave"'
}

@test "a taken link or hub: forged, foreign and replayed decisions do not count and are on record" {
	# one honest decision, to be replayed
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id"
	ledger decision | jq -rj 'select(.approver == "bob") | .sig' | tail -n 20 >"$BATS_TEST_TMPDIR/sig"
	as ci-deploy "modelgate cancel $id"
	soon pipeline_ended
	rm "$BATS_TEST_TMPDIR/status"
	grants=$(of grant) runs=$(of run) decisions=$(of decision)
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	u=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')
	root mkdir -p /tmp/taken </dev/null
	root sh -c 'cat >/tmp/taken/replay' <"$BATS_TEST_TMPDIR/sig"
	root sh -c "echo $u >/tmp/taken/uuid" </dev/null
	taken mg-link link
	rejections() { [ "$(ledger rejected | jq -c "select(.uuid == \"$u\")" | wc -l)" -ge "$1" ]; }
	soon rejections 12
	soon tried
	# what it floods with is not all on the log, and how much is not, is
	dropped() { sb log modelgated | grep -q 'event=decision-rejected dropped='; }
	soon dropped
	[ "$(sb log modelgated | grep -c evt=decision-rejected)" -le 1100 ]
	is_state "$id" pending
	[ -z "$(gained)" ] || fail "$(gained)"
	given_back
	[ "$(of grant)" -eq "$grants" ] && [ "$(of run)" -eq "$runs" ] && [ "$(of decision)" -eq "$decisions" ]
	is_state "$id" pending
	# the honest link delivers what honest people sign
	run approve bob "$id"
	ok
	as ci-deploy "modelgate cancel $id"
}

@test "a hub that asks for the same hashes again and again gets them four times a checkpoint" {
	gave_up() { [ "$(root grep -c 'asks for the same hashes again' /var/log/modelgate/modelgated.log </dev/null || :)" -gt "$1" ]; }
	n=0
	for size in 0 1 9223372036854775807; do
		root mkdir -p /tmp/taken </dev/null
		root sh -c "rm -f /tmp/taken/asked; echo $size >/tmp/taken/size" </dev/null
		taken mg-link witness
		as bob true # a record
		root modelgate checkpoint --quiet </dev/null
		soon gave_up "$n"
		[ "$(said asked)" -le 5 ] || fail "$size: $(said asked) times"
		[ "$(said asked)" -ge 1 ]
		n=$((n + 1))
	done
	given_back
	root modelgate checkpoint --quiet </dev/null
	countersigned() { sb log modelgated | grep -q 'checkpoint countersigned'; }
	soon countersigned
}

@test "a hub that shows an old countersignature again has it kept once more at most" {
	newest() { root cat /var/lib/modelgate/ledger/checkpoints </dev/null | awk 'BEGIN { RS = "" } NR % 2 { body = $0; next } /modelgate-hub/ { last = body "\n\n" $0 } END { if (last != "") print last }'; }
	kept() { newest | grep -q modelgate-hub; }
	root modelgate checkpoint --quiet </dev/null
	soon kept
	root mkdir -p /tmp/taken </dev/null
	newest >"$BATS_TEST_TMPDIR/note"
	size=$(sed -n 2p "$BATS_TEST_TMPDIR/note")
	root sh -c 'cat >/tmp/taken/note' <"$BATS_TEST_TMPDIR/note"
	root sh -c "rm -f /tmp/taken/asked; echo $size >/tmp/taken/size" </dev/null
	sig=$(tail -n 1 "$BATS_TEST_TMPDIR/note")
	copies() { root grep -cF -- "$sig" /var/lib/modelgate/ledger/checkpoints </dev/null; }
	n=$(copies)
	[ "$n" -ge 1 ]
	refused() { [ "$(root grep -c 'returned a checkpoint that does not verify' /var/log/modelgate/modelgated.log </dev/null)" -ge "$1" ]; }
	taken mg-link witness
	for i in 1 2 3; do
		as bob true # a record
		root modelgate checkpoint --quiet </dev/null
		soon refused "$i"
	done
	# What the agent knew before it started anew it takes once.
	[ "$(copies)" -le $((n + 1)) ] || fail "$(copies) copies, $n before"
	[ "$(said asked)" -le 6 ] || fail "asked $(said asked) times"
	root rm /tmp/taken/note </dev/null
	given_back
	root modelgate verify </dev/null
}

@test "a taken judge of signatures, either one, grants nothing" {
	for judge in sig keygen; do
		pipeline deploy "receipt-ocr@$(other_version)"
		id=$(wait_for_request)
		u=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')
		decisions=$(of decision)
		root mkdir -p /tmp/taken </dev/null
		root sh -c "rm -f /tmp/taken/replay; echo $u >/tmp/taken/uuid" </dev/null
		taken mg-verify $judge
		taken mg-link link
		rejections() { [ "$(ledger rejected | jq -c "select(.uuid == \"$u\")" | wc -l)" -ge 6 ]; }
		soon rejections
		given_back
		[ "$(of decision)" -eq "$decisions" ] || fail "$judge alone was believed"
		is_state "$id" pending
		as ci-deploy "modelgate cancel $id"
		soon pipeline_ended
		rm -f "$BATS_TEST_TMPDIR/status"
	done
}

@test "a taken judge of artifacts that says another digest: nothing runs" {
	runs=$(of run)
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id"
	taken mg-verify digest
	v=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].version')
	pipeline deploy "receipt-ocr@$v" # who was cut off finds it again
	approve carol "$id"
	is_revoked() { is_state "$id" revoked; }
	soon is_revoked
	[ "$(of run)" -eq "$runs" ]
	[ -z "$(gained)" ] || fail "$(gained)"
	given_back
}

@test "no secret stands in an argument, an environment, a log, the ledger or an audit record" {
	v=$(other_version)
	with_code alice "modelgate run deploy receipt-ocr@$v --no-wait --reason x"
	id=$(wait_for_request)
	soon root pgrep -x mg-link # it holds the host's key
	{
		root sed -n 's/^secret //p' /var/lib/modelgate/otp/alice
		root grep -v -e ---- /var/lib/modelgate/host_key
		root grep -v -e ---- /etc/modelgate/hub_host_key
	} </dev/null >"$BATS_TEST_TMPDIR/secrets"
	# the same in the form that people type, without its padding
	root sed -n 's/^secret //p' /var/lib/modelgate/otp/alice </dev/null |
	    python3 -c 'import base64, sys; print(base64.b32encode(bytes.fromhex(sys.stdin.read().strip())).decode().rstrip("="))' >>"$BATS_TEST_TMPDIR/secrets"
	# the head of every such key is the same and no secret
	grep -v b3BlbnNzaC1rZXktdjEA "$BATS_TEST_TMPDIR/secrets" | grep -E '.{20}' >"$BATS_TEST_TMPDIR/patterns"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/patterns")" -ge 6 ]
	cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' >"$BATS_TEST_TMPDIR/seen" || :
	root sh -c 'cat /var/log/modelgate/* /var/log/syslog /var/lib/modelgate/ledger/*' </dev/null >>"$BATS_TEST_TMPDIR/seen" 2>/dev/null || :
	audit -ts recent >>"$BATS_TEST_TMPDIR/seen" || :
	grep -q 'receipt-ocr' "$BATS_TEST_TMPDIR/seen"
	grep -q 'mg-link' "$BATS_TEST_TMPDIR/seen"
	run grep -aicFf "$BATS_TEST_TMPDIR/patterns" "$BATS_TEST_TMPDIR/seen"
	[ "$output" = 0 ] || fail "$(grep -aiFf "$BATS_TEST_TMPDIR/patterns" "$BATS_TEST_TMPDIR/seen" | cut -c 1-80)"
	as alice "modelgate cancel $id"
}
