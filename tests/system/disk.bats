#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# A real file system that fails under the ledger and under the store: it has
# an error and turns read-only, or is gone and every call is an I/O error. And
# a copier that fails, or is killed, at every system call that it makes.
#
# FAULTS=all: each of them in every way.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	declare_rescue
	# The command sees what a serving process would: status 3 when that
	# is not what was approved.
	root sh -c 'cat >/usr/local/bin/serve && chmod 755 /usr/local/bin/serve' <<'END'
#!/bin/sh
[ "$(/usr/libexec/modelgate/modelgate-artifact digest "$1")" = "$MODELGATE_DIGEST" ] || exit 3
[ "$1" = "/var/lib/modelgate-store/sha256-${MODELGATE_DIGEST#sha256:}" ] || exit 3
END
	extra_policy <<'END'
[operation hello]
command = /bin/echo hello
run-as = mlserve

[rule hellos]
operation = hello

[operation serve]
command = /usr/local/bin/serve {artifact}
run-as = mlserve
artifact = /srv/models/{model}/{version}

[rule test-serve]
operation = serve
END
	root sh -c 'mkdir -p /srv/models/m/1/tokens && cd /srv/models/m/1 &&
	    head -c 300000 /dev/urandom >weights && echo a >tokens/a' </dev/null
	on_ext4 modelgated /var/lib/modelgate
}
teardown_file() { host_down; }
teardown()
{
	root sh -c 'f=/usr/libexec/modelgate/mg-store; [ ! -e $f.real ] || mv $f.real $f' </dev/null
	[ -n "${BATS_TEST_COMPLETED-}" ] || {
		sb service modelgated kill || :
		root umount -q /var/lib/modelgate-store </dev/null || :
		[ -z "${is_ext4-}" ] || mended /var/lib/modelgate
		sb service modelgated start
	}
}

# on_ext4 SERVICE DIR: DIR becomes a file system of its own, with what is in
# it; one that turns read-only when it finds an error.
on_ext4()
{
	[ -e /dev/loop-control ] && grep -qw ext4 /proc/filesystems || return 0
	export is_ext4=1
	sb service "$1" stop
	root sh -ec '
		img=/root/disk.$(basename "$1")
		truncate -s 64M "$img"
		mkfs.ext4 -q -O ^has_journal "$img"
		mkdir -p /root/mnt
		mount -o loop,errors=remount-ro "$img" /root/mnt
		cp -a "$1"/. /root/mnt
		rmdir /root/mnt/lost+found
		chmod --reference="$1" /root/mnt
		umount /root/mnt
		mount -o loop,errors=remount-ro "$img" "$1"' sh "$2" </dev/null
	sb service "$1" start
}
has_ext4() { [ -n "${is_ext4-}" ] || skip "no ext4 on a loop device here"; }
# mended DIR: unmounted, repaired, and there again; the agent is down then.
mended()
{
	root sh -ec '
		img=/root/disk.$(basename "$1")
		umount "$1" || umount -l "$1"
		e2fsck -fy "$img" >/dev/null || [ $? -le 2 ]
		mount -o loop,errors=remount-ro "$img" "$1"' sh "$1" </dev/null
}

