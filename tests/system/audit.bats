#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The kernel's audit fails under an agent that works: it is switched off, it
# throws records away, its backlog is full, auditd is suspended or killed.
#
# All of it is the machine's: each test has it alone (audit_alone), for a few
# seconds, and it is put back as it was whatever happens.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	declare_rescue
	extra_policy <<'END'
[operation hello]
command = /bin/echo hello
run-as = mlserve

[rule hellos]
operation = hello
END
	for key in enabled rate_limit backlog_limit backlog_wait_time; do
		export "was_$key=$(audit_has "$key")"
	done
}
teardown_file() { host_down; }
teardown()
{
	[ -z "${flooder-}" ] || kill "$flooder" 2>/dev/null || :
	audit_as_it_was || :
	# Other hosts' agents look every two seconds, and refuse until they
	# have seen that audit is back, or once if records were lost.
	sleep 2.2
	exec 8>&-
}

audit_has() { auditctl -s | sed -n "s/^$1 \([0-9]*\).*/\1/p"; }

audit_as_it_was()
{
	local pid
	while read -r pid; do
		kill -CONT "$pid" || :
	done <"$audit_cg/cgroup.procs"
	auditctl -e "$was_enabled" -r "$was_rate_limit" -b "$was_backlog_limit" >/dev/null
	auditctl -e "$was_enabled" >/dev/null
	auditctl -r "$was_rate_limit" >/dev/null
	auditctl -b "$was_backlog_limit" >/dev/null
	auditctl --backlog_wait_time "$was_backlog_wait_time" >/dev/null
	soon auditd_runs || auditd_again
}
audit_base=${MG_DIR%/*}
audit_cg=$(sed -n "s|^cgroup='\(.*\)/[^/]*'|\1/modelgate-sandbox-audit|p" "${MG_DIR-}/state" 2>/dev/null || :)
auditd_runs() { [ "$(audit_has pid)" != 0 ] && grep -qx "$(audit_has pid)" "$audit_cg/cgroup.procs"; }

# The sandboxes' auditd, as scripts/sandbox starts it.
auditd_again()
{
	BASE=$audit_base SRC=$top TOOLS=$top/scripts/sandbox.d CGROOT=${audit_cg%/*} bash -c '
		say() { echo "$@" >&2; }
		die() { say "$@"; exit 1; }
		close_descriptors() {
			for fd in /proc/$BASHPID/fd/*; do
				fd=${fd##*/}
				case $fd in [012] | 255) ;; *) exec {fd}>&- ;; esac
			done
		}
		base=$BASE src=$SRC tools=$TOOLS cgroot=$CGROOT
		. "$tools/auditd"
		audit_start_own "$(audit_dir)"'
}

# A service on this host, that needs no login.
hello() { root setpriv --reuid 7006 --regid 7101 --init-groups modelgate run hello </dev/null; }
doctor_says() { root modelgate doctor --json </dev/null | jq -e --arg c "$1" --arg r "$2" 'any(.[]; .check == $c and .result == $r)'; }
runs() { ledger run | jq -r .uuid; }
logged_run() { audit -uu "$1" -m USER_CMD | grep -q 'op=modelgate:run '; }
log_says() { sb log modelgated | grep -q "$1"; }

@test "promise1 audit switched off while the agent works: refused from that moment, and again as soon as it is on" {
	audit_alone
	hello
	auditctl -e 0 >/dev/null
	run hello
	[ "$status" -eq 125 ] || fail "it was not refused"
	hasnt hello$'\n'
	has 'the kernel did not take the record'
	stranger_does_not
	declared_get_in
	doctor_says audit fail
	auditctl -e 1 >/dev/null
	soon hello
	log_says 'evt=audit-failed.*audit=off'
	log_says 'evt=ready.*audit=on'
	doctor_says audit ok
}

@test "promise1 a kernel that throws records away: what it lost has not happened" {
	audit_alone
	hello
	n=$(runs | wc -l)
	auditctl -r 1 >/dev/null
	out=
	for _ in 1 2 3 4; do
		run hello
		out+=$output$'\n'
	done
	auditctl -r 0 >/dev/null
	said=$(grep -cx hello <<<"$out") || :
	refused=$(grep -c 'the kernel did not take the record' <<<"$out") || :
	[ "$refused" -ge 1 ] || fail "nothing was refused: $out"
	soon hello
	# Whatever ran is in the audit log, too.
	echo "# $said ran, $refused were refused" >&2
	logged=0
	for u in $(runs | tail -n +$((n + 1)) | head -n -1); do
		! soon -t 3 logged_run "$u" || logged=$((logged + 1))
	done
	[ "$logged" -ge "$said" ] || fail "$said ran, $logged are on record"
	declared_get_in
}

