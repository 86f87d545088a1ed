#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The whole story over the real sshd: one command, a second factor, two
# signatures from elsewhere, and what is left in the records.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file() { host_up; }
teardown_file() { host_down; }
teardown()
{
	root modelgate revoke --all </dev/null >/dev/null
}

other_version() { [ "$(serving)" = releases/2 ] && echo 1 || echo 2; }

@test "an operator, a second factor, two approvers: the model is deployed" {
	v=$(other_version)
	with_code alice "modelgate run deploy receipt-ocr@$v --reason 'Q3 retrain'" >"$BATS_TEST_TMPDIR/alice" 2>&1 &
	id=$(wait_for_request)
	soon grep -q 'asked: bob' "$BATS_TEST_TMPDIR/alice"
	run approve bob "$id" checked drift
	ok
	has '1 of 2'
	soon grep -q 'bob agrees (risk-owner)' "$BATS_TEST_TMPDIR/alice"
	[[ $(serving) != *"$v" ]]
	run approve carol "$id"
	ok
	wait %1
	grep -q "serves $v now" "$BATS_TEST_TMPDIR/alice"
	[[ $(serving) == *"$v" ]]
	soon is_state "$id" used
}

@test "a pipeline does the same with no terminal" {
	v=$(other_version)
	pipeline deploy "receipt-ocr@$v"
	id=$(wait_for_request)
	approve carol "$id"
	approve bob "$id"
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ]
	[[ $(serving) == *"$v" ]]
	# plain lines: no escape sequences on a pipe
	run ! grep -q $'\033' "$BATS_TEST_TMPDIR/pipeline"
}

@test "an approver needs nothing but ssh and ssh-keygen" {
	v=$(other_version)
	pipeline deploy "receipt-ocr@$v"
	id=$(wait_for_request)
	for who in bob carol; do
		run as "$who" "ssh hub inbox"
		ok
		has "$id"
		run as "$who" "ssh hub show $id"
		ok
		has "receipt-ocr"
		run as "$who" "ssh hub text $id approve fine |
		    ssh-keygen -Y sign -n modelgate-approval -f ~/.ssh/id_ed25519 |
		    ssh hub submit $id approve fine"
		ok
		has accepted
	done
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ]
}

@test "promise10 stock ssh-keygen confirms what the ledger kept" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id" "drift \"checked\""
	approve carol "$id"
	soon pipeline_ended
	d=$BATS_TEST_TMPDIR
	root cat /etc/modelgate/allowed_signers >"$d/signers"
	ledger decision | jq -c "select(.uuid == \"$(uuid "$id")\")" >"$d/decisions"
	[ "$(wc -l <"$d/decisions")" -eq 2 ]
	while read -r line; do
		jq -rj .text <<<"$line" >"$d/text"
		jq -rj .sig <<<"$line" >"$d/sig"
		who=$(jq -r .approver <<<"$line")
		ssh-keygen -Y verify -f "$d/signers" -I "$who" \
		    -n modelgate-approval -s "$d/sig" <"$d/text"
		# and denies a changed one
		sed 's/receipt-ocr/receipt-ocx/' "$d/text" >"$d/changed"
		run ssh-keygen -Y verify -f "$d/signers" -I "$who" \
		    -n modelgate-approval -s "$d/sig" <"$d/changed"
		failed
	done <"$d/decisions"
}
uuid() { root modelgate status "$1" --json </dev/null | jq -r '.[0].uuid'; }

@test "ausearch tells the whole story, by request, model, person and type" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id"
	approve carol "$id"
	soon pipeline_ended
	soon is_state "$id" used
	u=$(uuid "$id")
	run audit -uu "$u"
	ok
	for op in request approve grant run exit used; do
		has "op=modelgate:$op"
	done
	has 'grantors=bob,carol'
	[ "$(grep -c 'op=modelgate:approve' <<<"$output")" -eq 2 ]
	run audit -i -uu "$u"
	ok
	has 'cmd=/usr/libexec/modelgate/ops/symlink deploy receipt-ocr'
	has 'auid=ci-deploy'
	run audit -vm receipt-ocr
	ok
	has "uuid=$u"
	run audit -ua ci-deploy -m CRED_ACQ
	ok
	has "uuid=$u"
	run audit -m USER_CMD -sv yes
	ok
	has "uuid=$u"
	run root aureport --input-logs -au -i
	ok
	has bob
}