ask() { root setpriv --reuid 7006 --regid 7101 --clear-groups modelgate run "$@" </dev/null; }
hello() { ask hello; }
alive() { root modelgate status --all </dev/null; }
lines() { root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl' </dev/null; }
audited() { audit -m SERVICE_STOP,SERVICE_START -ts "$1" | grep -q "modelgate:$2 "; }
now() { date '+%H:%M:%S'; }
doctor_says() { root modelgate doctor --json </dev/null | jq -e --arg c "$1" --arg r "$2" 'any(.[]; .check == $c and .result == $r)'; }

# Nobody acts and nobody logs in; root on the console and rescue= do.
refuses()
{
	run hello
	[ "$status" -eq 125 ] || fail "it was not refused"
	hasnt hello$'\n'
	has 'the ledger could not be written'
	stranger_does_not
	declared_get_in
}

# After it: what was acknowledged, no more and no less.
goes_on()
{
	sb service modelgated stop || :
	mended /var/lib/modelgate
	sb service modelgated start
	soon alive
	lines >"$BATS_TEST_TMPDIR/after"
	cmp -n "$(stat -c %s "$BATS_TEST_TMPDIR/before")" "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after" || fail "the ledger was changed"
	hello
	run root modelgate verify </dev/null
	ok
}

# ext4's own switches for a fault: an error was found; the device is gone.
has_error()
{
	root sh -ec 'd=$(basename "$(findmnt -no SOURCE "$1")"); echo test >"/sys/fs/ext4/$d/trigger_fs_error"' sh "$1" </dev/null
}
is_gone()
{
	root python3 - "$1" <<'END'
import fcntl, os, struct, sys
# EXT4_IOC_SHUTDOWN, without writing anything back
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
END
}

@test "promise1 a file system that has an error and turns read-only: refused, in the audit log, exact when it is mended" {
	has_ext4
	t=$(now)
	hello
	lines >"$BATS_TEST_TMPDIR/before"
	has_error /var/lib/modelgate
	refuses
	doctor_says disk fail
	soon audited "$t" ledger-down
	goes_on
}

@test "promise1 a disk that is gone, every call an I/O error: the same" {
	has_ext4
	t=$(now)
	hello
	lines >"$BATS_TEST_TMPDIR/before"
	is_gone /var/lib/modelgate
	refuses
	soon audited "$t" ledger-down
	goes_on
}

# ---- the store ---------------------------------------------------------------

none_left() { [ -z "$(root find /var/lib/modelgate-store -maxdepth 1 -name 'tmp-*' </dev/null)" ]; }
# Whatever has a name there is whole; nothing else is left.
store_is_clean()
{
	soon none_left || fail "$1: left: $(root ls /var/lib/modelgate-store </dev/null)"
	root sh -c 'cd /var/lib/modelgate-store && for d in sha256-*; do
		[ ! -e "$d" ] || [ "$(/usr/libexec/modelgate/modelgate-artifact digest "$PWD/$d")" = "sha256:${d#sha256-}" ] || exit 1
	done' </dev/null || fail "$1: half a copy is there"
}
empty_store() { root sh -c 'rm -rf /var/lib/modelgate-store/sha256-*' </dev/null; }

# The copier runs under strace; what that does to it is in /run/sandbox/fault.
tampered()
{
	root sh -c 'f=/usr/libexec/modelgate/mg-store; mv $f $f.real && cat >$f && chmod 755 $f' <<'END'
#!/bin/sh
[ "$1" = copy ] || exec /usr/libexec/modelgate/mg-store.real "$@"
PATH=/usr/bin:/bin
# shellcheck disable=SC2046
exec strace -qq -o /run/sandbox/trace $(cat /run/sandbox/fault) /usr/libexec/modelgate/mg-store.real "$@"
END
}
fault() { root sh -c 'echo "$*" >/run/sandbox/fault' sh "$@" </dev/null; }
was_hit() { root grep -q 'INJECTED\|SIGKILL' /run/sandbox/trace </dev/null; }

# strace counts each call on its own.
calls='openat openat2 mkdirat copy_file_range read write fchmod fsync getdents64 newfstatat close sendto sendmsg recvmsg landlock_restrict_self seccomp'
ways=(error=EIO error=ENOSPC signal=SIGKILL)

@test "promise2 a copier that fails or is killed at every call that it makes: nothing half copied is served, nothing is left" {
	tampered
	tries=0 served=0 w=0
	for call in $calls; do
		for ((n = 1; n <= 100; n++)); do
			hit=
			for way in "${ways[@]}"; do
				w=$((w + 1))
				[ "${FAULTS-}" = all ] || [ $((w % 3)) -eq $((n % 3)) ] || continue
				empty_store
				fault -e "trace=$call" -e "inject=$call:$way:when=$n"
				run timeout 20 "$top/scripts/sandbox" root setpriv --reuid 7006 --regid 7101 --clear-groups modelgate run serve m@1 </dev/null 3>&- 9>&-
				tries=$((tries + 1))
				case $status in
				0) served=$((served + 1)) ;;
				125) ;;
				*) fail "$call $n, $way: it served what was not approved" ;;
				esac
				store_is_clean "$call $n, $way"
				! was_hit || hit=1
			done
			[ -n "$hit" ] || break
		done
	done
	echo "# $tries copies, $served of them served" >&3
	[ "$tries" -gt 40 ] && [ "$served" -lt "$tries" ] || fail "$tries tries"
	fault -e trace=none
	ask serve m@1
}

