# SPDX-License-Identifier: ISC
# shellcheck shell=bash
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

# The sandbox's command; bats's descriptor 3 must not leak into daemons.
sb() { "$top/scripts/sandbox" "$@" 3>&-; }

host_up()
{
	MG_SANDBOX=t-$(basename "$BATS_TEST_FILENAME" .bats | tr _ -)
	export MG_SANDBOX
	sb down 2>/dev/null || :
	sb up >"$BATS_FILE_TMPDIR/up" 2>&1 || {
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

# soon [-t SECONDS] COMMAND...: until it succeeds; fails after 10 s.
soon()
{
	local until=10
	if [ "$1" = -t ]; then
		until=$2
		shift 2
	fi
	until=$((SECONDS + until))
	while ! "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$until" ]; then
			echo "never came true: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# Shows what was there when an assertion fails.
fail()
{
	printf '%s\n' "$*" "status: ${status-}" "output: ${output-}" >&2
	return 1
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
	soon reloaded_since "$n"
}
reloads() { sb log modelgated | grep -c 'evt=config' || :; }
reloaded_since() { [ "$(reloads)" -gt "$1" ] && root modelgate status </dev/null; }
pid_of() { sb status | awk -v name="$1" '$1 == name { print $3 }'; }

# none COMMAND-LINE: no process inside (or outside) has it.
none() { ! pgrep -f "$1" >/dev/null; }

# The ledger's lines of a type, as JSON.
ledger() { root modelgate log --json --type "$1" </dev/null; }
