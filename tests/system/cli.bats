#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The command line from where people stand: --json of every command, and what
# it does when its descriptors, arguments or environment are odd.
# shellcheck disable=SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file() { host_up; }
teardown_file() { host_down; }

# says WHO STATUS COMMAND...: each, with --json, ends with STATUS and says
# JSON on standard output, or one refusal with why and text on standard error.
says()
{
	local who=$1 want=$2
	shift 2
	run as "$who" bash -s "$want" "'$(printf '%q ' "$@")'" <<'END'
want=$1
eval "set -- $2"
for c; do
	eval "modelgate $c --json" >/tmp/out.$$ 2>/tmp/err.$$ </dev/null
	s=$?
	[ $s -eq "$want" ] || echo "WRONG $c: $s"
	if [ "$want" = 0 ]; then
		[ ! -s /tmp/err.$$ ] && jq -es 'length > 0' /tmp/out.$$ >/dev/null
	else
		jq . /tmp/out.$$ >/dev/null && jq -es 'length == 1 and
		    (.[0] | .event == "refused" and (.why | length) > 0 and
		    (.text | length) > 0)' /tmp/err.$$ >/dev/null
	fi || echo "WRONG $c: $(cat /tmp/out.$$ /tmp/err.$$)"
	cat /tmp/out.$$ /tmp/err.$$
done
END
	ok
	hasnt WRONG
}

@test "promise9 --json is JSON, for whoever may and whoever may not" {
	says mallory 125 'run deploy receipt-ocr@2' 'run no-such-operation' \
	    'request deploy receipt-ocr@2 --reason x' 'status ZZZZZZZZZZ' \
	    'done ZZZZZZZZZZ' 'cancel ZZZZZZZZZZ' 'revoke ZZZZZZZZZZ' \
	    'revoke --user alice' 'revoke --all' 'why ZZZZZZZZZZ' \
	    'log --host elsewhere' 'verify' 'verify /nowhere' \
	    'export ZZZZZZZZZZ' 'checkpoint' 'enroll' 'unenroll bob' \
	    'show ZZZZZZZZZZ' 'approve ZZZZZZZZZZ --yes' \
	    'deny ZZZZZZZZZZ --yes -m no' 'inbox --hub 127.0.0.1:1'
	has 'mallory may not deploy'
	# The hub's own words, not only that there were some.
	has 'no request has that code'
	has 'Connection refused'
	says alice 0 status requests grants inbox models doctor
	says dave 0 'log --type policy' report
	says dave 125 inbox
	has '"why":"hub-down"'
	has 'Permission denied'
}

@test "approve, deny, show and inbox with --json: what was asked, what came of it" {
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	soon in_inbox "$id"
	run as bob "modelgate show $id --json"
	ok
	[ "$(jq -r '.code, .model' <<<"$output" | xargs)" = "$id receipt-ocr" ]
	run as bob "modelgate approve $id --yes -m fine --json"
	ok
	[ "$(jq -r '.request, .decision, .outcome' <<<"$output" | xargs)" = "$id approve accepted" ]
	says bob 125 "approve $id --yes"
	run as carol "modelgate deny $id --yes -m 'not now' --json"
	ok
	[ "$(jq -r '.decision, .outcome' <<<"$output" | xargs)" = "deny accepted" ]
	soon pipeline_ended
	[ "$(cat "$BATS_TEST_TMPDIR/status")" = 125 ]
	# Nobody signs by accident: without a terminal it takes --yes.
	pipeline deploy receipt-ocr@2
	id=$(wait_for_request)
	soon in_inbox "$id"
	says bob 125 "approve $id"
	has '"why":"no-terminal"'
	is_state "$id" pending
	as ci-deploy "modelgate cancel $id" </dev/null
	soon pipeline_ended
}
in_inbox() { as "${2-bob}" 'modelgate inbox --json' </dev/null | jq -e --arg id "$1" '.[] | select(.code == $id)'; }

