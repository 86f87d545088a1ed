#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Secrets at rest: sealed with the machine's credential, where one is; with
# another one, or none, nothing opens and whoever may come in without still
# does.

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	export creds=/run/credentials/modelgated.service
	host_up
	# what they are in clear, in every form that could turn up
	{
		root cat /var/lib/modelgate/number_key
		echo
		root grep -v -e ---- /var/lib/modelgate/host_key
		root sed -n 's/^secret //p' /var/lib/modelgate/otp/alice
		sb root sed -n 's/^secret //p' /var/lib/modelgate/otp/alice |
		    python3 -c 'import base64, sys; print(base64.b32encode(bytes.fromhex(sys.stdin.read().strip())).decode().rstrip("="))'
	} </dev/null | grep -v b3BlbnNzaC1rZXktdjEA | grep -E '.{20}' >"$BATS_FILE_TMPDIR/secrets"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/secrets")" -ge 6 ]
	public=$(root cat /var/lib/modelgate/host_key.pub </dev/null)
	export public
}
teardown_file() { host_down; }

doctor() { root modelgate doctor --json </dev/null | jq -r '.[] | select(.check == "'"$1"'") | .result + " " + .text'; }
# credential COMMAND: its output becomes the machine's.
credential()
{
	root sh -c "install -d -m 500 $creds; rm -f $creds/modelgate.secret
		$1 >$creds/modelgate.secret; chmod 400 $creds/modelgate.secret" </dev/null
}
sealed() { root head -c 19 "/var/lib/modelgate/$1" </dev/null | grep -qx 'modelgate sealed v1'; }
other_version() { [ "$(serving)" = releases/2 ] && echo 1 || echo 2; }
# nowhere FILE...: none of the secrets, in clear.
nowhere()
{
	local n
	[ -s "$1" ] || fail "nothing to look through"
	n=$(cat "$@" | grep -aicFf "$BATS_FILE_TMPDIR/secrets") || :
	[ "$n" = 0 ] || fail "$n lines with a secret"
}

@test "without a credential they are in clear, and doctor says so" {
	run ! sealed host_key
	run ! sealed otp/alice
	run doctor secrets
	has "warning none of"
}

@test "with one the agent seals its keys at the start, a factor at the next code" {
	root sh -c 'cd /var/lib/modelgate; cp -p host_key number_key /run/sandbox/' </dev/null
	credential 'head -c 32 /dev/urandom'
	root sh -c "od -An -tx1 $creds/modelgate.secret | tr -d ' \n'; echo" </dev/null >"$BATS_FILE_TMPDIR/key"
	sb service modelgated restart
	sealed host_key
	sealed number_key
	run ! sealed otp/alice
	run doctor secrets
	has "not yet"
	run with_code alice "modelgate run deploy receipt-ocr@$(other_version) --no-wait --reason x"
	id=$(wait_for_request)
	sealed otp/alice
	# it is the same key: the hub knows the host, and approvals come in
	[ "$(root cat /var/lib/modelgate/host_key.pub </dev/null)" = "$public" ]
	run root modelgate checkpoint </dev/null
	ok
	run approve bob "$id"
	ok
	as alice "modelgate cancel $id"
	for u in bob carol dave; do
		root rm -f "/var/lib/modelgate/otp/$u" </dev/null
	done
	run doctor secrets
	has "ok all 3 are sealed"
}

@test "neither they nor their key are in a file of the state, an argument, an environment, a log or a record" {
	cat "$BATS_FILE_TMPDIR/key" >>"$BATS_FILE_TMPDIR/secrets"
	seen=$BATS_TEST_TMPDIR/seen
	# a try that waits for its code: mg-auth has opened what it needs
	timeout 20 "$top/scripts/sandbox" ssh -tt alice "modelgate enroll" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	asked() { grep -q 'Verification code' "$BATS_TEST_TMPDIR/out"; }
	soon asked
	auth=$(pgrep_in -x mg-auth)
	grep -qz "^CREDENTIALS_DIRECTORY=$creds$" "/proc/$auth/environ"
	[ "$(awk '/core file/ { print $5 $6 }' "/proc/$auth/limits")" = 00 ] ||
	    grep -Eq 'core file size +0 +0' "/proc/$auth/limits"
	cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' >"$seen.proc" || :
	kill %1 && wait %1 || :
	nowhere "$seen.proc"
	root sh -c 'cat /var/log/modelgate/* /var/log/syslog' </dev/null >"$seen.log"
	nowhere "$seen.log"
	audit -ts recent >"$seen.audit"
	nowhere "$seen.audit"
	root find /var/lib/modelgate -type f -exec cat {} + </dev/null >"$seen.state"
	grep -q receipt-ocr "$seen.state"
	nowhere "$seen.state"
	# no process but the two that open something is told where the key is
	told=$(for p in $(pgrep_in .); do
		tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -q '^CREDENTIALS_DIRECTORY=' && cat "/proc/$p/comm"
	done | sort -u | tr '\n' ' ') || :
	[ "$told" = 'modelgated ' ] || fail "told: $told"
}

