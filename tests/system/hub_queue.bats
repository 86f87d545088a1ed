#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The hub as a mailbox: nothing is lost, nothing is anybody else's.

load hub_lib
setup_file() { hub_up; }
teardown_file() { hub_down; }
setup() { log_has evt=ready || hub_start; }

signers='--signers /etc/modelgate/allowed_signers'
# A host that verifies signatures, and one that answers nothing by itself.
verifying() { has_host host1 && host_end host1; host host1 "$signers"; }
silent() { has_host host1 && host_end host1; host host1; }
verdict_is()
{
	S bob show "$U" --json |
	    jq -se ".[0].judged == \"$1\" and .[0].verdict == \"$2\""
}

@test "a decision waits for a host that is away, and reaches it later" {
	verifying
	request
	host_end host1
	run S bob inbox --json
	run jq -e --arg u "$U" '.[] | select(.uuid == $u) |
	    .host_connected == false' <<<"$output"
	is 0
	run decide bob "$CODE" approve
	is 3
	has 'stored; web-1 is not connected now'
	run S bob inbox
	has 'waits for the host'
	run S bob submit "$CODE" deny <<<"$(signed bob "$CODE" deny)"
	is 1
	has 'you have decided'
	verifying
	soon heard host1 "decision $U bob approve"
	soon verdict_is accepted '1 of 1'
}

@test "a decision that the host did not judge is given again, and only then" {
	silent
	request
	run decide bob "$CODE" approve
	is 3
	has 'the host has not answered yet'
	[ "$(ns grep -c "decision $U bob" "$W/host1/out")" = 1 ]
	silent
	soon heard host1 "decision $U bob approve"
	tell host1 "verdict $U bob approve yes 1 of 1"
	soon log_has "req=$CODE approver=bob approve accepted"
	# Twice is as once.
	tell host1 "verdict $U bob approve yes 1 of 1"
	silent
	run heard host1 "decision $U bob"
	is 1
}

@test "the newest connection of a host is the one" {
	silent
	ns mkdir -p "$W/again"
	ns sh -c "cd $W/again && (sleep 1000000 | python3 $peer ssh \
	    -F $W/k/config -T -i $W/k/host1 -p 7022 127.0.0.1 host >out) &"
	soon log_has 'host=web-1 connected again'
	soon heard host1 closed
	ns pkill -f 'sleep 1000000 [|]' || :
	ns pkill -f "[/]again" || :
	ns pkill -f "[/]k/host1 " || :
}

@test "a host reaches its own requests only" {
	verifying
	request
	mine=$U
	for what in "put $mine web-2 alice 600000" \
	    "state $mine denied ended" "verdict $mine bob approve yes ok"; do
		host host2
		tell host2 "$what"
		soon heard host2 closed
	done
	for what in 'put of' 'state of' 'verdict on'; do
		log_has "name=web-2 state=host-ready $what another host's request"
	done
	run S bob show "$mine" --json
	run jq -e '.state == "pending" and (.ended | not) and
	    .host == "web-1"' <<<"$output"
	is 0
	run decide bob "$mine" approve
	is 0
}

@test "a host cannot put a request in another host's name" {
	host host2
	u=$(new_uuid)
	tell host2 "put $u web-2 alice 600000 web-1"
	soon heard host2 "put_ans $u no the body names another host"
	run S bob show "$u"
	is 1
	host_end host2
}

@test "malformed frames of a host end its connection, and only that" {
	verifying
	for hex in ffffffff006e000100000001 0000000900ff000100000001 \
	    00000014007100010000000100000000 0000000c006e0002000000010000 \
	    00000016006e000100000001ffffffff00000000000000000000 \
	    4745542f20485454502f312e310d0a0d0a; do
		host host2
		tell host2 "raw $hex"
		soon heard host2 closed
	done
	request
	run S bob show "$CODE"
	is 0
}

@test "a restart loses nothing: kill -9 at every state of a request" {
	verifying
	for state in filed decided judged ended; do
		request
		case $state in
		filed) ;;
		decided)
			host_end host1
			run decide bob "$CODE" approve
			is 3
			;;
		judged)
			verifying
			run decide bob "$CODE" approve
			is 0
			;;
		ended)
			tell host1 "state $U granted ended risk-owner bob"
			soon log_has "req=$CODE host=web-1 state=granted ended"
			;;
		esac
		before=$(S carol show "$U" --json |
		    jq -S 'del(.left_s, .host_connected)')
		mine=$(S bob show "$U" --json | jq -c '[.your_decision, .judged]')
		hub_kill KILL
		hub_start
		after=$(S carol show "$U" --json |
		    jq -S 'del(.left_s, .host_connected)')
		[ "$before" = "$after" ]
		[ "$mine" = "$(S bob show "$U" --json |
		    jq -c '[.your_decision, .judged]')" ]
		verifying
		[ "$state" != decided ] || soon heard host1 "decision $U bob"
	done
}

