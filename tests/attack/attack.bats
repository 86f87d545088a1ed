#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Weaknesses that others had (CHECKLIST.md), tried here.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load ../system/lib

setup_file()
{
	host_up
	extra_policy <<'END'
[operation show]
command = /usr/bin/printf <%s> {args}
run-as = mlserve

[operation do]
command = /usr/bin/python3 -c {args}
run-as = mlserve

[rule show]
operation = show, do
role = pipeline, ml-engineer
END
}
teardown_file() { host_down; }

here() { dirname "$BATS_TEST_FILENAME"; }
ran() { ledger run | wc -l; }

@test "every row of the checklist names a test that is there, or says why there is none" {
	python3 - "$(here)" <<'END'
import os, re, sys
here = sys.argv[1]
tests = os.path.dirname(here)
rows = [[c.strip() for c in line.strip().strip("|").split("|")]
        for line in open(os.path.join(here, "CHECKLIST.md"))
        if line.startswith("|")][2:]
assert len(rows) > 40
named = set()
for row in rows:
    assert len(row) == 3 and all(row), row
    if row[2].startswith("does not apply"):
        assert len(row[2]) > 40, row
        continue
    path, name = row[2].split(": ", 1)
    text = open(os.path.join(tests, path)).read()
    if path.endswith(".c"):
        assert f"\n{name}(void **state)" in text or \
            f"\n{name}(\n    void **state)" in text, row
    else:
        assert f'@test "{name}" {{' in text, row
    named.add(name)
own = re.findall(r'^@test "(.*)" {', open(os.path.join(here, "attack.bats")).read(), re.M)
for name in own[1:]:
    assert name in named, f"not in the list: {name}"
END
}

# shellcheck disable=SC1003 # backslashes are what this is about
@test "arguments with backslashes, percent signs and nothing arrive as they are" {
	for arg in '\' 'x\' '\\' '%n%n%s%s' '-' '--' '' '$(id)' ';id' '*' '~' "'" '"'; do
		run as ci-deploy "modelgate run show -- $(printf %q "$arg")"
		[ "$status" -eq 0 ] || fail "'$arg'"
		[ "$output" = "<$arg>" ] || fail "'$arg' arrived as '$output'"
	done
	run as ci-deploy "exec -a '%n%n%s%s%n' modelgate run show -- x"
	[ "$status" -eq 0 ]
	run as mallory "exec -a '%n%n%s%s%n' modelgate run '%n%s' receipt-ocr"
	[ "$status" -eq 2 ]
	has '%n%s'
}

@test "no uid at the edge of numbers is anybody" {
	n=$(ran)
	for uid in 4294967294 2147483648 2147483647 65534 4000000000; do
		run root setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		    modelgate run show --no-wait -- x </dev/null
		[ "$status" -eq 125 ] || fail "uid $uid"
	done
	for name in '#-1' '#0' -1 4294967295 '#4294967295' 0; do
		before=$(loaded)
		printf '[operation edge]\ncommand = /bin/true\nrun-as = %s\n[rule edge]\noperation = edge\nrole = pipeline\n' "$name" |
		    root sh -c 'cat >/etc/modelgate/policy.d/zz-edge.ini'
		reload
		run as ci-deploy 'modelgate run edge'
		[ "$status" -eq 125 ] || fail "run-as $name: $status"
		root rm /etc/modelgate/policy.d/zz-edge.ini </dev/null
		reload
	done
	[ "$(ran)" -eq "$n" ]
}

@test "who is gone before the answer gets nothing, 300 times" {
	n=$(ran) pid=$(pid_of modelgated)
	as mallory "python3 $top/tests/system/agent_peer.py gone 300"
	[ "$(pid_of modelgated)" = "$pid" ]
	[ "$(ran)" -eq "$n" ]
	ledger grant | jq -se '[.[] | select(.user == "mallory")] | length == 0'
	timeout 2 "$top/scripts/sandbox" root modelgate status </dev/null
}

