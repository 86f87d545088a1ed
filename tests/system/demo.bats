#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# `make demo`: it shows what it claims, and nothing of it is left. It brings
# up a sandbox of its own, which is t-demo here.

load lib

setup()
{
	export MG_SANDBOX=t-demo
	was=$(audit_alone)
}
teardown() { [ ! -e "$(base)/t-demo" ] || sb down; }

# What audit is like, or nothing while a sandbox beside this one has it.
audit_alone()
{
	local s
	[ ! -e "$(base)" ] || return 0
	s=$(auditctl -s | grep -E '^(enabled|failure|pid|backlog_limit) ')
	[ -e "$(base)" ] || printf '%s\n' "$s"
}

base() { echo "${MG_SANDBOX_BASE:-/var/tmp/modelgate-sandbox}"; }

# Nothing of t-demo, and of the demo itself, is anywhere.
nothing_left()
{
	local p
	[ ! -e "$(base)/t-demo" ] || fail "its folder is left"
	! grep -q modelgate-sandbox/t-demo /proc/*/mountinfo 2>/dev/null ||
	    fail "a mount is left"
	[ -z "$(find "$(findmnt -rnt cgroup2 -o TARGET | head -n 1)" -maxdepth 1 \
	    -name modelgate-sandbox-t-demo 2>/dev/null)" ] ||
	    fail "its cgroup is left"
	for p in /proc/[0-9]*; do
		! tr '\0' '\n' 2>/dev/null <"$p/environ" |
		    grep -qx MG_SANDBOX=t-demo || [ "${p#/proc/}" = $$ ] ||
		    is_ours "${p#/proc/}" || fail "process ${p#/proc/} is left"
	done
	run auditctl -l
	hasnt t-demo
	# With no sandbox beside it, audit is as it was found.
	now=$(audit_alone)
	[ -z "$was" ] || [ -z "$now" ] || [ "$now" = "$was" ] ||
	    fail "audit is not as it was: $now"
}

# Whether process $1 is this test's own shell or started by it just now.
is_ours()
{
	local p=$1
	while [ "${p:-0}" -gt 1 ]; do
		[ "$p" != $$ ] || return 0
		p=$(awk '/^PPid:/ { print $2 }' "/proc/$p/status" 2>/dev/null)
	done
	return 1
}

# after TEXT: the lines of the demo from TEXT to the next prompt.
after()
{
	awk -v t="$1" 'seen && /^[a-z-]+@gpu-7[#$]/ { exit }
	    index($0, t) { seen = 1 } seen' "$BATS_TEST_TMPDIR/demo"
}

@test "the whole story, and nothing is left" {
	"$top/scripts/demo" >"$BATS_TEST_TMPDIR/demo" 2>&1 </dev/null 3>&- ||
	    { cat "$BATS_TEST_TMPDIR/demo"; false; }
	output=$(cat "$BATS_TEST_TMPDIR/demo")
	# What is recognised has changed: umlauts, behind the deployment only.
	[ "$(grep -nm1 'Bröt' <<<"$output" | cut -d: -f1)" -gt \
	    "$(grep -nm1 '2 of 2' <<<"$output" | cut -d: -f1)" ]
	has 'receipt-ocr: serves 2 now, 1 before'
	# refusals
	has 'you asked for this yourself'
	has 'no rule allows this'
	has 'the artifact is not the one that was approved'
	run after 'sudo id -un'
	has 'Permission denied'
	# stock ssh-keygen: yes to what was signed, no to something else
	output=$(cat "$BATS_TEST_TMPDIR/demo")
	has 'Good "modelgate-approval" signature for bob'
	has 'Could not verify signature'
	# the expiry ended what ran
	run after 'pgrep'
	has none
	# audit: raw and read
	run after 'ausearch --raw -uu'
	for op in request mfa approve grant run exit used; do
		has "op=modelgate:$op"
	done
	has 'vm="receipt-ocr"'
	run after 'ausearch -i -uu'
	has 'cmd=/usr/libexec/modelgate/ops/symlink deploy receipt-ocr 2'
	has 'auid=alice'
	nothing_left
}

@test "Ctrl-C in the middle, with alice waiting: nothing is left" {
	run env TOP="$top" expect -f - 3>&- <<'END'
set timeout 60
spawn $env(TOP)/scripts/demo
expect -ex "is filed as"
expect -ex "modelgate inbox"
send "\003"
expect { eof {} timeout { exit 99 } }
exit [lindex [wait] 3]
END
	[ "$status" -eq 130 ] || fail "status"
	nothing_left
}

@test "a reader that goes away ends it: nothing is left" {
	set +o pipefail
	"$top/scripts/demo" 2>&1 </dev/null 3>&- | head -n 12 >/dev/null
	nothing_left
}

@test "two demos do not get into each other's way" {
	sb up
	run "$top/scripts/demo" 3>&-
	failed
	has 'is up already'
	as alice true
}
