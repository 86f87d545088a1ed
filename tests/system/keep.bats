#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Old records: compressed, discarded by two people, their hashes kept and
# mended. The history is one of nine segments, the oldest made to look old.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

L=/var/lib/modelgate/ledger

setup_file()
{
	host_up
	sb service modelgated stop
	sb service modelgate-hub stop
	"$top/build/cc/bench/ledger_bench" fill "$BATS_FILE_TMPDIR/l" 100 900
	tar -C "$BATS_FILE_TMPDIR/l" -cf - . |
	    root sh -c "cd $L && rm -f * && tar -xf - --no-same-owner && chmod 600 *"
	# The hub has seen another one.
	root find /var/lib/modelgate-hub -name '*tree*' -delete </dev/null
	root sh -c 'cat >/etc/modelgate/operations.d/records.ini' \
	    <"$top/config/operations.d/records.ini.example"
	root sh -c 'cat >/etc/modelgate/policy.d/zz-records.ini' <<-'CONF'
	[rule discard-old-records]
	operation = discard
	role = pipeline
	model = ledger
	approve = 1 risk-owner, 1 data-steward
	[rule discard-carelessly]
	operation = discard
	role = pipeline
	model = ledger-x
	approve = 1 risk-owner
	CONF
	age 1 200
	age 107 200
	age 213 200
	age 319 100
	sb service modelgate-hub start
	sb service modelgated start
}
teardown_file() { host_down; }

# age LINE DAYS: of the segment that begins there.
age() { root touch -d "$2 days ago" "$L/$(printf %020d "$1").jsonl" </dev/null; }
has_file() { root test -e "$L/$1" </dev/null; }
segment() { printf '%020d.%s' "$1" "$2"; }
count_log() { sb log modelgated | grep -c "$1" || :; }
log_has() { sb log modelgated | grep -q "$1"; }
verify() { run root modelgate verify --json </dev/null; }
pipeline_said() { cat "$BATS_TEST_TMPDIR/pipeline"; }
set_conf() { root sh -c 'cat >>/etc/modelgate/agent.ini' <<<"$1"; }

@test "segments older than hot-days are compressed, and everything still reads them" {
	soon -t 60 has_file "$(segment 319 jsonl.zst)"
	run ! has_file "$(segment 319 jsonl)"
	has_file "$(segment 1 jsonl.zst)"
	has_file "$(segment 425 jsonl)"
	verify
	ok
	n=$(root sh -c 'modelgate log --json --type request | wc -l' </dev/null)
	[ "$n" -ge 128 ]
	run root modelgate log --request 00000010-0000-4000-8000-000000000010 --json </dev/null
	ok
	has '"type":"grant"'
	run root modelgate discard --json </dev/null
	[ "$(jq -s 'map(select(.compressed)) | length' <<<"$output")" = 4 ]
}

@test "--follow goes on while what it has read is compressed, and through a restart" {
	everything() { root modelgate log --json </dev/null; }
	root sh -c 'modelgate log --follow --json >/tmp/followed 2>&1 & echo $! >/tmp/follow.pid' </dev/null
	has_all() { [ "$(root sh -c 'grep -c seq /tmp/followed' </dev/null)" = "$(everything | wc -l)" ]; }
	soon has_all
	age 425 200
	sb service modelgated restart
	soon -t 60 has_file "$(segment 425 jsonl.zst)"
	reload
	soon has_all
	root sh -c 'kill $(cat /tmp/follow.pid); grep seq /tmp/followed' </dev/null >"$BATS_TEST_TMPDIR/followed"
	everything | cmp - "$BATS_TEST_TMPDIR/followed"
}

@test "nobody discards without a request that two people signed" {
	run root modelgate discard 106 </dev/null
	failed
	has "only a run of the operation 'discard'"
	has_file "$(segment 1 jsonl.zst)"
	# One approver is enough for the careless rule, and not for the agent.
	pipeline discard ledger-x@106
	id=$(wait_for_request)
	approve bob "$id"
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" -ne 0 ]
	pipeline_said | grep 'refused: '
	has_file "$(segment 1 jsonl.zst)"
	[ -z "$(ledger discard)" ]
}

@test "what is not old enough stays, whoever agrees" {
	pipeline discard ledger@318
	id=$(wait_for_request)
	approve bob "$id"
	approve carol "$id"
	soon pipeline_ended
	pipeline_said | grep 'not as old'
	has_file "$(segment 213 jsonl.zst)"
}