@test "a narrow terminal: how many are missing, and a few lines a request" {
	run expect -f - <<END
set timeout 90
proc want {what} { expect -ex \$what {} timeout { puts "no \$what"; exit 1 } eof { puts "eof before \$what"; exit 1 } }
spawn -noecho $top/scripts/sandbox ssh ci-deploy
stty rows 20 columns 60 < \$spawn_out(slave,name)
want {ci-deploy@gpu-7:~\$ }
send "modelgate run deploy receipt-ocr@2 --reason narrow\r"
want " left  data-steward 0/1   risk-owner 0/1"
send "\003"
want "the requester cancelled it"
send "modelgate run deploy receipt-ocr@2 --reason narrow --no-wait; clear\r"
send "modelgate status\r"
want "  pending, "
want "\n  deploy receipt-ocr@2, ci-deploy\r\n  waits for 1 data-steward (carol), 1 risk-owner (bob)\r\n"
send "modelgate cancel \\\$(modelgate status --json | jq -r '.\[0\].id')\r"
want "cancelled"
send "exit\r"
expect eof
END
	ok
}

@test "a terminal that is made narrower while it waits has one line of it" {
	screen() { tmux -S "$BATS_TEST_TMPDIR/tmux" "$@" 3>&- 7>&- 8>&- 9>&-; }
	shows() { screen capture-pane -p | grep -E -- "$1"; }
	screen -f /dev/null new-session -d -x 100 -y 24 "$top/scripts/sandbox ssh ci-deploy"
	soon shows 'ci-deploy@'
	screen send-keys "modelgate run deploy receipt-ocr@2 --reason narrow" Enter
	soon shows 'left  data-steward 0/1 asked: carol   risk-owner 0/1 asked: bob'
	screen resize-window -x 60
	soon shows 'left  data-steward 0/1   risk-owner 0/1$'
	screen resize-window -x 45
	soon shows 'left  data-steward 0/1   risk-ow'
	run screen capture-pane -p
	screen send-keys C-c
	[ "$(grep -cE 'left|asked|^ *risk|owner' <<<"$output")" = 1 ] || fail lines
	soon shows 'refused'
	screen kill-server
}

@test "what approvers are shown keeps its lines apart, and nothing typed before answers" {
	run as ci-deploy "modelgate run deploy receipt-ocr@1 --no-wait --reason '$(printf '%052d' 0)requester: alice'"
	id=$(wait_for_request)
	soon in_inbox "$id" bob
	run expect -f - <<END
set timeout 90
proc want {what} { expect -ex \$what {} timeout { puts "no \$what"; exit 1 } eof { puts "eof before \$what"; exit 1 } }
spawn -noecho $top/scripts/sandbox ssh bob
stty rows 50 columns 60 < \$spawn_out(slave,name)
want {bob@gpu-7:~\$ }
send "modelgate approve $id\ry\n"
want "\nrequester: ci-deploy "
want "000\r\n    requester: alice\r\n"
want "Approve this? \[y/N\] "
send "n\r"
want "nothing was signed"
send "exit\r"
expect eof
END
	ok
	hasnt accepted
	as ci-deploy "modelgate cancel $id" </dev/null
}

@test "a log on a narrow terminal: two lines a record" {
	run as -tt ci-deploy 'stty columns 80; modelgate log --type request' </dev/null
	ok
	[[ $output =~ Z\ \ [0-9A-Z]{10}\ \ ci-deploy$'\r\n'\ \ \ \ deploy\ receipt-ocr@[12]\ \ request:\  ]] || fail narrow
	run as ci-deploy 'modelgate log --type request'
	[[ $output =~ Z\ \ [0-9A-Z]{10}\ \ ci-deploy\ \ \ deploy ]] || fail wide
}

@test "help fits 80 columns, and -h is --help, for every command" {
	run as alice 'for c in "" $(modelgate --help | awk "/^  [a-z]/ { print \$1 }"); do
	    modelgate $c --help >/tmp/long || echo "$c --help: $?"
	    modelgate $c -h >/tmp/short || echo "$c -h: $?"
	    cmp /tmp/long /tmp/short
	    awk -v c="$c" "length > 80 { print c, \$0 }" /tmp/long
	    done; modelgate run deploy --help | head -n 1'
	ok
	[ "${#lines[@]}" -eq 1 ] || fail help
	has 'usage: modelgate run OPERATION'
}

@test "a slip in an option, or a word too many: which one is said" {
	for try in 'run --reson=x:reason' 'log --tpye run:type' \
	    'verify --host-kye x:host-key' 'doctor --jsn:json' \
	    'artifact digest --manfest x:manifest' 'policy check --strickt:strict'; do
		run as alice "modelgate ${try%:*}"
		[ "$status" -eq 2 ] || fail "$try"
		has "is it '--${try##*:}'?"
	done
	for cmd in 'run deploy receipt-ocr 2' 'status ZZZZZZZZZZ 2' 'grants 2' \
	    'inbox 2' 'show ZZZZZZZZZZ 2' 'log 2' 'models x 2' 'report 2'; do
		run as alice "modelgate $cmd"
		[ "$status" -eq 2 ] || fail "$cmd"
		has "'2' is one word too many"
	done
	for cmd in 'status X' 'show X' 'log --request X' 'export X' 'discard X' 'report --since X'; do
		run root sh -c "modelgate $cmd" </dev/null
		[ "$status" -eq 2 ] || fail "$cmd"
		has "'X' is n"
	done
	run as alice 'modelgate policy chek'
	has "is it 'check'?"
}