@test "a key that goes away while the agent runs: no code opens anything, and the log says why" {
	root mv "$creds"/modelgate.secret /run/sandbox/kept </dev/null
	run with_code alice "modelgate run deploy receipt-ocr@$(other_version) --no-wait --reason x" "$(sb totp alice)"
	failed
	has 'the record of the second factor cannot be used'
	has "what would help: an administrator, who finds the file"
	has "removes it with 'modelgate unenroll'"
	hasnt 'internal error'
	run ! is_waiting
	sb log syslog | grep -q "cannot check the second factor in /var/lib/modelgate/otp/alice: 'alice' is sealed, and there is no credential"
	root mv /run/sandbox/kept "$creds"/modelgate.secret </dev/null
	# as when the record alone is damaged
	root sh -c 'cd /var/lib/modelgate/otp; cp -p alice ../alice.kept; echo >>alice' </dev/null
	run with_code alice "modelgate run deploy receipt-ocr@$(other_version) --json --no-wait --reason x" "$(sb totp alice --again)"
	failed
	has '"why":"mfa-broken"'
	sb log syslog | grep -q "in /var/lib/modelgate/otp/alice: 'alice' is sealed with another credential or for another place, or was changed"
	root sh -c 'cd /var/lib/modelgate/otp; mv ../alice.kept alice' </dev/null
}

# shut WHY: the agent does not start and says why; nobody is let in but who is
# declared, and nothing was changed.
shut()
{
	before=$(root sh -c 'cat /var/lib/modelgate/host_key /var/lib/modelgate/otp/* | sha256sum' </dev/null)
	run sb service modelgated restart
	failed
	sb log modelgated | tail -n 3 | grep -qF "$1" || fail "$(sb log modelgated | tail -n 3)"
	run as alice 'echo in-42' </dev/null
	failed
	hasnt in-42
	run as bob 'echo in-42' </dev/null
	has in-42
	root su -c true alice </dev/null # root on the console
	[ "$before" = "$(root sh -c 'cat /var/lib/modelgate/host_key /var/lib/modelgate/otp/* | sha256sum' </dev/null)" ]
}

@test "promise7 without the key, with another or with half of it the agent does not start, and who is declared gets in" {
	root cp /etc/pam.d/sshd /run/sandbox/sshd.kept </dev/null
	root sed -i 's/pam_modelgate.so/& rescue=bob/' /etc/pam.d/sshd </dev/null
	root cp "$creds"/modelgate.secret /run/sandbox/kept </dev/null
	root rm "$creds"/modelgate.secret </dev/null
	shut 'host_key: it is sealed, and there is no credential modelgate.secret'
	credential 'head -c 32 /dev/urandom'
	shut 'host_key: it is sealed with another credential'
	credential 'head -c 31 /run/sandbox/kept'
	shut 'modelgate.secret is not 32 bytes'
	credential 'cat /run/sandbox/kept'
	root mv /run/sandbox/sshd.kept /etc/pam.d/sshd </dev/null
	sb service modelgated start
	soon as alice true
}

@test "a key that ssh-keygen makes new was never in clear on the disk" {
	sb service modelgated stop
	root rm /var/lib/modelgate/host_key /var/lib/modelgate/host_key.pub </dev/null
	root strace -f -o /run/sandbox/trace -e trace=openat,rename,renameat,renameat2 \
	    -E CREDENTIALS_DIRECTORY="$creds" timeout 3 /usr/sbin/modelgated </dev/null || :
	sealed host_key
	run ! root grep -q 'BEGIN OPENSSH' /var/lib/modelgate/host_key </dev/null
	root cat /run/sandbox/trace </dev/null >"$BATS_TEST_TMPDIR/trace"
	grep -q '"/run/modelgate/host_key.new", O_WRONLY' "$BATS_TEST_TMPDIR/trace"
	run ! grep -q '"/var/lib/modelgate/host_key' "$BATS_TEST_TMPDIR/trace"
	run ! root ls /run/modelgate/host_key.new </dev/null
	[[ $(root cat /var/lib/modelgate/host_key.pub </dev/null) == ssh-ed25519\ * ]]
	[ "$(root stat -c %a /var/lib/modelgate/host_key </dev/null)" = 600 ]
}