@test "what a command pushes into its terminal does not reach the caller's" {
	root sh -c 'cat >/tmp/push.py; chmod 644 /tmp/push.py' <<'END'
import fcntl
for f in (0, 1, 2):
    for c in "touch /tmp/pushed-by-the-run\n":
        try:
            fcntl.ioctl(f, 0x5412, c.encode())  # TIOCSTI
        except OSError:
            pass
        try:
            fcntl.ioctl(f, 0x541C, b"\x03" + c.encode())  # TIOCLINUX
        except OSError:
            pass
print("it " + "pushed")
END
	cat >"$BATS_TEST_TMPDIR/go" <<'END'
set timeout 30
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt ci-deploy
expect -ex "$ "
send {modelgate run do -- 'exec(open("/tmp/push.py").read())'}
send "\r"
expect {
	-ex "it pushed" {}
	timeout { exit 98 }
}
expect -ex "$ "
send {echo still-$((40 + 2))}
send "\r"
expect {
	-ex "still-42" {}
	timeout { exit 97 }
}
send "exit\r"
expect eof
END
	TOP=$top run expect -f "$BATS_TEST_TMPDIR/go"
	ok
	run root ls /tmp/pushed-by-the-run </dev/null
	failed
}

@test "nothing of the second factor is read or written where a user writes" {
	run root sh -c 'stat -c "%U %a" /var/lib/modelgate /var/lib/modelgate/otp' </dev/null
	ok
	[ "$output" = $'root 700\nroot 700' ]
	root sh -c 'ln -sfn /etc/shadow /home/alice/.google_authenticator; ln -sfn /etc/shadow /home/alice/.pam_oath_usersfile' </dev/null
	before=$(root stat -c '%Y %Z %U %a' /etc/shadow </dev/null)
	pid=$(pid_of modelgated)
	root timeout 30 strace -f -qq -e trace=%file,fchown,fchmod -o /tmp/factor.trace -p "$pid" </dev/null &
	is_traced() { ! grep -q '^TracerPid:.0$' "/proc/$pid/status"; }
	soon is_traced
	run with_code alice "modelgate run rollback receipt-ocr@$([ "$(serving)" = releases/2 ] && echo 1 || echo 2)"
	kill -INT "$(sed -n 's/^TracerPid:.//p' "/proc/$pid/status")"
	wait %1 || :
	root grep -qE '[/"]otp["/]' /tmp/factor.trace </dev/null || fail "$(root wc -l /tmp/factor.trace </dev/null)"
	run root grep -E '"/home/|"/tmp/' /tmp/factor.trace </dev/null
	hasnt /home/alice
	[ "$(root stat -c '%Y %Z %U %a' /etc/shadow </dev/null)" = "$before" ]
}

@test "a login uid that no login gave makes nobody of a daemon" {
	[ "$(root cat /proc/self/loginuid </dev/null)" = 4294967295 ] ||
	    skip "this shell has a login uid, so it cannot play a daemon"
	n=$(ran)
	uid=$(root id -u ci-deploy </dev/null)
	# pretends COMMAND: as a daemon's process, in her name
	pretends()
	{
		root sh -c 'echo "$1" >/proc/self/loginuid && shift && exec setpriv --reuid mallory --regid 65534 --clear-groups "$@"' \
		    sh "$uid" "$@" </dev/null
	}
	run pretends sh -c 'cat /proc/self/loginuid; echo; id -un'
	[ "$output" = "$uid"$'\n'mallory ] || fail "the kernel does not let it pretend"
	run pretends modelgate run show -- x
	[ "$status" -eq 125 ]
	has 'has no login uid, or none that a login known here gave it'
	run pretends modelgate enroll
	[ "$status" -eq 125 ]
	run pretends modelgate log
	[ "$status" -eq 125 ]
	[ "$(ran)" -eq "$n" ]
	sb log modelgated | grep -q "loginuid=$uid.*no login known here gave it"
	# Who logged in stays who it is under another uid, and in a run.
	root sh -c 'install -o mlserve -m 4755 /usr/bin/modelgate /tmp/mg-as-mlserve' </dev/null
	run as ci-deploy '/tmp/mg-as-mlserve run show -- su'
	ok
	[ "$output" = '<su>' ]
	run as ci-deploy "modelgate run do -- 'import os; os.execv(\"/usr/bin/modelgate\", [\"modelgate\", \"run\", \"show\", \"--\", \"nested\"])'"
	ok
	[ "$output" = '<nested>' ]
}

