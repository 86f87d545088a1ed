#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# shellcheck disable=SC2016,SC2154
#
# The menu, on a real terminal, with a real forwarded agent.

load hub_lib
setup_file()
{
	hub_up
	host host1 --signers /etc/modelgate/allowed_signers
	ns ssh-agent -a "$W/agent" >/dev/null
	ns env SSH_AUTH_SOCK="$W/agent" ssh-add -q "$W/k/erin" "$W/k/bob"
}
teardown_file() { hub_down; }

# menu WHO OPTIONS < EXPECT-SCRIPT: its login is spawned before the script.
menu()
{
	local who=$1
	shift
	{
		echo 'set timeout 90'
		echo "spawn -noecho nsenter -t $NS -m -n -p -- env" \
		    "SSH_AUTH_SOCK=$W/agent TERM=xterm ssh -tt $*" \
		    "-F $W/k/config -i $W/k/$who -p 7022 127.0.0.1"
		cat <<-'END'
		proc want {what} {
			expect {
				-ex $what {}
				timeout { puts "\nnever came: $what"; exit 98 }
				eof { puts "\nended before: $what"; exit 97 }
			}
		}
		END
		cat
		echo 'expect eof {} timeout { exit 96 }; exit [lindex [wait] 3]'
	} | expect -f -
}

@test "the menu shows, asks, and signs through the forwarded agent" {
	request
	run menu bob -A <<-END
	want "you are bob"
	want "$CODE"
	send "$CODE\r"
	want "fraud-scorer"
	want "better at nights"
	want "a approve, d deny, Enter back:"
	send "a\r"
	want "note (Enter for none):"
	send "looks fine\r"
	want "type yes:"
	send "yes\r"
	want "accepted: 1 of 1"
	want "q to leave:"
	send "q\r"
	END
	is 0
	heard host1 "decision $U bob approve looks fine"
	run ns sh -c "ssh-keygen -Y verify -f /etc/modelgate/allowed_signers \
	    -I bob -n modelgate-approval -s $W/host1/$U.bob.sig \
	    <$W/host1/$U.bob.txt"
	is 0
}

@test "a terminal that does not know its size has 80 columns" {
	request
	run menu bob -A <<-END
	want "ASKED OF YOU"
	want "q to leave:"
	send "q\r"
	END
	is 0
}

@test "a denial needs a note, and everything but yes does nothing" {
	request
	run menu bob -A <<-END
	want "q to leave:"
	send "$CODE\r"
	want "Enter back:"
	send "d\r"
	want "why not (needed):"
	send "\r"
	want "nothing done: a denial needs a note"
	want "q to leave:"
	send "$CODE\r"
	want "Enter back:"
	send "a\r"
	want "note (Enter for none):"
	send "\r"
	want "type yes:"
	send "y\r"
	want "nothing done"
	want "q to leave:"
	send "$CODE\r"
	want "Enter back:"
	send "d\r"
	want "why not (needed):"
	send "not tonight\r"
	want "type yes:"
	send "yes\r"
	want "accepted"
	want "q to leave:"
	send "\004"
	END
	is 0
	heard host1 "decision $U bob deny not tonight"
	run heard host1 "decision $U bob approve"
	is 1
}

@test "the menu without an agent says what to type" {
	request
	run menu bob -a <<-END
	want "q to leave:"
	send "$CODE\r"
	want "Enter back:"
	send "a\r"
	want "note (Enter for none):"
	send "it's fine\r"
	want "No ssh-agent is forwarded"
	want "ssh -p 7022 127.0.0.1 text $CODE approve"
	want "ssh-keygen -Y sign -n modelgate-approval"
	want "q to leave:"
	send "q\r"
	END
	is 0
}

@test "an agent without the key that logged in signs nothing" {
	request
	run menu carol -A <<-END
	want "q to leave:"
	send "$CODE\r"
	want "Enter back:"
	send "a\r"
	want "note (Enter for none):"
	send "\r"
	want "type yes:"
	send "yes\r"
	want "not sent: the agent does not have the key that you logged in with"
	want "q to leave:"
	send "q\r"
	END
	is 0
	run heard host1 "decision $U"
	is 1
}

@test "the menu sees what comes while it waits" {
	menu bob -A >"$BATS_TEST_TMPDIR/out" 3>&- <<-END &
	want "q to leave:"
	exec touch $BATS_TEST_TMPDIR/waits
	want "never-b"
	want "q to leave:"
	send "q\r"
	END
	soon test -e "$BATS_TEST_TMPDIR/waits"
	U=$(new_uuid)
	tell host1 "put $U web-1 never-before 600000"
	status=0
	wait $! || status=$?
	output=$(cat "$BATS_TEST_TMPDIR/out")
	is 0
}

@test "what is typed comes back as printing characters only" {
	run menu bob -A <<-'END'
	want "q to leave:"
	send "\033\[2Jx\007\x01\r"
	want "neither a code nor a UUID"
	want "q to leave:"
	send "q\r"
	END
	is 0
	hasnt $'\a'
	hasnt $'\e[2J'
}