@test "a hostile reason hides and forges nothing" {
	evil=$'x\nuuid=00000000-0000-4000-8000-000000000000 res=success vm="other" \033[2J \xe2\x80\xae'
	as ci-deploy "modelgate run deploy receipt-ocr@$(other_version) --no-wait --reason $(printf %q "$evil")" </dev/null
	id=$(wait_for_request)
	u=$(uuid "$id")
	run audit -uu "$u"
	ok
	has 'op=modelgate:request'
	run audit -uu 00000000-0000-4000-8000-000000000000
	hasnt modelgate
	run as bob "ssh hub show $id"
	ok
	hasnt $'\033'
	has '\u{202e}'
	has '\nuuid='
	run root modelgate status "$id"
	ok
	hasnt $'\033['
	as ci-deploy "modelgate cancel $id"
}

@test "promise3 the requester's own approval never counts" {
	with_code alice "modelgate run deploy receipt-ocr@$(other_version) --no-wait --reason x"
	id=$(wait_for_request)
	run approve alice "$id"
	[ "$status" -eq 125 ]
	has 'asked for this yourself'
	is_state "$id" pending
	as alice "modelgate cancel $id"
}

@test "promise3 who is not asked does not count, and one person counts once" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	run approve mallory "$id"
	[ "$status" -eq 125 ]
	run approve bob "$id"
	ok
	run approve bob "$id" again
	[ "$status" -eq 125 ]
	is_state "$id" pending
	as ci-deploy "modelgate cancel $id"
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 125 ]
}

@test "one no ends it, says who and why, and is final" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id"
	run deny carol "$id" not before the audit
	ok
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 125 ]
	grep -q 'carol said no: not before the audit' "$BATS_TEST_TMPDIR/pipeline"
	is_state "$id" denied
	run approve carol "$id"
	failed
	is_state "$id" denied
}

@test "promise2 one changed byte of the artifact: nothing runs" {
	v=$(other_version)
	was=$(serving)
	pipeline deploy "receipt-ocr@$v"
	id=$(wait_for_request)
	approve bob "$id"
	f=$(root find "/srv/models/receipt-ocr/$v" -type f </dev/null | head -n 1)
	root cp -p "$f" /tmp/kept </dev/null
	root sh -c "printf X | dd of='$f' bs=1 seek=1000 conv=notrunc status=none"
	approve carol "$id"
	soon pipeline_ended
	root cp -p /tmp/kept "$f" </dev/null
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 125 ]
	grep -q 'was approved' "$BATS_TEST_TMPDIR/pipeline"
	[ "$(serving)" = "$was" ]
	is_state "$id" revoked
	run audit -uu "$(uuid "$id")"
	has 'reason=artifact-changed'
	hasnt 'op=modelgate:run'
}

@test "promise2 an approver who lost the role between signature and use does not count" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	approve bob "$id"
	p=/etc/modelgate/policy.d/people.ini
	root cp -p $p /tmp/people.ini </dev/null
	root sed -i 's/^members = bob$/members = dave/' $p </dev/null
	reload
	approve carol "$id"
	run soon -t 2 pipeline_ended
	failed
	is_state "$id" pending
	root cp -p /tmp/people.ini $p </dev/null
	reload
	# bob is back, and what he signed still stands
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ]
}

@test "promise9 a refusal says what, which rule, what would help, and a code that explains it" {
	run as mallory 'modelgate run deploy receipt-ocr@2'
	[ "$status" -eq 125 ]
	has 'mallory may not deploy receipt-ocr@2'
	has 'no rule matched'
	has 'rules.ini:'
	has 'ml-engineer'
	code=$(sed -n 's/.*modelgate why \([0-9A-Z]*\).*/\1/p' <<<"$output")
	run as mallory "modelgate why $code"
	ok
	has 'mallory may not deploy receipt-ocr@2'
	# support sees it too, others do not
	run root modelgate why "$code"
	ok
	run as alice "modelgate why $code"
	failed
	run as dave "modelgate log --request $code"
	ok
	has refused
}

@test "promise9 malformed questions get a clear answer, and nothing is filed" {
	n=$(ledger request | wc -l)
	for bad in 'deploy ../etc/passwd@1' 'deploy -x' 'deploy receipt-ocr@..' \
	    'deploy a/b@1' "deploy $(head -c 10000 /dev/zero | tr '\0' a)" \
	    'deploy receipt-ocr@1 extra' '../x receipt-ocr@1' ''; do
		run as alice "modelgate run $bad"
		[ "$status" -eq 2 ]
		has modelgate
	done
	run as alice 'modelgate run no-such-operation'
	[ "$status" -eq 125 ]
	has 'no such operation'
	run as alice 'modelgate run deploy no-such-model@1'
	[ "$status" -eq 125 ]
	[ "$(ledger request | wc -l)" -eq "$n" ]
}