@test "a daemon that may use sudo is nobody there, either" {
	[ "$(root cat /proc/self/loginuid </dev/null)" = 4294967295 ] ||
	    skip "this shell has a login uid, so it cannot play a daemon"
	root gpasswd -a ci-deploy sre </dev/null
	root sh -c 'cat >/etc/modelgate/policy.d/zz-shell.ini' <<-END
	[rule shell]
	operation = root-shell
	user = ci-deploy
	END
	reload
	uid=$(root id -u ci-deploy </dev/null)
	# starts WHO COMMAND...: with her login uid, in a session of no login
	starts()
	{
		root sh -c 'echo "$1" >/proc/self/loginuid && who=$2 && shift 2 && exec setpriv --reuid "$who" --regid 65534 --clear-groups "$@"' \
		    sh "$uid" "$@" </dev/null
	}
	run as ci-deploy 'sudo -n id -u'
	[ "$output" = 0 ] || fail "she may not"
	run starts mallory sudo -n id -u
	failed
	has 'which no login known here gave it'
	# Its parent is gone: all that are left are root's.
	run starts mallory sh -c '(while kill -0 $$ 2>/dev/null; do :; done; sudo -n id -u) 2>&1 & exit'
	hasnt $'\n0'
	has 'which no login known here gave it'
	# Who she is comes from her login, also where the module is not in it.
	run starts ci-deploy sh -c 'sudo -n id -u; exit'
	[ "$output" = 0 ] || fail "she is nobody"
	# With root's rights, but not in her name.
	n=$(ran)
	root sh -c 'printf "mallory ALL=(root) NOPASSWD: /usr/bin/modelgate\n" >/etc/sudoers; sed -i "/^account.*modelgate/d; /^session.*modelgate/d" /etc/pam.d/sudo' </dev/null
	run starts mallory sudo -n modelgate run show -- x
	[ "$status" -eq 125 ] || fail "it ran in her name"
	has 'has no login uid, or none'
	run starts mallory sudo -n modelgate log
	[ "$status" -eq 125 ] || fail "it read the log in her name"
	[ "$(ran)" -eq "$n" ]
	root rm /etc/modelgate/policy.d/zz-shell.ini </dev/null
	reload
}

@test "what is too long for a row is listed all the same" {
	arg=$(printf 'a%.0s' {1..1000})
	run as ci-deploy "modelgate request show --reason x --for 5m -- $(printf "$arg %.0s" {1..18})"
	ok
	id=$(root modelgate grants --all --json </dev/null | jq -r '.[0].id')
	run root modelgate grants --all --json </dev/null
	jq -e --arg id "$id" 'map(select(.id == $id and .cut == true and .user == "ci-deploy" and .operation == "show")) | length == 1' <<<"$output" || fail "it is not listed"
	run root modelgate status "$id" </dev/null
	ok
	has ci-deploy
	as ci-deploy "modelgate done $id"
}

@test "the terminal of a command is its user's alone" {
	run sb ssh -tt ci-deploy "modelgate run do -- 'import os, stat; s = os.stat(os.ttyname(0)); print(oct(stat.S_IMODE(s.st_mode)), s.st_uid == os.getuid(), os.ttyname(0) == os.ttyname(2))'" </dev/null
	ok
	has '0o600 True True'
}

