#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# shellcheck disable=SC2016,SC2154
#
# What the hub tells the site's notify command, and the two shipped ones.

load hub_lib
setup_file()
{
	hub_up
	ns mkdir -p /usr/libexec/modelgate/notify
	ns cp "$top/config/notify/mail" "$top/config/notify/webhook" \
	    /usr/libexec/modelgate/notify/
	ns mkdir -m 777 /var/lib/told
	host host1 --signers /etc/modelgate/allowed_signers
}
teardown_file() { hub_down; }

told=/var/lib/told/all # where the hub's user can write

# notify_with COMMAND: the hub, restarted, with that notify command.
notify_with()
{
	gone "$(ns cat "$W/hub.pid")" || hub_kill
	hub_conf "notify = $1"
	hub_start
	host host1 --signers /etc/modelgate/allowed_signers
}
# script NAME < TEXT: a notify command of the test's own.
script()
{
	ns tee "/usr/libexec/modelgate/notify/$1" >/dev/null
	ns chmod 755 "/usr/libexec/modelgate/notify/$1"
}
told()
{
	ns jq -se --arg u "$U" "any(.[]; .uuid == \$u and $1)" "$told"
}

@test "each happening is one JSON object on standard input" {
	script keep <<-END
	#!/bin/sh
	cat >>$told
	END
	notify_with /usr/libexec/modelgate/notify/keep
	request
	soon told '.event == "request" and .operation == "deploy" and
	    .model == "fraud-scorer" and .version == "12" and
	    .requester == "alice" and .host == "web-1" and
	    .reason == "better at nights" and .left_s > 500 and
	    .need == ["risk-owner", "1", "bob,carol"]'
	decide bob "$CODE" approve 'checked drift'
	soon told '.event == "decision" and .approver == "bob" and
	    .decision == "approve" and .note == "checked drift"'
	soon told '.event == "verdict" and .accepted and .verdict == "1 of 1"'
	tell host1 "state $U granted ended risk-owner bob"
	soon told '.event == "ended" and .state == "granted"'
	[ "$(ns grep -c "$U" "$told")" = 4 ] || fail "$(ns cat "$told")"
}

@test "the command is unprivileged, with no argument and no variable of anybody's" {
	ns rm "$told"
	script look <<-END
	#!/bin/sh
	{ id -u; id -G; echo "args=\$#"; env | grep -v ^PWD= | sort
	ls /proc/\$\$/fd | tr '\n' ' '; grep -E '^(NoNewPrivs|CapEff)' /proc/self/status
	} >$told
	END
	notify_with /usr/libexec/modelgate/notify/look
	request
	soon ns grep -q NoNewPrivs "$told" || fail "$(ns cat "$told")"
	run ns cat "$told"
	[ "${lines[0]}" = 990 ]
	[ "${lines[1]}" = 990 ]
	[ "${lines[2]}" = 'args=0' ]
	[ "${lines[3]}" = 'LC_ALL=C.UTF-8' ]
	[ "${lines[4]}" = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin' ]
	has 'CapEff:	0000000000000000'
	has 'NoNewPrivs:	1'
	# 0-2, and what the shell itself has: the script, a saved descriptor
	[[ $output == *'0 1 10 11 2 '* ]] || fail 'another descriptor is open'
}

@test "one that hangs is ended with all it started, and holds up nobody" {
	script hang <<-'END'
	#!/bin/sh
	sleep 7777 &
	exec sleep 7777
	END
	notify_with /usr/libexec/modelgate/notify/hang
	for _ in 1 2 3 4 5 6; do
		request
	done
	started=$SECONDS
	run decide bob "$CODE" approve
	is 0
	[ $((SECONDS - started)) -le 9 ]
	[ "$(ns pgrep -fc '^sleep 7777')" -le 8 ] # four at a time
	soon log_has 'evt=notify failed: took longer than 10 s'
	hub_kill
	soon gone_all
}
gone_all() { ! ns pgrep -f '^sleep 7777'; }

@test "one that fails, and one that is not there, are said and change nothing" {
	script fail <<-'END'
	#!/bin/sh
	exit 7
	END
	notify_with /usr/libexec/modelgate/notify/fail
	request
	soon log_has 'evt=notify failed: exit status 7'
	notify_with /usr/libexec/modelgate/notify/nothing
	request
	soon log_has "evt=notify.*nothing"
	run decide bob "$CODE" approve
	is 0
}

# listener PORT FILE: takes one message and keeps it. With smtp it says what
# a mail server says; else it says 200.
listener()
{
	ns python3 "$top/tests/system/hub_listener.py" "$@" &
	soon ns test -e "$2.ready"
}

@test "the chat example posts a text that mentions nobody" {
	printf 'url = "http://127.0.0.1:8080/hook"\n' |
	    ns tee /etc/modelgate/notify-webhook.curl >/dev/null
	listener 8080 "$W/posted" http
	notify_with /usr/libexec/modelgate/notify/webhook
	request
	soon ns test -s "$W/posted"
	run ns head -n 1 "$W/posted"
	has 'POST /hook HTTP/'
	run sh -c "nsenter -t $NS -m grep '^{' $W/posted | jq -er .text"
	is 0
	has "modelgate $CODE: alice asks to deploy fraud-scorer"
	hasnt 'fraud-scorer@12' # an invisible space behind the @
}

@test "the mail example sends one mail, whose head is its own" {
	printf '%s\n' 'url = "smtp://127.0.0.1:2525"' \
	    'mail-from = "modelgate@example.net"' \
	    'mail-rcpt = "approvers@example.net"' |
	    ns tee /etc/modelgate/notify-mail.curl >/dev/null
	listener 2525 "$W/mail" smtp
	notify_with /usr/libexec/modelgate/notify/mail
	request
	soon ns test -s "$W/mail"
	run ns cat "$W/mail"
	has 'MAIL FROM:<modelgate@example.net>'
	has 'RCPT TO:<approvers@example.net>'
	has "Subject: modelgate $CODE: request"
	run sh -c "nsenter -t $NS -m sed -e '1,/^\$/d' $W/mail | base64 -d"
	is 0
	has "$CODE: alice asks to deploy fraud-scorer@12 on web-1"
	has 'reason: better at nights'
	has "ssh -p 7022 127.0.0.1 show $CODE"
}
