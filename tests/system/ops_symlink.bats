#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# ops/symlink, as the serving user, in folders of its own.

load lib

setup()
{
	cd "$BATS_TEST_TMPDIR"
	mkdir -p models/m/1 models/m/2 serve
	echo one >models/m/1/file
	echo two >models/m/2/file
	chown 65534 serve
	# The way there must be passable for nobody; bats's folders are not.
	here=$(mktemp -d /var/tmp/mg-ops.XXXXXX)
	chmod 755 "$here"
	mv models serve "$here"
	cd "$here"
}

teardown() { rm -rf "$here"; }

symlink()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups \
	    "$top/scripts/ops/symlink" -m "$here/models" -s "$here/serve" "$@"
}

serves() { [ "$(cat serve/m/current/file)" = "$1" ]; }

@test "deploy serves the version and says what was served before" {
	run symlink deploy m 1
	ok
	[ "$output" = "m: serves 1 now" ]
	serves one
	run symlink deploy m 2
	[ "$output" = "m: serves 2 now, 1 before" ]
	serves two
}

@test "deploying what is served changes nothing" {
	symlink deploy m 1
	before=$(stat -c %i serve/m/current)
	run symlink deploy m 1
	ok
	has 'already'
	[ "$(stat -c %i serve/m/current)" = "$before" ]
}

@test "rule1: a reader never finds no version while the link is flipped" {
	symlink deploy m 1
	# Counts the times that the link could not be opened, until told.
	perl -e '
		$SIG{TERM} = sub { $end = 1 };
		until ($end) {
			open(my $f, "<", "serve/m/current/file") or $lost++;
			$n++;
		}
		printf "%d %d\n", $lost // 0, $n;' >seen 3>&- &
	reader=$!
	for v in 2 1 2 1 2 1 2 1 2 1; do
		symlink deploy m $v
	done
	kill -TERM $reader
	wait $reader
	read -r lost opened <seen
	[ "$lost" -eq 0 ]
	[ "$opened" -gt 100 ]
}

@test "rule1: the same test sees a link that is removed and made anew" {
	symlink deploy m 1
	perl -e '
		$SIG{TERM} = sub { $end = 1 };
		until ($end) {
			open(my $f, "<", "serve/m/current/file") or $lost++;
		}
		printf "%d\n", $lost // 0;' >seen 3>&- &
	reader=$!
	for _ in $(seq 50); do
		rm serve/m/current
		ln -s releases/2 serve/m/current
	done
	kill -TERM $reader
	wait $reader
	[ "$(cat seen)" -gt 0 ]
}

@test "rule2: names that are not one plain path component are refused" {
	long=$(printf 'a%.0s' $(seq 97))
	for bad in '' . .. ../m m/1 -m .m /m 'm m' $'m\nm' $'m\e[31m' 'm*' \
	    "\$(id)" "$long" ü; do
		run symlink deploy "$bad" 1
		failed
		run symlink deploy m "$bad"
		failed
		[[ $output != *$'\e'* ]] || fail "raw control byte"
	done
	[ -z "$(ls -A serve)" ] || [ "$(ls serve)" = m ]
	[ ! -e serve/m/current ]
}

@test "rule3: root is refused" {
	run "$top/scripts/ops/symlink" -m "$here/models" -s "$here/serve" \
	    deploy m 1
	failed
	has 'refuses to run as root'
	[ -z "$(ls -A serve)" ]
}

@test "rule4: links in place of folders are refused" {
	mkdir elsewhere
	chown 65534 elsewhere
	ln -s "$here/models/m/1" models/m/3
	run symlink deploy m 3
	failed
	has 'symbolic link'
	rm -r serve/m
	ln -s "$here/elsewhere" serve/m
	run symlink deploy m 1
	failed
	has 'symbolic link'
	[ -z "$(ls -A elsewhere)" ]
}

@test "a folder that is given is served, and not the models' own" {
	mkdir store
	echo copy >store/file
	symlink deploy m 1 "$here/store"
	serves copy
	[ "$(readlink serve/m/current)" = releases/1 ]
	run symlink deploy m 1 "$here/store"
	has already
	symlink deploy m 1
	serves one
	ln -s "$here/store" link
	run symlink deploy m 1 "$here/link"
	failed
	has 'symbolic link'
	run symlink deploy m 1 store
	failed
	has 'not an absolute path'
	serves one
}

@test "rule5: one operation on a model waits for the other" {
	symlink deploy m 1
	exec {held}<serve/m/.lock
	flock "$held"
	symlink deploy m 2 >out 2>&1 3>&- {held}<&- &
	# It has reached the lock: a process waits there.
	soon grep -q -- "-> FLOCK.*:$(stat -c %i serve/m/.lock) " /proc/locks
	serves one
	exec {held}<&-
	wait $!
	serves two
}

@test "rule5: nobody else can hold the lock" {
	symlink deploy m 1
	run setpriv --reuid 65533 --regid 65533 --clear-groups flock -n serve/m/.lock true
	failed
	has 'Permission denied'
	setpriv --reuid 65533 --regid 65533 --clear-groups flock serve/m sleep 60 3>&- &
	soon grep -q "FLOCK.*:$(stat -c %i serve/m) " /proc/locks
	run timeout 20 setpriv --reuid 65534 --regid 65534 --clear-groups \
	    "$top/scripts/ops/symlink" -m "$here/models" -s "$here/serve" deploy m 2
	kill $!
	ok
	serves two
}

@test "promote names the served version, and no other" {
	symlink deploy m 1
	run symlink promote m 2
	failed
	[ ! -e serve/m/stable ]
	symlink promote m 1
	[ "$(readlink serve/m/stable)" = releases/1 ]
	mkdir other
	run symlink promote m 1 "$here/other"
	failed
	has 'other bytes'
}

@test "rollback goes only to what was deployed here before" {
	symlink deploy m 1
	run symlink rollback m 2
	failed
	has 'never deployed'
	serves one
	symlink deploy m 2
	symlink rollback m 1
	serves one
}

@test "a retired version is out of service and stays out" {
	symlink deploy m 1
	symlink promote m 1
	run symlink retire m 1
	ok
	has 'nothing is served'
	[ ! -L serve/m/current ]
	[ ! -L serve/m/stable ]
	for verb in deploy promote rollback; do
		run symlink $verb m 1
		failed
		has 'retired'
	done
	[ -e models/m/1/file ]
}

@test "a version that is not there is refused, and nothing changes" {
	symlink deploy m 1
	run symlink deploy m 3
	failed
	has 'no version 3'
	run symlink deploy other 1
	failed
	serves one
}

@test "what an interrupted call left does not stop the next" {
	symlink deploy m 1
	ln -s nowhere serve/m/.current.new
	chown -h 65534 serve/m/.current.new
	symlink deploy m 2
	serves two
}

@test "wrong usage is 2" {
	for args in '' deploy 'deploy m' 'deploy m 1 /x y' 'remove m 1' '-x deploy m 1'; do
		# shellcheck disable=SC2086
		run symlink $args
		[ "$status" -eq 2 ]
		has usage
	done
}
