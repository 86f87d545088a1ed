#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The stacks in config/pam.d, as libpam reads them, among Debian's own files.

# The scripts for ns() are meant to be expanded inside.
# shellcheck disable=SC2016

load helpers.bash

GATED='sshd sudo sudo-i su login'
CONFIG=$BATS_TEST_DIRNAME/../../config/pam.d

setup()
{
	[ "$EUID" -eq 0 ] || skip "needs root"
	grep -q 'VERSION_ID="12"' /etc/os-release ||
	    skip "the examples are for Debian 12"
}

# bare FILE: its lines without comments, ours, and differences in blanks.
bare()
{
	sed 's/#.*//; s/[[:space:]][[:space:]]*/ /g; s/ $//; s/^ //' "$1" |
	    grep -vE 'pam_modelgate|use_uid' | grep .
}

@test "each example is Debian's file and our lines, in Debian's order" {
	for f in $GATED; do
		run diff <(bare "/etc/pam.d/$f") <(bare "$CONFIG/$f")
		echo "$f: $output"
		[ "$status" -eq 0 ]
	done
}

@test "our lines are required, and those of elevations name their operation" {
	for f in $GATED; do
		run grep pam_modelgate.so "$CONFIG/$f"
		[ "$(grep -vcE '^(auth|account|session) +required +pam_modelgate\.so( operation=root-shell)?$' <<<"$output")" -eq 0 ]
		case $f in
		sudo | sudo-i | su)
			[ "$(grep -c 'operation=root-shell$' <<<"$output")" -eq 2 ] ;;
		esac
		[[ $output == *account* && $output == *session* ]]
	done
}

@test "a refusal refuses in every stack" {
	for f in $GATED; do
		run ns "stack $f
			agent accept get 'refused no-rule|||no|' loop
			setpriv --ruid 65534 -- pamdrive -c /etc/pam.d $f daemon account open"
		has "account=6"
		hasnt "open=0"
	done
}

@test "no agent refuses in every stack" {
	for f in $GATED; do
		run ns "stack $f; setpriv --ruid 65534 -- pamdrive -c /etc/pam.d $f daemon account open"
		has "account=9"
		hasnt "open=0"
	done
}

@test "what is allowed is allowed in every stack" {
	for f in $GATED; do
		run ns "stack $f; agent accept get done loop
			setpriv --ruid 65534 -- pamdrive -c /etc/pam.d $f daemon account"
		has "account=0"
	done
}

# Debian's common-account ends the stack at once for such an account.
@test "an account with an expired password does not pass beside the gate" {
	for f in $GATED; do
		run ns "stack $f
			sed -i 's|pam_unix.so|$B/pam/pam_odd.so return=12|' /etc/pam.d/common-account
			agent accept get 'refused no-rule|||no|' loop
			setpriv --ruid 65534 -- pamdrive -c /etc/pam.d $f daemon account"
		has "account=6"
	done
	# And behind it, it would: the test can fail.
	run ns "stack sudo
		sed -i 's|pam_unix.so|$B/pam/pam_odd.so return=12|' /etc/pam.d/common-account
		sed -i '/^account/d; \$a account required $B/pam_modelgate.so' /etc/pam.d/sudo
		agent accept get 'refused no-rule|||no|' loop
		setpriv --ruid 65534 -- pamdrive -c /etc/pam.d sudo daemon account"
	has "account=12"
}

@test "su by root works without an agent, by others it does not" {
	run ns "stack su; cp /etc/pam.d/su /etc/pam.d/x
		drive su daemon account open close"
	has "account=0"
	has "open=0"
	has "close=0"
	run ns "stack su; setpriv --ruid 65534 -- pamdrive -c /etc/pam.d su daemon account open"
	has "account=9"
	has "open=6"
}

@test "what is refused when the session is opened does not run, in the real sudo and su" {
	for end in "accept get 'refused no-rule|||no|'" 'accept get close' gone; do
		run ns "stack sudo; agent accept get done $end; sudo -n id || echo status=\$?"
		[[ $output == *status=[1-9]* ]]
		hasnt 'uid=0'
		run ns "stack su; agent accept get done $end
			sed -i 's/^@include common-auth/auth required pam_permit.so/' /etc/pam.d/su
			setpriv --ruid 65534 -- su -c id || echo status=\$?"
		[[ $output == *status=[1-9]* ]]
		hasnt 'uid=0'
	done
	# With a yes it does: the test can fail.
	run ns "stack sudo; agent accept get done accept get done; sudo -n id"
	[[ $output == *uid=0* ]]
}

@test "su -l goes through the same gate" {
	run ns "stack su; setpriv --ruid 65534 -- pamdrive -c /etc/pam.d su-l daemon account"
	has "account=9"
}

@test "in sshd a password is asked for before anything else" {
	run ns "stack sshd; agent accept get 'prompt Code: ' get done
		drive -t ssh -r h -a wrong sshd daemon auth; cat \$LOG"
	[[ $output == *"ask-off: Password: "* ]]
	hasnt "auth=0"
	hasnt "AUTH_REQ"
}

@test "mg-auth takes the shipped service file as it is" {
	run ns 'stack modelgate; factor alice; check alice $(code); check alice 000000'
	has "result ok=1 replay=0 unset=0 pam=0 text="
	has "result ok=0 replay=0 unset=0 pam=7 text=wrong code"
}