@test "a hub that is killed while approvers submit keeps what it confirmed" {
	verifying
	: >"$BATS_TEST_TMPDIR/kept"
	for i in 1 2 3 4 5 6; do
		request
		signed bob "$U" approve >"$BATS_TEST_TMPDIR/sig"
		ns sh -c "sleep 0.0$((i * 2)); kill -9 $(ns cat "$W/hub.pid")" &
		killer=$!
		run S bob submit "$U" approve <"$BATS_TEST_TMPDIR/sig"
		[ "$status" = 0 ] && echo "$U" >>"$BATS_TEST_TMPDIR/kept"
		wait "$killer"
		soon gone "$(ns cat "$W/hub.pid")"
		hub_start
		verifying
		# Confirmed or not: the request is there and can be decided.
		run S bob show "$U" --json
		is 0
		[ "$(jq -r .your_decision <<<"$output")" = approve ] ||
		    { run decide bob "$U" approve; is 0; }
	done
	while read -r u; do
		[ "$(S bob show "$u" --json | jq -r .your_decision)" = approve ]
	done <"$BATS_TEST_TMPDIR/kept"
}

@test "a connection process that is killed takes nobody else along" {
	verifying
	request
	ns sh -c "ssh -F $W/k/config -i $W/k/bob -p 7022 127.0.0.1 \
	    inbox --follow >$W/follow 2>&1; echo gone >>$W/follow" &
	soon ns grep -q "$CODE" "$W/follow"
	ns pkill -9 -n -x mg-hub-conn
	soon ns grep -q gone "$W/follow"
	soon log_has 'evt=child-died'
	run decide bob "$CODE" approve
	is 0
}

@test "a torn last record is repaired, and said so" {
	verifying
	request
	hub_kill KILL
	ns sh -c "printf '{\"n\":99,\"t\":\"put' >>/var/lib/modelgate-hub/journal"
	hub_start
	log_has 'evt=ledger repaired: a record of 16 bytes'
	run S bob show "$U"
	is 0
}

@test "a damaged journal refuses to start, and says where" {
	hub_kill
	ns cp /var/lib/modelgate-hub/journal "$W/journal.good"
	ns sed -i '2s/"t":"/"t":"x/' /var/lib/modelgate-hub/journal
	run as_hub modelgate-hub
	is 1
	has "state in '/var/lib/modelgate-hub' cannot be used: journal:2: unknown record"
	ns sh -c "sed 2d $W/journal.good >/var/lib/modelgate-hub/journal"
	run as_hub modelgate-hub
	is 1
	has 'journal:2: record is out of order'
	ns sh -c "cat $W/journal.good >/var/lib/modelgate-hub/journal"
	hub_start
}

@test "two hubs cannot share one journal" {
	printf '[hub]\nlisten = 127.0.0.1:7023\n' |
	    ns tee /etc/modelgate/second.ini >/dev/null
	run as_hub modelgate-hub -c /etc/modelgate/second.ini
	is 1
	has 'in use by another hub'
}

@test "a full disk refuses a request and the hub goes on" {
	hub_kill
	ns mkdir /var/lib/small
	ns mount -t tmpfs -o size=64k,mode=700,uid=990,gid=990 tmpfs \
	    /var/lib/small
	hub_conf 'state = /var/lib/small'
	hub_start
	host host1
	refused=
	for _ in $(seq 200); do
		u=$(new_uuid)
		tell host1 "put $u web-1 alice 600000"
		soon heard host1 "put_ans $u"
		if heard host1 "put_ans $u no the hub cannot write"; then
			refused=1
			break
		fi
	done
	[ -n "$refused" ] || fail "$(ns tail -3 "$W/host1/out"; ns df /var/lib/small; ns ls -l /var/lib/small)"
	run S bob show "$u"
	is 1
	run S bob inbox --json
	is 0
	n=$(jq length <<<"$output")
	[ "$n" -gt 5 ]
	hub_kill KILL
	hub_start
	[ "$(S bob inbox --json | jq length)" = "$n" ]
}