@test "a run finds no keys of another, nor leaves it any" {
	root sh -c 'cat >/tmp/keys.py; chmod 644 /tmp/keys.py' <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
SESSION, USER_SESSION = ctypes.c_long(-3), ctypes.c_long(-5)

def call(number, *args):
    r = libc.syscall(number, *args)
    if r < 0 and ctypes.get_errno() == 38:  # ENOSYS
        print("no keys in this kernel")
        sys.exit()
    return r

ring = call(250, 0, SESSION, 0)  # KEYCTL_GET_KEYRING_ID
if call(250, 10, SESSION, b"user", b"left", 0) > 0:  # KEYCTL_SEARCH
    print("found what another left")
if call(248, b"user", b"left", b"x", 1, SESSION) < 0:  # add_key
    print("cannot keep keys")
if ring == call(250, 0, USER_SESSION, 0):
    print("has what its user has everywhere")
print("ring", ring)
END
	for who in ci-deploy alice; do
		run as "$who" 'modelgate run do -- "exec(open(\"/tmp/keys.py\").read())"'
		[ "$status" -eq 0 ]
		[[ $output != *'no keys in this kernel'* ]] || skip "$output"
		[[ ${lines[0]} =~ ^ring\ [0-9]+$ ]] || fail "not its own"
		[ "$output" != "${first-}" ] || fail "one for all"
		first=$output
	done
}

@test "what was typed of a code is not shown when the question ends before it" {
	cat >"$BATS_TEST_TMPDIR/half" <<'END'
set timeout 30
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt alice
expect -ex "$ "
send "modelgate run deploy receipt-ocr@$env(V)\r"
expect -ex "Verification code:" {} timeout { exit 99 }
send "4711473"
exec $env(TOP)/scripts/sandbox root modelgate revoke --user alice </dev/null
expect -ex "$ " {} timeout { exit 98 }
send {echo still-$((40 + 2))}
send "\r"
expect -ex "still-42" {} timeout { exit 97 }
send "exit\r"
expect eof
END
	TOP=$top V=$([ "$(serving)" = releases/2 ] && echo 1 || echo 2) run expect -f "$BATS_TEST_TMPDIR/half"
	ok
	hasnt 4711473
}

@test "no program has a signal handler that does work" {
	# one does nothing, one ends a copy whose file went away under it, one
	# sets a flag
	run grep -rnoE 'sa_(handler|sigaction) = [a-z]+[^;]*;|[^_a-z]signal\(SIG[A-Z]+, [a-z][^)]*\)' \
	    "$top/agent" "$top/pam_module" --include=*.c
	ok
	# shellcheck disable=SC2001
	[ "$(sed 's/.*[ :]sa_/sa_/' <<<"$output" | sort)" = "$(printf '%s\n' 'sa_handler = on_alarm;' 'sa_handler = on_bus;' 'sa_handler = on_signal;')" ]
}

@test "the address of a client's socket says nothing" {
	n=$(ran)
	run as mallory "python3 $top/tests/system/agent_peer.py address"
	ok
	hasnt granted
	[ "$(grep -c "refused $(why_number not-permitted)" <<<"$output")" -eq 4 ] || fail "$output"
	[ "$(ran)" -eq "$n" ]
}

@test "what takes long to close keeps nobody waiting" {
	pid=$(pid_of modelgated)
	run as mallory "python3 $top/tests/system/agent_peer.py linger 3600"
	ok
	[ "$(grep -c ": refused $(why_number no-rule) " <<<"$output")" -eq 3 ] || fail "$output"
	[ "$(pid_of modelgated)" = "$pid" ]
}