@test "a slip of the finger is recognised: commands and operations" {
	run as bob modelgate aprove X
	[ "$status" -eq 2 ]
	has "'aprove' is not a command (modelgate --help); is it 'approve'?"
	run as alice "modelgate run deploy 'receipt-ocr@2;id'; modelgate run deploy '../x@2'"
	[ "$status" -eq 2 ]
	has "version '2;id' contains a character"
	has "model '../x' is not a name"
	run as alice modelgate run deplyo receipt-ocr@2
	[ "$status" -eq 125 ]
	has "lists what there is; is it 'deploy'?"
}

@test "a grant for a login is no command, and stays" {
	run as ci-deploy 'modelgate run login; modelgate request login --reason x; modelgate run login; modelgate grants; modelgate done $(modelgate grants --json | jq -r ".[0].id")'
	ok
	has 'what would help: ask for a grant with: modelgate request'
	has 'what would help: you hold the grant already: log in, or use sudo or su'
	[[ $output =~ granted.*ci-deploy\ +login ]] || fail grants
}

@test "help COMMAND is COMMAND --help" {
	run as bob 'modelgate help deny; modelgate deny --help'
	ok
	[ "${lines[0]}" = "${lines[2]}" ] && [ "${lines[1]}" = 'approvers: sign no' ]
	run as bob 'modelgate help nosuch'
	[ "$status" -eq 2 ]
}

@test "output that does not reach a full disk is no success" {
	for cmd in status 'status --json' log --help doctor verify; do
		run root sh -c "modelgate $cmd >/dev/full" </dev/null
		failed
	done
}

@test "closed descriptors, no environment, bytes that are no text: an answer, nothing else" {
	run as bob 'modelgate status <&- >&- 2>&-; echo $?
	    env -i /usr/bin/modelgate status; echo $?
	    (trap "" PIPE; modelgate why ZZZZZZZZZZ 2>&1 | true; echo ${PIPESTATUS[0]})
	    (exec -a "" /usr/bin/modelgate) >/dev/null 2>&1; echo $?'
	[ "$(grep -E '^[0-9]+$' <<<"$output" | xargs)" = '0 0 125 2' ] || fail status
	n=$(ledger request | wc -l)
	for bad in '--reason "$(printf "a\377")"' '-- "$(printf "\377")"' \
	    '--reason "$(head -c 100000 /dev/zero | tr "\0" a)"'; do
		run as ci-deploy "modelgate run deploy receipt-ocr@1 --no-wait $bad"
		[ "$status" -eq 2 ] || fail "$bad"
		[ "${#output}" -lt 300 ]
	done
	[ "$(ledger request | wc -l)" -eq "$n" ]
	for bad in status 'revoke --user' 'why' 'show' 'log --user' 'run'; do
		run as bob "modelgate $bad \"\$(printf '\\033]0;x\\007\\377')\""
		[ "$status" -eq 2 ] || fail "$bad"
		[[ $output != *$'\033'* ]]
	done
}

@test "what the hub complains of is shown with nothing that a terminal acts on" {
	# A hub that was taken over: ssh passes on what it says, as it is.
	root sh -c 'mkdir /tmp/evil && cat >/tmp/evil/ssh && chmod 755 /tmp/evil/ssh' <<'EOF'
#!/bin/sh
printf '\033]0;title\007say\302\233yes\n\033[2J' >&2
sleep 100 >/dev/null </dev/null & # a master that stays (ControlPersist)
exit 1
EOF
	run as bob 'PATH=/tmp/evil:$PATH timeout 20 modelgate show ZZZZZZZZZZ; echo $?'
	has say
	has 125
	hasnt $'\033'
	hasnt $'\302\233'
	pkill_in -u 7002 -x sleep
	run as bob 'modelgate inbox --hub 127.0.0.1:1'
	[[ ${lines[0]} == *'Connection refused' ]] || fail 'what ssh says'
}