@test "two people discard: on record, the rest verifies, and verify names them" {
	set_conf '[ledger]
keep-days = 183'
	reload
	pipeline discard ledger@318
	id=$(wait_for_request)
	approve bob "$id" 'old enough'
	approve carol "$id"
	soon pipeline_ended
	pipeline_said
	[ "$(cat "$BATS_TEST_TMPDIR/status")" -eq 0 ]
	pipeline_said | grep 'records 1 to 318 are discarded'
	run ! has_file "$(segment 1 jsonl.zst)"
	run ! has_file "$(segment 213 jsonl.zst)"
	has_file "$(segment 319 jsonl.zst)"
	uuid=$(ledger discard | jq -r 'select(.last == 318 and .ok) | .uuid')
	soon audit -uu "$uuid" -m USYS_CONFIG
	root modelgate checkpoint --quiet </dev/null
	verify
	ok
	has '"discarded":["records 1 to 318 were'
	has 'were discarded: by ci-deploy, agreed by bob, carol, '
	# The request is exported and proved over the hashes of what is gone.
	root modelgate export "$id" --output /tmp/x.tar --quiet </dev/null
	run root modelgate verify /tmp/x.tar </dev/null
	ok
	# Deleted without an order, it is not the same.
	root sh -c "cp -a $L /tmp/l && cp /var/lib/modelgate/host_key.pub /tmp && rm /tmp/l/$(segment 319 jsonl.zst)" </dev/null
	run root modelgate verify /tmp/l --json </dev/null
	[ "$status" -eq 1 ]
	has 'no record says that two people discarded them'
}

@test "lost and wrong hashes are made anew after a restart" {
	sb service modelgated stop
	root sh -c "printf x | dd of=$L/leaves bs=1 seek=15000 conv=notrunc" </dev/null
	sb service modelgated start
	soon -t 60 log_has 'the hashes of its lines are whole again'
	verify
	ok
	# Discarded records have theirs twice: no hub is needed.
	host=$(as bob 'ssh hub ledgers' </dev/null | jq -r .host)
	as bob "ssh hub leaves $host" </dev/null >"$BATS_TEST_TMPDIR/leaves"
	sb service modelgated stop
	sb service modelgate-hub stop
	root rm "$L/leaves" </dev/null
	verify
	ok
	before=$(count_log 'whole again')
	sb service modelgated start
	more_log() { [ "$(count_log 'whole again')" -gt "$before" ]; }
	soon -t 60 more_log
	sb service modelgate-hub start
	verify
	ok
	# Wrong ones are not believed: nothing is taken for whole.
	sb service modelgated stop
	root sh -c "rm $L/leaves; printf x | dd of=$L/leaves.discarded bs=1 seek=500 conv=notrunc" </dev/null
	sb service modelgated start
	soon -t 60 log_has 'hashes of discarded lines are lost'
	verify
	[ "$status" -eq 1 ]
	# Both lost: from the hub, by hand, and judged by the root.
	sb service modelgated stop
	root sh -c "cat >$L/leaves && chmod 600 $L/leaves && rm $L/leaves.discarded" <"$BATS_TEST_TMPDIR/leaves"
	sb service modelgated start
	verify
	ok
	soon has_file leaves.discarded
	root cmp -n 10176 "$L/leaves" "$L/leaves.discarded" </dev/null
}

deployed()
{
	pipeline deploy "receipt-ocr@$1"
	id=$(wait_for_request)
	approve bob "$id"
	approve carol "$id"
	soon pipeline_ended
	soon is_state "$id" used
	[ "$(cat "$BATS_TEST_TMPDIR/status")" -eq 0 ]
	served
}
served() { root readlink -f /srv/serve/receipt-ocr/current </dev/null; }
S=/var/lib/modelgate-store
check_models() { root modelgate models --check --json </dev/null || :; } # drift is its status
is_gone() { run ! root test -e "$1" </dev/null; }
is_there() { root test -e "$1" </dev/null; }
link() { root ln -sfn "$1" /srv/serve/receipt-ocr/current </dev/null; }

@test "copies that nobody needs go, on record; what is served never does" {
	set_conf '[models]
keep-versions = 1'
	reload
	one=$(deployed 1 | tail -n 1)
	two=$(deployed 2 | tail -n 1)
	[[ $one == $S/sha256-* && $two == $S/sha256-* && $one != "$two" ]]
	# One to go back to is kept.
	check_models
	is_there "$one"
	root sed -i 's/keep-versions = 1/keep-versions = 0/' /etc/modelgate/agent.ini </dev/null
	reload
	# Somebody serves the old one past the record: that is found.
	link "$one"
	check_models
	[ -n "$(ledger model | jq -r 'select(.effect == "drift" and .ok == false) | .found')" ]
	is_there "$one"
	link "$two"
	# A request that waits for it needs it, too.
	pipeline deploy receipt-ocr@1
	id=$(wait_for_request)
	check_models
	is_there "$one"
	root modelgate revoke "$id" </dev/null
	soon pipeline_ended
	check_models
	soon is_gone "$one"
	is_there "$two"
	[ "$(served)" = "$two" ]
	[ "$(ledger prune | jq -r 'select(.ok) | .digest')" = "sha256:${one#"$S"/sha256-}" ]
	# It comes back from its source.
	[ "$(deployed 1 | tail -n 1)" = "$one" ]
	is_there "$one"
}