@test "a file that keeps whoever closes it keeps nobody else waiting" {
	[ -c /dev/fuse ] || skip "this kernel has no FUSE"
	[ -x "$top/${B:-build/cc}/attack/swapper" ] || make -s -C "$top" B="${B:-build/cc}" attack
	root sh -c 'cat >/usr/local/bin/swapper && chmod 755 /usr/local/bin/swapper; mkdir -p /srv/stuck' \
	    <"$top/${B:-build/cc}/attack/swapper"
	pid=$(pid_of modelgated)
	root /usr/local/bin/swapper stuck /srv/stuck - >"$BATS_TEST_TMPDIR/fs" </dev/null 3>&- &
	soon grep -q ready "$BATS_TEST_TMPDIR/fs"
	as mallory "exec python3 $top/tests/system/agent_peer.py stuck /srv/stuck/weights" \
	    >"$BATS_TEST_TMPDIR/said" 2>&1 </dev/null 3>&- &
	six() { [ "$(wc -l <"$BATS_TEST_TMPDIR/said")" -ge 6 ]; }
	soon six || fail "$(cat "$BATS_TEST_TMPDIR/said")"
	# Her own run waits for it; but only that.
	as ci-deploy "modelgate run show -- x >/srv/stuck/weights" >/dev/null 2>&1 </dev/null 3>&- &
	as ci-deploy "modelgate run show -- x </srv/stuck/weights" >/dev/null 2>&1 </dev/null 3>&- &
	is_shown() { [ "$(as ci-deploy 'modelgate run show -- after')" = '<after>' ]; }
	soon is_shown
	run cat "$BATS_TEST_TMPDIR/said"
	has "itself: refused $(why_number bad-request) "
	has "not wanted: refused $(why_number bad-request) "
	has "in a bag: refused $(why_number no-rule) "
	[ "$(grep -c "^then: refused $(why_number no-rule) " <<<"$output")" -eq 3 ] || fail "$output"
	# With the file system all that waits for it ends.
	pkill_in -KILL -f '^/usr/local/bin/swapper stuck'
	root umount -l /srv/stuck </dev/null
	pkill_in -KILL -f 'agent_peer.py stuck' || :
	wait || :
	[ "$(pid_of modelgated)" = "$pid" ]
	is_shown
}

# the last: it locks alice's second factor
@test "a line of 10 KB at the prompt is a wrong code" {
	was=$(ledger grant | wc -l)
	run timeout 60 expect -f - <<END
set timeout 30
log_user 1
spawn -noecho $top/scripts/sandbox ssh -tt alice modelgate run rollback receipt-ocr@1
expect -ex "Verification code:"
# a terminal's line ends at 4,095 bytes: the rest is the next answer
send [string repeat 1 3000]
send "\r"
expect {
	-ex "Verification code:" { send [string repeat 7 510]; send "\r"; exp_continue }
	eof {}
	timeout { exit 98 }
}
exit [lindex [wait] 3]
END
	[ "$status" -eq 125 ] || fail "what came of it"
	has 'not accepted'
	[ "$(ledger grant | wc -l)" -eq "$was" ]
	timeout 2 "$top/scripts/sandbox" root modelgate status </dev/null
}

# The last one here: the hub countersigns nothing of this host any more.
@test "an old copy of the ledger in the place of the newer one is found, and said" {
	L=/var/lib/modelgate/ledger
	countersigned() { [ "$(sb log modelgated | grep -c 'checkpoint countersigned')" -gt "$1" ]; }
	checkpoint()
	{
		local n
		n=$(sb log modelgated | grep -c 'checkpoint countersigned' || :)
		root modelgate checkpoint --quiet </dev/null
		soon countersigned "$n"
	}
	checkpoint
	sb service modelgated stop
	root cp -a $L /tmp/old </dev/null
	sb service modelgated start
	soon root modelgate status </dev/null
	run as ci-deploy 'modelgate run show -- x'
	[ "$output" = '<x>' ]
	checkpoint
	sb service modelgated stop
	root sh -c "rm -r $L && mv /tmp/old $L" </dev/null
	sb service modelgated start
	soon root modelgate status </dev/null
	root modelgate checkpoint --quiet </dev/null
	seen() { root modelgate doctor </dev/null | grep -q '^FAIL  *ledger  *the hub has seen another history: record [0-9]* is'; }
	soon seen
	run root modelgate doctor </dev/null
	failed
	run root modelgate log --type witness </dev/null
	[[ $output =~ 'witness: record '[0-9]+' is' ]] || fail "not in the log"
}
