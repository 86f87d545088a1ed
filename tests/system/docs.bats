#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What README.md and the manuals tell people to type does what they say.
# (tests/docs/agree compares their lists with the code.)

load lib

setup_file()
{
	local id
	host_up
	export BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR # for pipeline()
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	approve bob "$id" checked drift
	approve carol "$id"
	soon pipeline_ended
	soon is_state "$id" used
	as mallory 'modelgate run deploy receipt-ocr@1' || :
	# one that is ended while it runs
	root sh -c 'echo "[operation wait]
		command = /bin/sleep 3333
		run-as = mlserve
		[rule wait]
		operation = wait
		role = pipeline" | sed "s/^[[:blank:]]*//" >/etc/modelgate/policy.d/zz-docs.ini' </dev/null
	reload
	rm "$BATS_TEST_TMPDIR/status"
	as ci-deploy 'modelgate run wait' </dev/null >/dev/null 2>&1 3>&- &
	soon host_has_run
	root modelgate revoke --user ci-deploy </dev/null
	soon is_ended
	echo "$id" >"$BATS_FILE_TMPDIR/id"
	root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl' </dev/null \
	    >"$BATS_FILE_TMPDIR/ledger.jsonl"
}
teardown_file() { host_down; }

host_has_run() { pgrep_in -fx '/bin/sleep 3333'; }
is_ended() { ledger empty | grep -q '"why":"revoked"'; }

# example PAGE N: the Nth displayed block of the section EXAMPLES.
example()
{
	awk -v n="$2" '/^\.Sh EXAMPLES/ { in_it = 1 }
	    in_it && /^\.Bd/ { n--; show = n == 0; next }
	    /^\.Ed/ { show = 0 }
	    show' "$top/$1" | sed -e 's/^[$#] //' -e 's/\\e/\\/g' \
	    -e "s/R7KQ2FHD4M/$(cat "$BATS_FILE_TMPDIR/id")/"
}

@test "modelgate-ledger(5): the chain is whole, and a changed line is found" {
	cd "$BATS_FILE_TMPDIR"
	example agent/ledger/modelgate-ledger.5 1 >whole
	run bash whole
	ok
	sed '5s/"bt":/"bt":1/' ledger.jsonl >changed
	run cmp -s changed ledger.jsonl
	failed
	run bash <(sed s/ledger.jsonl/changed/ whole)
	failed
	has 'line 6'
}

@test "modelgate-ledger(5): who approved what, and how long ending took" {
	cd "$BATS_FILE_TMPDIR"
	run bash <(example agent/ledger/modelgate-ledger.5 2)
	ok
	has $'bob\tapprove\tSHA256:'
	has $'carol\tapprove\tSHA256:'
	run bash <(example agent/ledger/modelgate-ledger.5 3)
	ok
	[[ $output =~ ^[0-9.]+$ ]]
}

@test "modelgate-ledger(5): every type and member of a real ledger is there" {
	page=$(sed -n '/^\.Ss Types/,/^\.Ss/p' "$top/agent/ledger/modelgate-ledger.5")
	while read -r type key; do
		grep -q "^\.It $type\$" <<<"$page" || fail "no type $type"
		members=$(awk -v t="$type" '/^\.It / { is = $2 == t }
		    is && /^\.Ql / { print }' <<<"$page")
		[[ " $members " == *" $key "* ]] || fail "$type: no $key"
	done < <(jq -r '.type as $t | keys_unsorted[5:][] | $t + " " + .' \
	    "$BATS_FILE_TMPDIR/ledger.jsonl" | sort -u)
}

@test "modelgate(1): stock ssh-keygen verifies what bob signed" {
	example agent/cli/modelgate.1 2 >"$BATS_FILE_TMPDIR/verify"
	grep -q 'ssh-keygen -Y verify' "$BATS_FILE_TMPDIR/verify"
	run as dave "$(cat "$BATS_FILE_TMPDIR/verify")"
	ok
	has 'Good "modelgate-approval" signature for bob'
}

@test "README.md: the evidence of one request, with modelgate and without" {
	sed -n '/^The evidence of one request/,/^## /s/^    //p' "$top/README.md" |
	    sed -e 's/ *#.*//' -e "s/CODE/$(cat "$BATS_FILE_TMPDIR/id")/" >"$BATS_FILE_TMPDIR/steps"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/steps")" = 3 ]
	run root sh -e -c "cd $top; PATH=\$PATH; cp -r scripts /tmp/scripts; cd /tmp; $(cat "$BATS_FILE_TMPDIR/steps")" </dev/null
	ok
	has 'bob: approve'
	has 'Signature Verified Successfully'
	has 'Good "modelgate-approval" signature for bob'
	[ "${lines[-1]}" = 'ALL GOOD' ]
}

@test "README.md: the auditor's recipes find something" {
	id=$(cat "$BATS_FILE_TMPDIR/id")
	uuid=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')
	n=0
	while read -r line; do
		line=$(sed -e 's/ *#.*//' -e "s/CODE/$id/" -e "s/UUID/$uuid/" \
		    -e 's/alice/ci-deploy/' <<<"$line")
		[[ $line != *'-sv no'* && $line != *'-k modelgate'* ]] || continue
		run root sh -c "$line" </dev/null
		ok
		[ -n "$output" ] || fail "nothing: $line"
		n=$((n + 1))
	done < <(sed -n '/^## Auditor/,/^The evidence/p' "$top/README.md" | sed -n 's/^    //p')
	[ "$n" -ge 4 ]
}