# flood: fills auditd's socket and the kernel's backlog; ends when told to.
flood()
{
	python3 - >/dev/null 2>&1 3>&- 8>&- 9>&- <<'END' &
import ctypes
lib = ctypes.CDLL("libaudit.so.1")
fd = lib.audit_open()
while True:
    lib.audit_log_user_message(fd, 1107, b"op=modelgate-test-flood", None, None, None, 1)
END
	flooder=$!
}
lost_before=$(audit_has lost)
loses() { [ "$(audit_has lost)" -gt $((lost_before + 10)) ]; }

@test "promise1 auditd suspended: records wait in the kernel; once its backlog is full and it loses some, all is refused" {
	audit_alone
	hello
	pid=$(audit_has pid)
	kill -STOP "$pid"
	hello
	u=$(runs | tail -n 1)
	run ! logged_run "$u"
	kill -CONT "$pid"
	soon logged_run "$u" || fail "the record is lost"
	n=$(runs | wc -l)
	auditctl --backlog_wait_time 10 >/dev/null
	auditctl -b 32 >/dev/null
	kill -STOP "$pid"
	flood
	soon loses
	for _ in 1 2 3; do
		run hello
		[ "$status" -eq 125 ] || fail "it was not refused"
		has 'the kernel did not take the record'
	done
	declared_get_in
	kill "$flooder"
	audit_as_it_was
	log_says 'evt=audit-failed.*lost='
	soon hello
	soon logged_run "$(runs | tail -n 1)"
}

# A network namespace of her own, whose interface takes all packets, or does
# not: the kernel writes a record of each time, and drops what is too much.
floods()
{
	as mallory "timeout 20 python3 -" <<'END'
import ctypes, fcntl, socket, struct, time
NEWUSER, NEWNET, SIOCSIFFLAGS, PROMISC = 0x10000000, 0x40000000, 0x8914, 0x100
assert ctypes.CDLL(None, use_errno=True).unshare(NEWUSER | NEWNET) == 0
lo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + 2
n = 0
while time.monotonic() < end:
    n += 1
    fcntl.ioctl(lo, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", 1 + n % 2 * PROMISC))
print(n)
END
}

@test "promise6 a user who has the kernel write records that it may drop locks nobody out" {
	audit_alone
	n=$(runs | wc -l)
	lost=$(audit_has lost)
	for i in 1 2; do floods >"$BATS_TEST_TMPDIR/$i" 3>&- 8>&- 9>&- & done
	for _ in 1 2 3 4 5 6 7 8; do hello; done
	wait
	[ "$(cat "$BATS_TEST_TMPDIR"/[12] | awk '$1 > 1000' | wc -l)" -eq 2 ] || fail "there was no flood"
	[ "$(audit_has lost)" -eq "$lost" ]
	for u in $(runs | tail -n +$((n + 1))); do
		soon logged_run "$u" || fail "$u is not on record"
	done
	[ "$(runs | wc -l)" -eq $((n + 8)) ]
	run audit -m ANOM_PROMISCUOUS -ua mallory
	has '<no matches>'
	# Who has rules of before is told.
	doctor_says 'audit rules' ok
	rule=('always,exclude' -F 'uid!=0' -F msgtype=ANOM_PROMISCUOUS)
	auditctl -d "${rule[@]}" >/dev/null
	doctor_says 'audit rules' warning || told=no
	auditctl -a "${rule[@]}" >/dev/null
	[ -z "${told-}" ]
}

@test "promise1 auditd killed: the kernel takes the records, doctor says that nobody reads them, the ledger has all" {
	audit_alone
	hello
	n=$(runs | wc -l)
	kill -KILL "$(audit_has pid)"
	run hello
	ok
	run hello
	ok
	declared_get_in
	soon doctor_says audit fail
	log_says 'evt=audit-failed.*auditd=off'
	[ "$(runs | wc -l)" -eq $((n + 2)) ]
	auditd_again
	hello
	soon log_says 'evt=ready.*auditd=on'
	soon logged_run "$(runs | tail -n 1)"
	doctor_says audit ok
	run root modelgate verify </dev/null
	ok
}
