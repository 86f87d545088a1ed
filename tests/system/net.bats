#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Between a host and its hub: packets that get lost, a connection whose other
# end is gone without a word, a hub that takes a second for each byte.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	declare_rescue
	root sed -i 's/^\[hub\]/&\ndown-after = 3s/' /etc/modelgate/agent.ini </dev/null
	extra_policy <<'END'
[operation hello]
command = /bin/echo hello
run-as = mlserve

[rule hellos]
operation = hello
END
	hub_port=$(sb env | sed -n 's/^MG_SANDBOX_HUB_PORT=//p')
	export hub_port
}
teardown_file() { host_down; }
teardown()
{
	deliver || :
	[ -z "${relay-}" ] || kill "$relay" || :
}

# Packets from and to this host's hub are lost, and nobody else's.
lose()
{
	nft -f - <<END
table inet mgtest$hub_port {
	chain out {
		type filter hook output priority 0; policy accept;
		oifname lo tcp dport $hub_port drop
		oifname lo tcp sport $hub_port drop
	}
}
END
}
deliver() { nft delete table inet "mgtest$hub_port" 2>/dev/null; }

hello() { root setpriv --reuid 7006 --regid 7101 --init-groups modelgate run hello </dev/null; }
outage() { root modelgate doctor --json </dev/null | jq -e 'any(.[]; .check == "hub" and .result == "fail")'; }
no_outage() { ! outage; }
inbox_has() { as bob modelgate inbox </dev/null | grep -q "$1"; }

@test "promise7 packets that get lost, and the hub's end of the connection gone meanwhile: an outage, a request kept, and decided" {
	command -v nft >/dev/null || skip "no nft here"
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	soon inbox_has "$id"
	lose
	# The hub forgets the connection, and link hears nothing of it.
	sb service modelgate-hub kill
	sb service modelgate-hub start
	reload
	soon -t 60 outage || fail "no outage was found"
	[ "$(ledger outage | jq -s 'last.down')" = true ]
	is_state "$id" pending
	hello
	declared_get_in
	deliver
	soon -t 60 no_outage
	soon -t 90 approve bob "$id"
	soon approve carol "$id"
	soon -t 60 pipeline_ended
	is_state "$id" used
	[ "$(ledger outage | jq -s 'last.down')" = false ]
}

@test "promise8 a hub that takes a second for each byte: no outage, nothing waits for it, and the request is decided when it can" {
	port=$((hub_port + 20000))
	echo 1 >"$BATS_TEST_TMPDIR/rate"
	"$BATS_TEST_DIRNAME/slow_relay.py" "$port" "$hub_port" "$BATS_TEST_TMPDIR/rate" >"$BATS_TEST_TMPDIR/relay" 2>&1 3>&- 9>&- &
	relay=$!
	soon grep -q ready "$BATS_TEST_TMPDIR/relay"
	root sed -i "s/^address = .*/address = 127.0.0.1:$port/" /etc/modelgate/agent.ini </dev/null
	sb service modelgated restart
	pipeline deploy receipt-ocr@1
	id=$(wait_for_request)
	t=$SECONDS
	hello
	root modelgate status --all </dev/null
	declared_get_in
	[ $((SECONDS - t)) -le 60 ] || fail "somebody waited for the hub"
	run ! inbox_has "$id"
	is_state "$id" pending
	no_outage
	echo 0 >"$BATS_TEST_TMPDIR/rate"
	soon -t 60 approve bob "$id"
	soon approve carol "$id"
	soon pipeline_ended
	is_state "$id" used
	root sed -i "s/^address = .*/address = 127.0.0.1:$hub_port/" /etc/modelgate/agent.ini </dev/null
}