@test "promise2 a copier that reads other bytes than there are, or fewer: never served" {
	tampered
	# Of its two files the larger is the second; by hand, the last read.
	by_hand='-e inject=copy_file_range:error=EXDEV'
	empty_store
	fault "-e trace=read,copy_file_range $by_hand"
	ask serve m@1
	last=$(root grep -c '^read(' /run/sandbox/trace </dev/null)
	for how in '-e inject=copy_file_range:retval=1000:when=2+' "$by_hand -e inject=read:retval=1000:when=$last+" \
	    "$by_hand -e inject=read:retval=0:when=$last+"; do
		echo "# $how" >&2
		empty_store
		fault "$how"
		run ask serve m@1
		[ "$status" -eq 125 ] || fail "it was served"
		store_is_clean "$how"
	done
}

@test "promise2 the agent killed while a copy is made: a new one clears it away, and serves only a whole one" {
	tampered
	empty_store
	fault -e trace=fsync -e inject=fsync:delay_enter=20000000:when=2
	ask serve m@1 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 9>&- &
	client=$!
	copying() { root sh -c 'ls -d /var/lib/modelgate-store/tmp-*/weights' </dev/null; }
	soon copying
	sb service modelgated kill
	status=0
	wait "$client" || status=$?
	[ "$status" -ne 0 ]
	pkill_in -KILL -x strace || :
	pkill_in -KILL -f '^/usr/libexec/modelgate/mg-store.real' || :
	root sh -c 'mv /usr/libexec/modelgate/mg-store.real /usr/libexec/modelgate/mg-store' </dev/null
	sb service modelgated start
	soon alive
	store_is_clean killed
	ask serve m@1
}

@test "promise2 a store whose disk is full, has an error, or is gone: refused with the reason, and the rest goes on" {
	has_ext4
	root sh -ec '
		truncate -s 8M /root/store.img
		mkfs.ext4 -q -O ^has_journal /root/store.img
		mount -o loop,errors=remount-ro /root/store.img /var/lib/modelgate-store
		rmdir /var/lib/modelgate-store/lost+found' </dev/null
	sb service modelgated restart
	again()
	{
		root sh -ec 'umount /var/lib/modelgate-store
			e2fsck -fy /root/store.img >/dev/null || [ $? -le 2 ]
			mount -o loop,errors=remount-ro /root/store.img /var/lib/modelgate-store' </dev/null
	}
	for how in full has_error is_gone; do
		echo "# $how" >&2
		empty_store
		if [ "$how" = full ]; then
			root sh -c 'cat /dev/zero >/var/lib/modelgate-store/fill' </dev/null 2>/dev/null || :
		else
			"$how" /var/lib/modelgate-store
		fi
		run ask serve m@1
		[ "$status" -eq 125 ] || fail "it was served"
		hello
		declared_get_in
		if [ "$how" = full ]; then
			root rm /var/lib/modelgate-store/fill </dev/null
		else
			sb service modelgated stop
			again
			sb service modelgated start
			soon alive
		fi
		store_is_clean "$how"
		ask serve m@1
	done
	sb service modelgated stop
	root umount /var/lib/modelgate-store </dev/null
	sb service modelgated start
}
