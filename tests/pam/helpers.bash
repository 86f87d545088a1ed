# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# For the tests of the PAM modules and of mg-auth: everything runs in
# namespaces of its own, with an empty /run, /var/lib and /etc/pam.d, the rest
# read only, and a network of its own loopback, so that the real paths are
# used and nothing of the machine is touched.

B=${B:-build/cc}
case $B in
/*) ;;
*) B=$(cd "${BATS_TEST_DIRNAME:-.}/../.." && pwd)/$B ;;
esac
PATH=$B/pam:$PATH

# has LINE: a whole line of $output.
has()
{
	grep -qxF -- "$1" <<<"$output" || {
		printf 'no line "%s" in:\n%s\n' "$1" "$output"
		return 1
	}
}

hasnt()
{
	! grep -qF -- "$1" <<<"$output" || {
		printf '"%s" in:\n%s\n' "$1" "$output"
		return 1
	}
}

# ns SCRIPT: runs a shell script in a private place; see inside().
ns()
{
	# Whatever the script leaves running ends with it.
	local unshare=(unshare -m --propagation private -n -p --fork
	    --kill-child --mount-proc)

	[ "$EUID" -eq 0 ] || unshare+=(-r)
	export B BATS_TEST_TMPDIR BATS_TEST_DIRNAME MG_TEST=$1
	# shellcheck disable=SC2016
	timeout -k 5 300 "${unshare[@]}" bash -euc '
		. "$0"
		inside
		eval "$MG_TEST"' "${BASH_SOURCE[0]}"
}

# What the script finds: /run/modelgate, the folder of factors, pam.d with
# modelgate's own service, and a folder $T for anything else.
inside()
{
	ip link set lo up
	mount -t tmpfs -o mode=755 none /run
	mount -t tmpfs -o mode=755 none /var/lib
	cp -a /etc/pam.d /run/pam.d.system
	mount -t tmpfs -o mode=755 none /etc/pam.d
	mkdir -p /run/modelgate /var/lib/modelgate
	mkdir -m 700 /var/lib/modelgate/otp
	printf 'auth required %s\naccount required pam_permit.so\n' \
	    "$B/pam_modelgate_totp.so" >/etc/pam.d/modelgate
	# Nothing else can be written, whatever a test does.
	mount --bind "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR"
	mount -o remount,bind,ro /
	T=$(mktemp -d "$BATS_TEST_TMPDIR/ns.XXXXXX")
	LOG=$T/agent.log
}

# service NAME [WORD...]: a stack with our module in every stage.
service()
{
	local name=$1 kind
	shift
	for kind in auth account session; do
		echo "$kind required $B/pam_modelgate.so $*"
	done >"/etc/pam.d/$name"
}

# stack NAME: the shipped example as service NAME, among the system's files.
stack()
{
	cp /run/pam.d.system/* /etc/pam.d/
	sed "s|pam_modelgate.so|$B/pam_modelgate.so|
	    s|pam_modelgate_totp.so|$B/pam_modelgate_totp.so|" \
	    "$BATS_TEST_DIRNAME/../../config/pam.d/$1" >"/etc/pam.d/$1"
}

# agent STEP...: plays the agent; its log is $LOG.
agent()
{
	fakeagent "$LOG" "$@"
}

# The log, once the agent has played to the end.
agent_log()
{
	timeout 30 tail -f --pid="$(cat "$LOG.pid")" -s 0.05 /dev/null || :
	cat "$LOG"
}

# check [OPTION]... USER ANSWER...: mg-auth, as the monitor starts it.
check()
{
	local opts=()
	while [[ $1 == -* ]]; do
		opts+=("$1" "$2")
		shift 2
	done
	authdrive "${opts[@]}" "$B/mg-auth" "$@"
}

# factor USER [USED]: a record of the secret below.
factor()
{
	authdrive -S "$1" "$HEX" "${2:-0}"
}

drive()
{
	pamdrive -c /etc/pam.d "$@"
}

# The secret that the tests' records hold, in both spellings.
# shellcheck disable=SC2034
HEX=3132333435363738393031323334353637383930
BASE32=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ

# code [STEPS]: the code of that secret, STEPS from now.
code()
{
	oathtool --totp -b "$BASE32" --now "@$(($(date +%s) + 30 * ${1:-0}))"
}

# Waits for the beginning of a time step where less than $1 seconds are left,
# so that a test does not straddle two.
fresh_step()
{
	while [ $(($(date +%s) % 30)) -gt $((30 - $1)) ]; do
		sleep 0.2
	done
}