@test "who waits can give up, and the request goes" {
	pipeline deploy "receipt-ocr@$(other_version)"
	id=$(wait_for_request)
	pkill_in -INT -u 7006 -x modelgate
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 125 ]
	is_state "$id" cancelled
}

@test "a request that goes while its code is asked for is told so, and nothing breaks" {
	pid=$(pid_of modelgated)
	TOP=$top V=$(other_version) expect -f - <<'END' &
set timeout 90
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt alice modelgate run deploy receipt-ocr@$env(V)
expect -ex "Verification code:" {} timeout { exit 99 }
expect eof {} timeout { exit 98 }
exit [lindex [wait] 3]
END
	id=$(wait_for_request)
	as alice modelgate cancel "$id"
	s=0
	wait $! || s=$?
	[ "$s" -eq 125 ]
	is_state "$id" cancelled
	# more questions than what was freed could hide behind
	for _ in 1 2 3; do
		as alice modelgate status
	done
	[ "$(pid_of modelgated)" = "$pid" ]
}

@test "who was cut off finds the request again, and it runs once" {
	v=$(other_version)
	pipeline deploy "receipt-ocr@$v"
	id=$(wait_for_request)
	pkill_in -KILL -u 7006 -x modelgate
	soon pipeline_ended
	rm "$BATS_TEST_TMPDIR/status"
	is_state "$id" pending
	pipeline deploy "receipt-ocr@$v"
	approve bob "$id"
	approve carol "$id"
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 0 ]
	is_state "$id" used
	[ "$(ledger run | jq -c "select(.uuid == \"$(uuid "$id")\")" | wc -l)" -eq 1 ]
}

@test "a request for later is granted, used once, and then gone" {
	with_code alice "modelgate request deploy receipt-ocr@$(other_version) --reason later --no-wait --for 5m"
	id=$(wait_for_request)
	approve bob "$id"
	approve carol "$id"
	soon is_state "$id" granted
	run as alice 'modelgate grants'
	ok
	has "$id"
	v=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].version')
	# no code is asked for: the grant has had it
	run as alice "modelgate run deploy receipt-ocr@$v"
	ok
	soon is_state "$id" used
	run as alice "modelgate run deploy receipt-ocr@$v"
	[ "$status" -eq 125 ]
	has 'second factor'
}

@test "only the requester and who may revoke end a grant" {
	with_code alice "modelgate request deploy receipt-ocr@$(other_version) --reason later --no-wait"
	id=$(wait_for_request)
	approve bob "$id"
	approve carol "$id"
	soon is_state "$id" granted
	run as mallory "modelgate done $id"
	[ "$status" -eq 125 ]
	run as mallory "modelgate revoke $id"
	[ "$status" -eq 125 ]
	run as carol "modelgate revoke $id"
	[ "$status" -eq 125 ]
	is_state "$id" granted
	run as bob "modelgate revoke $id"
	ok
	is_state "$id" revoked
}

@test "second factor: a wrong code is told, a code works once, five wrong ones lock" {
	v=$(other_version)
	sb factor alice # whose codes nobody used yet: no need to wait for one
	wrong() { CODE=$1 TOP=$top V=$v expect -f - <<'END'
set timeout 90
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt alice modelgate run rollback receipt-ocr@$env(V)
expect {
	-ex "Verification code:" { send "$env(CODE)\r"; exp_continue }
	eof {}
}
exit [lindex [wait] 3]
END
	}
	run with_code alice "modelgate run rollback receipt-ocr@$v"
	ok
	used=$(sb totp alice --again)
	run wrong "$used"
	[ "$status" -eq 125 ]
	has 'not accepted'
	run wrong 000000
	[ "$status" -eq 125 ]
	run wrong 000000
	[ "$status" -eq 125 ]
	has 'too many wrong codes'
	# also with a right one, in another session, after a restart
	sb service modelgated kill
	sb service modelgated start
	run with_code alice "modelgate run rollback receipt-ocr@$v"
	[ "$status" -eq 125 ]
	has 'too many wrong codes'
	run audit -m ANOM_LOGIN_FAILURES
	ok
	has 'acct="alice"'
	run audit -m CRYPTO_REPLAY_USER
	ok
	has 'acct="alice"'
}
