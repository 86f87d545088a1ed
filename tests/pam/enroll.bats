#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# modelgate-enroll: the program behind "modelgate enroll" and "modelgate
# unenroll", in a real terminal and in pipes, against a played agent.

# The scripts for ns() are meant to be expanded inside.
# shellcheck disable=SC2016

load helpers.bash

URI='otpauth://totp/modelgate%20gpu-7:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=modelgate%20gpu-7'
export KEY="$URI|GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
GROUPS_OF_FOUR='GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ'

# What every script here may use.
PRELUDE='
	en() { "$B/modelgate-enroll" "$@"; }
	# term COLUMNSxLINES COMMAND: in a terminal of its own
	term() {
		tmux -S $T/tmux -f /dev/null new-session -d -x ${1%x*} -y ${1#*x} \
		    "export PS1=; $2; echo status=\$? >$T/status; exec cat"
	}
	screen() { tmux -S $T/tmux capture-pane -p "$@"; }
	keys() { tmux -S $T/tmux send-keys "$@"; }
	# until_screen TEXT: waits for it
	until_screen() {
		for i in $(seq 500); do
			if screen | grep -qF -- "$1"; then return; fi
			sleep 0.02
		done
		echo "never on the screen: $1"; screen; return 1
	}
	export LC_ALL=C.UTF-8
'

en()
{
	run ns "$PRELUDE $1"
}

@test "in a terminal: picture, key in groups of four, no echo, cleared afterwards" {
	en 'agent accept get "key $KEY" "prompt Code that the app shows: " get "done the second factor of alice is enrolled"
		term 80x24 "echo earlier; $B/modelgate-enroll enroll"
		until_screen "Code that the app shows:"
		echo == shown; screen
		keys 123456; sleep 0.2; echo == typed; screen; keys Enter
		until_screen "is enrolled"
		echo == after; screen -S - ; cat $T/status; agent_log'
	shown=${output#*== shown}; shown=${shown%%== typed*}
	typed=${output#*== typed}; typed=${typed%%== after*}
	after=${output#*== after}
	[[ $shown == *"Key: $GROUPS_OF_FOUR"* ]]
	[[ $shown == *"█▀▀▀▀▀█"* ]]
	[[ $shown != *"earlier"* ]]
	[[ $typed != *"123456"* ]]
	[[ $after == *"earlier"* ]]
	[[ $after == *"modelgate: the second factor of alice is enrolled"* ]]
	[[ $after == *"Next: 'modelgate run OPERATION MODEL'"* ]]
	[[ $after != *"GEZD"* && $after != *"█"* ]]
	[[ $after == *"status=0"* ]]
	[[ $after == *"AUTH_ANS text='123456'"* ]]
}

@test "a refusal, an agent that goes away and Ctrl-C clear the screen too" {
	for end in '"refused mfa-failed|R7KQ2FHD4M||no right code|try again"' close; do
		en 'agent accept get "key $KEY" "prompt Code: " get '"$end"'
			term 80x24 "$B/modelgate-enroll enroll"
			until_screen "Code:"; keys 1 Enter; until_screen modelgate:
			until [ -s $T/status ]; do sleep 0.02; done; screen -S -; cat $T/status'
		has "status=125"
		hasnt "GEZD"
		hasnt "█"
	done
	en 'agent accept get "key $KEY" "prompt Code: "
		term 80x24 "stty -a >$T/before; $B/modelgate-enroll enroll; stty -a >$T/after"
		until_screen "Code:"; keys C-z; keys C-c; until_screen "modelgate:"
		until [ -s $T/after ]; do sleep 0.02; done; screen -S -; cmp $T/before $T/after'
	has "modelgate: no answer; nothing is changed"
	hasnt "GEZD"
	[ "$status" -eq 0 ]
	en 'agent accept get "key $KEY" "wait 20000"
		term 80x24 "$B/modelgate-enroll enroll"
		until_screen "Key:"; keys C-c
		until [ -s $T/status ]; do sleep 0.02; done; screen -S -; cat $T/status'
	has "modelgate: interrupted; nothing is changed"
	has "status=125"
	hasnt "GEZD"
}

@test "a terminal that is too small shows the key alone and says what it needs" {
	en 'agent accept get "key $KEY" "prompt Code: " get "done enrolled"
		term 60x20 "$B/modelgate-enroll enroll"; until_screen "Code:"; screen'
	[[ $output == *"(The picture needs a terminal of "*" columns and "*" lines.)"* ]]
	has "Key: $GROUPS_OF_FOUR"
	hasnt "█"
}

@test "without UTF-8 the picture is made of blanks" {
	en 'agent accept get "key $KEY" "prompt Code: " get "done enrolled"
		export LC_ALL=C; term 120x60 "$B/modelgate-enroll enroll"; until_screen "Code:"; screen -e'
	hasnt "█"
	[[ $output == *$'\e[40m'* ]]
}

@test "the present factor is proven on the ordinary screen, mistakes are shown" {
	en 'agent accept get "info prove the second factor" "prompt Verification code: " get "key $KEY" "prompt Code: " get \
		    "error that is not a code of this key" "prompt Code: " get "done the second factor of alice is replaced"
		term 80x30 "$B/modelgate-enroll enroll"
		until_screen "Verification code:"; screen; keys 1 Enter
		until_screen "Code:"; keys 2 Enter; until_screen "not a code"; screen; keys 3 Enter
		until_screen "is replaced"; agent_log'
	[[ $output == *"prove the second factor"*"Verification code:"*"Key: "*"that is not a code of this key"* ]]
	has "AUTH_ANS text='3'"
}

@test "into a pipe nothing secret goes, unless --plain" {
	en 'agent accept get "key $KEY"; en enroll </dev/null | cat || :; en enroll --json </dev/null | cat; cat $LOG'
	[[ $output == *"standard output is no terminal"*"--plain"* ]]
	[[ $output == *'"event":"refused"'* ]]
	hasnt GEZD
	hasnt accepted
	en 'agent accept get "key $KEY" "prompt Code: " get "done the second factor of alice is enrolled"
		echo 123456 | en enroll --plain >$T/out; echo "status=$?"; cat -v $T/out; agent_log'
	has "status=0"
	has "uri: $URI"
	has "key: $GROUPS_OF_FOUR"
	has "modelgate: the second factor of alice is enrolled"
	has "AUTH_ANS text='123456'"
	hasnt '^['
}

@test "--plain in a terminal has no escape codes" {
	en 'agent accept get "key $KEY" "prompt Code: " get "done enrolled"
		term 120x24 "script -qfc \"$B/modelgate-enroll enroll --plain\" $T/typescript"
		until_screen "Code:"; keys 1 Enter; until_screen enrolled; cat -v $T/typescript'
	[[ $output == *"uri: otpauth"* ]]
	hasnt '^['
}

@test "a dumb terminal gets no escape codes either" {
	en 'agent accept get "key $KEY" "prompt Code: " get "done enrolled"
		term 120x24 "TERM=dumb script -qfc \"$B/modelgate-enroll enroll\" $T/typescript"
		until_screen "Code:"; keys 1 Enter; until_screen enrolled; cat -v $T/typescript'
	[[ $output == *"uri: otpauth"* ]]
	hasnt '^['
}

@test "--json gives one object a line, refusals on standard error" {
	en 'agent accept get "info x" "key $KEY" "prompt Code: " get "done enrolled"
		echo 1 | en enroll --plain --json 2>/dev/null >$T/out; jq -c . $T/out'
	has "{\"event\":\"key\",\"uri\":\"$URI\",\"secret\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"}"
	has '{"event":"done","text":"enrolled"}'
	en 'agent accept get "refused mfa-locked|R7KQ2FHD4M|p.ini:3|too many wrong codes|wait"
		en unenroll bob --json 2>$T/err || echo "status=$?"; jq -c . $T/err'
	has "status=125"
	has '{"event":"refused","why":"mfa-locked","text":"too many wrong codes","rule":"p.ini:3","remedy":"wait","code":"R7KQ2FHD4M"}'
}

@test "a refusal is explained as everywhere" {
	en 'agent accept get "refused not-permitted|R7KQ2FHD4M|p.ini:3|no|ask an administrator"
		en unenroll bob || echo "status=$?"; agent_log'
	has "modelgate: refused: no"
	has "  rule: p.ini:3"
	has "  what would help: ask an administrator"
	has "  code R7KQ2FHD4M: modelgate why R7KQ2FHD4M"
	has "status=125"
	has "UNENROLL_REQ user='bob'"
}

@test "unenroll says what was done" {
	en 'agent accept get "done the second factor of bob is removed"; en unenroll bob'
	[ "$output" = "modelgate: the second factor of bob is removed" ]
}

@test "an agent that is not there, not root's or talks nonsense: 125 and a reason" {
	en 'en unenroll bob || echo "status=$?"'
	[[ $output == *"the agent is not running"* ]]
	has "status=125"
	en 'agent accept get "raw ffffffffffffffffffffffff"; en unenroll bob || echo "status=$?"'
	has "status=125"
	en 'agent accept get "key $KEY"; en unenroll bob || echo "status=$?"'
	has "modelgate: the agent's answer is not known here"
	hasnt GEZD
	en 'agent accept get "raw 0000000d001e000100000001000000ffff"; en enroll --plain || echo "status=$?"'
	has "status=125"
}

@test "wrong words are wrong usage" {
	for words in '' enrol 'enroll x' 'enroll --nope' unenroll 'unenroll a b' 'unenroll --plain bob' 'unenroll ../bob' 'unenroll -x'; do
		en "agent accept; set +e; en $words </dev/null; echo status=\$?; cat \$LOG"
		has "status=2"
		hasnt accepted
	done
	en 'en enroll --help; en unenroll --help'
	has "usage: modelgate enroll [--plain] [--json]"
	has "usage: modelgate unenroll USER [--json]"
	[ "$status" -eq 0 ]
}

@test "hostile descriptors, no arguments, a hostile answer" {
	en 'set +e; en enroll 0<&- 1>&- 2>&-; echo status=$?; (exec -a "" $B/modelgate-enroll); echo status=$?'
	has "status=125"
	has "status=2"
	en 'agent accept get "prompt Code: "; printf "a\033[2Jb\n" | en unenroll bob || echo "status=$?"'
	has "modelgate: the answer is not text of one line"
	en 'agent accept get "prompt Code: "; head -c 600 /dev/zero | tr "\0" x | en unenroll bob || echo "status=$?"'
	has "status=125"
}
