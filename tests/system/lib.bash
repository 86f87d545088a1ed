# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2016
#
# What the system tests share. A test file says
#
#	load lib
#	setup_file() { host_up; }
#	teardown_file() { host_down; }
#
# and has a whole host of its own (scripts/sandbox), named after the file, so
# that files run side by side. MG_SANDBOX_KEEP=1 leaves the host up to look
# at. Never sleep for something that can be waited for: `soon COMMAND`.

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)

# The sandbox's command; bats's descriptor 3 must not leak into daemons, nor
# the lock below.
sb() { "$top/scripts/sandbox" "$@" 3>&- 8>&- 9>&-; }

# Kernel audit is the whole machine's. Every test holds a lock on it that all
# share; who stops auditd, or worse, waits for having it alone (audit_alone).
# That one shuts the gate meanwhile: else there would always be others.
audit_lock=/run/lock/modelgate-audit-test
setup() { share_audit; }
share_audit()
{
	exec 7>>"$audit_lock-gate" 9>>"$audit_lock"
	flock -s 7
	flock -s 9
	exec 7>&-
}

host_up()
{
	# The folder's checksum: other clones on this machine test as well.
	MG_SANDBOX=t-$(basename "$BATS_TEST_FILENAME" .bats | tr _ -)
	MG_SANDBOX+=-$(printf %s "$top" | cksum | cut -c 1-4)
	export MG_SANDBOX
	sb down 2>/dev/null || :
	# An agent that starts while there is no audit refuses for a while.
	(share_audit && sb up) >"$BATS_FILE_TMPDIR/up" 2>&1 || {
		cat "$BATS_FILE_TMPDIR/up" >&2
		return 1
	}
	MG_DIR=$(sb env | sed -n "s/^MG_SANDBOX_DIR='\(.*\)'/\1/p")
	export MG_DIR
}

host_down()
{
	[ -n "${MG_SANDBOX_KEEP-}" ] || sb down
}

# as USER COMMAND...: through the real sshd. root COMMAND...: inside.
as() { sb ssh "$@"; }
root() { sb root "$@"; }

# shellcheck source=tests/system/soon.bash
. "$(dirname "${BASH_SOURCE[0]}")/soon.bash"

# Shows what was there when an assertion fails.
fail()
{
	printf '%s\n' "$*" "status: ${status-}" "output: ${output-}" >&2
	# ssh itself: what did the host have to say?
	[ "${status-}" != 255 ] || sb log 2>&1 | tail -n 40 >&2
	return 1
}

# audit_alone: no other test uses the kernel's audit until this one ends, nor
# is a sandbox brought up or down; so be quick. Skips where auditd is not the
# sandboxes' own, or where others never end.
audit_alone()
{
	[ -e "$(dirname "$MG_DIR")/audit/own" ] || skip "this machine's auditd is not ours to stop"
	exec 9>&-
	exec 7>>"$audit_lock-gate" 9>>"$audit_lock"
	{ flock -w 180 7 && flock -w 180 9; } || skip "others have used the kernel's audit for 3 minutes"
	exec 8>>/run/lock/modelgate-sandbox
	flock -w 60 8 || skip "a sandbox has been coming up for a minute"
	exec 7>&-
}

# has TEXT: the output of `run` contains it. hasnt: does not.
has() { [[ $output == *"$1"* ]] || fail "no '$1' in the output"; }
hasnt() { [[ $output != *"$1"* ]] || fail "'$1' is in the output"; }
# ok, refused: what the command of `run` ended with.
ok() { [ "$status" -eq 0 ] || fail "it failed"; }
failed() { [ "$status" -ne 0 ] || fail "it did not fail"; }

# audit ARGUMENTS...: ausearch inside; its own standard input is no log.
audit() { sb root ausearch --input-logs "$@" </dev/null; }

# extra_policy < FILE: adds a file to policy.d and waits until it is in force.
extra_policy()
{
	local before after
	before=$(loaded)
	root sh -c 'cat >/etc/modelgate/policy.d/zz-test.ini'
	reload
	after=$(loaded)
	[ "$before" != "$after" ] || fail "the policy did not load: $(sb log modelgated | tail -n 5)"
}

# The digest of the policy in force, and a reload that has been done.
loaded() { root modelgate doctor --json </dev/null | jq -r '.[] | select(.check == "agent") .text'; }
reload()
{
	local n
	n=$(reloads)
	kill -HUP "$(pid_of modelgated)"
	soon reloaded_since "$n" ||
	    fail "not reloaded: $(sb status; sb log modelgated | tail -n 5; root modelgate status </dev/null 2>&1)"
}
reloads() { sb log modelgated | grep -c 'evt=config' || :; }
reloaded_since() { [ "$(reloads)" -gt "$1" ] && root modelgate status </dev/null; }
pid_of() { sb status | awk -v name="$1" '$1 == name { print $3 }'; }

