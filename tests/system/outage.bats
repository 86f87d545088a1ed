#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# promise7: what each operation does while no approver can be reached.

load lib

setup_file()
{
	host_up
	declare_rescue
	root sed -i 's/^\[hub\]/&\ndown-after = 3s/' /etc/modelgate/agent.ini \
	    </dev/null
	extra_policy <<-'END'
	[role on-call]
	members = alice

	[rule high-goes-back-with-approval]
	effect = require
	operation = rollback
	approve = 1 risk-owner
	when-hub-down = served-before

	[operation swap]
	command = /bin/echo swapped {model}
	run-as = mlserve

	[rule glass]
	operation = swap
	role = on-call
	approve = 1 risk-owner
	break-glass = on-call
	break-glass-review = data-steward
	break-glass-lasts = 1m
	END
	# version 2, then 1: both are approved and ran here
	for v in 2 1; do
		sb ssh ci-deploy "modelgate run deploy receipt-ocr@$v" \
		    >"$BATS_FILE_TMPDIR/deploy-$v" 2>&1 </dev/null 3>&- &
		id=$(wait_for_request) || { cat "$BATS_FILE_TMPDIR"/deploy-* >&2; false; }
		approve bob "$id"
		approve carol "$id"
		wait $!
	done
}
teardown_file() { host_down; }

# A factor whose codes nobody used yet: no need to wait for one.
fresh_code()
{
	sb factor alice >/dev/null
	with_code alice "$1"
}
is_down() { [ -n "$(outage)" ]; }
outage()
{
	root modelgate doctor --json </dev/null |
	    jq -r '.[] | select(.check == "hub" and .result == "fail").text'
}
hub_down()
{
	sb service modelgate-hub stop
	kill -HUP "$(pid_of modelgated)"
	soon is_down
}
is_up() { ! is_down; }
hub_up()
{
	sb service modelgate-hub start
	soon is_up
}

@test "a restart of the hub is no outage" {
	sb service modelgate-hub restart
	run root modelgate log --json --type outage </dev/null
	[ -z "$output" ]
}

@test "promise7 while the hub answers, nothing goes without approval" {
	run fresh_code 'modelgate run rollback receipt-ocr@2 --no-wait --reason x'
	ok
	id=$(wait_for_request) || { cat "$BATS_FILE_TMPDIR"/deploy-* >&2; false; }
	is_state "$id" pending
	as alice modelgate cancel "$id" </dev/null
	run fresh_code 'modelgate run swap receipt-ocr --break-glass --reason x'
	[ "$status" -eq 125 ]
	has 'the hub answers'
}

@test "promise7 an outage is on record, and what it forbids says so" {
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	hub_down
	# Whoever waits is told why nobody answers.
	soon grep -q '^  the hub does not answer since' "$BATS_TEST_TMPDIR/pipeline"
	as ci-deploy modelgate cancel "$id" </dev/null
	soon pipeline_ended
	run audit -m SERVICE_STOP
	has 'op=modelgate:hub-down'
	[ "$(ledger outage | jq -s 'last | .down and .probes >= 3')" = true ]
	run as ci-deploy 'modelgate run deploy receipt-ocr@2'
	[ "$status" -eq 125 ]
	has 'the hub does not answer since'
	has 'bring the hub back'
	has 'rule: '
	[[ "$(serving)" = *1 ]]
	declared_get_in
}

@test "promise7 back to what ran here, approved and unchanged: with a second factor" {
	run fresh_code 'modelgate run rollback receipt-ocr@2 --reason broken'
	ok
	[[ "$(serving)" = *2 ]]
	id=$(ledger grant | jq -rs 'last.uuid')
	[ "$(ledger waiver | jq -rs 'last | .uuid + .waive')" = "${id}served-before" ]
	run audit -uu "$id"
	has 'ANOM_EXEC'
	has 'reason=served-before'
}

@test "promise7 changed bytes are not what ran here" {
	f=$(root find /srv/models/receipt-ocr/1 -type f </dev/null | head -n 1)
	root cp -p "$f" /tmp/kept </dev/null
	root sh -c "printf X | dd of='$f' bs=1 seek=1000 conv=notrunc status=none" \
	    </dev/null
	run fresh_code 'modelgate run rollback receipt-ocr@1 --reason x'
	root cp -p /tmp/kept "$f" </dev/null
	[ "$status" -eq 125 ]
	has 'approved and unchanged'
	[[ "$(serving)" = *2 ]]
}

@test "promise7 the glass is broken by its role, with a reason, a factor, shortly, and loudly" {
	run fresh_code 'modelgate run swap receipt-ocr --break-glass'
	[ "$status" -eq 125 ]
	has 'takes a reason'
	run as ci-deploy 'modelgate run deploy receipt-ocr@1 --break-glass --reason x'
	[ "$status" -eq 125 ]
	has 'do not let you'
	run fresh_code 'modelgate run swap receipt-ocr --break-glass --reason fire'
	ok
	has 'somebody reviews it afterwards'
	hasnt 'approvers: modelgate approve'
	id=$(ledger grant | jq -rs 'last.uuid')
	[ "$(ledger request | jq -rs 'last.lasts_ms')" = 60000 ]
	run audit -uu "$id"
	has 'ANOM_EXEC'
	has 'reason=break-glass'
}

@test "promise7 the glass stays closed until its last use was reviewed, by who is asked" {
	run fresh_code 'modelgate run swap receipt-ocr --break-glass --reason again'
	[ "$status" -eq 125 ]
	has 'has not been reviewed'
	# also after a restart
	sb service modelgated kill
	sb service modelgated start
	hub_up
	id=$(ledger grant | jq -rs 'last.uuid')
	code=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].id')
	inbox_has() { as carol modelgate inbox </dev/null | grep -q "$code"; }
	soon inbox_has
	run as carol modelgate inbox </dev/null
	has 'review: '
	run as bob "modelgate approve $code --yes" </dev/null
	failed
	has 'none of the roles'
	run as carol "modelgate approve $code --yes -m 'seen it'" </dev/null
	ok
	[ "$(ledger review | jq -rs 'last | .approver + " " + .note')" = 'carol seen it' ]
	run audit -uu "$id"
	has 'op=modelgate:review'
}

@test "promise7 filling the ports, or a hub that hangs up, makes no outage" {
	n=$(ledger outage | wc -l)
	# one that takes connections and breaks them at once answers
	sb service modelgate-hub stop
	port=$(sb env | sed -n 's/^MG_SANDBOX_HUB_PORT=//p')
	socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" SYSTEM:true \
	    3>&- &
	socat=$!
	kill -HUP "$(pid_of modelgated)"
	run soon -t 4 is_down
	kill "$socat"
	failed
	[ "$(ledger outage | wc -l)" -eq "$n" ]
	sb service modelgate-hub start
}
