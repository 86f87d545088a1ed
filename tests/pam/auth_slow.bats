#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What can only be shown by waiting. Apart, so that it waits beside others.

# shellcheck disable=SC2016

load helpers.bash

@test "a question that nobody answers ends after 60 s, and a try that hangs after 140 s" {
	[ "$EUID" -eq 0 ] || skip "mg-auth runs as root"
	run ns 'factor alice; s=$(date +%s)
		(check alice @hang; echo "asked for $(($(date +%s) - s)) s") & a=$!
		printf "auth required $B/pam/pam_odd.so hang\naccount required pam_permit.so\n" >$T/hang
		(unshare -m sh -c "mount --bind $T/hang /etc/pam.d/modelgate; exec authdrive $B/mg-auth bob"
		echo "hung for $(($(date +%s) - s)) s") & b=$!
		wait $a $b'
	has "result ok=0 replay=0 unset=0 pam=19 text=no answer in time"
	[[ $output =~ asked\ for\ (6[0-9]|7[0-9])\ s ]]
	has "signal 9"
	[[ $output =~ hung\ for\ (1[3-6][0-9])\ s ]]
}