# pgrep and pkill among the processes of this host alone: its mount namespace.
keeper() { sed -n 's/^keeper=//p' "$MG_DIR/state"; }
pgrep_in() { pgrep --ns "$(keeper)" --nslist mnt "$@"; }
pkill_in() { pkill --ns "$(keeper)" --nslist mnt "$@"; }

# none COMMAND-LINE: no process of the host has it.
none() { ! pgrep_in -f "$1" >/dev/null; }

# The ledger's lines of a type, as JSON.
ledger() { root modelgate log --json --type "$1" </dev/null; }

# ---- who gets in whatever fails --------------------------------------------

# Of this host: bob is in rescue= of sshd, root has a password for login(1).
declare_rescue()
{
	root sed -i 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/sshd </dev/null
	root sh -c 'echo root:secret | chpasswd; touch /root/.hushlogin' </dev/null
}

# at_console: root on a real virtual console, one per clone and test file:
# others on this machine test as well.
at_console()
{
	local vt
	vt=$((20 + $(printf %s "$top$BATS_TEST_FILENAME" | cksum | cut -c 1-4) % 40))
	[ -c "/dev/tty$vt" ] || skip "no virtual console here"
	run root python3 - "$vt" 30 login:=root Password:=secret \
	    '~#=echo in-$((40+2)); exit' '' <"$BATS_TEST_DIRNAME/console.py"
	ok
	has in-42
}

# declared_get_in: what PRIVSEP.md says of every fault of its table. Each
# within 30 s.
declared_get_in()
{
	run timeout 30 "$top/scripts/sandbox" ssh bob 'echo in-$((40 + 2))' </dev/null 3>&- 9>&-
	ok
	has in-42
	at_console
}
# stranger_does_not: who is not declared.
stranger_does_not()
{
	run timeout 30 "$top/scripts/sandbox" ssh alice 'echo in-$((40 + 2))' </dev/null 3>&- 9>&-
	failed
	hasnt in-42
}

# ---- the people of the story --------------------------------------------------

# code_of USER: one that nobody has used. Where that means to wait for the next
# half minute, a new second factor is quicker.
code_of()
{
	local last
	last=$(cat "$MG_DIR/secrets/$1.last" 2>/dev/null) || :
	[ "${last:-0}" -le $((EPOCHSECONDS / 30)) ] || sb factor "$1" >/dev/null
	sb totp "$1"
}

# with_code USER COMMAND [CODE]: on a terminal through sshd; answers what asks
# for a code with the person's next one.
with_code()
{
	local code=${3-}
	[ -n "$code" ] || code=$(code_of "$1")
	USER_NAME=$1 USER_COMMAND=$2 CODE=$code TOP=$top expect -f - 9>&- <<'END'
set timeout 60
log_user 0
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt $env(USER_NAME) $env(USER_COMMAND)
log_user 1
expect {
	-ex "Verification code:" { send "$env(CODE)\r"; exp_continue }
	timeout { puts "with_code: nothing happens"; exit 99 }
	eof {}
}
exit [lindex [wait] 3]
END
}

# approve WHO CODE [NOTE...]; deny WHO CODE NOTE...
approve() { as "$1" "modelgate approve $2 --yes -m '${*:3}'"; }
deny() { as "$1" "modelgate deny $2 --yes -m '${*:3}'"; }

# The code of the newest request that waits, once there is one.
waiting() { root modelgate requests --all --json </dev/null | jq -r '.[0].id // empty'; }
is_waiting() { [ -n "$(waiting)" ]; }
wait_for_request() { soon is_waiting && waiting; }

# state ID: of a request; is_state ID WORD.
state() { root modelgate status "$1" --json </dev/null | jq -r '.[0].state'; }
is_state()
{
	local now
	now=$(state "$1")
	[ "$now" = "$2" ] || { echo "$now"; return 1; }
}

# pipeline OPERATION MODEL@VERSION: ci-deploy asks and waits, in the
# background; what it says is in $BATS_TEST_TMPDIR/pipeline, its status in
# $BATS_TEST_TMPDIR/status.
pipeline()
{
	rm -f "$BATS_TEST_TMPDIR/status"
	{
		local s=0
		as ci-deploy "modelgate run $1 $2 --reason nightly" >"$BATS_TEST_TMPDIR/pipeline" 2>&1 </dev/null || s=$?
		echo "$s" >"$BATS_TEST_TMPDIR/status"
	} 3>&- 9>&- &
}
pipeline_ended() { [ -s "$BATS_TEST_TMPDIR/status" ]; }

serving() { root readlink /srv/serve/receipt-ocr/current </dev/null; }

# why_number WORD: its number in messages.
why_number()
{
	grep -oP '^\tW\([A-Z_]+, "[^"]*"' "$top/agent/lib/mg_why.def" |
	    grep -nF "\"$1\"" | cut -d: -f1 |
	    awk '{ print $1 - 1 }'
}
