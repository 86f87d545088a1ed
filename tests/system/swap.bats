#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Swapping an artifact under the agent, in every way that its owner has, as
# fast as it goes, while it is deployed again and again. Whatever is served
# is what was approved, byte for byte, or nothing is.
#
# MG_SWAPS=10000: so many deployments of each kind (hours); else a few.
# shellcheck disable=SC2154,SC2016

load lib

setup_file()
{
	[ -x "$top/${B:-build/cc}/attack/swapper" ] || make -s -C "$top" B="${B:-build/cc}" attack
	host_up
	root sh -c 'cat >/usr/local/bin/swapper && chmod 755 /usr/local/bin/swapper' \
	    <"$top/${B:-build/cc}/attack/swapper"
	# The command sees what a serving process would: status 3 when that
	# is not what was approved.
	root sh -c 'cat >/usr/local/bin/serve && chmod 755 /usr/local/bin/serve' <<'END'
#!/bin/sh
[ "$(/usr/libexec/modelgate/modelgate-artifact digest "$1")" = "$MODELGATE_DIGEST" ] || exit 3
[ "$1" = "/var/lib/modelgate-store/sha256-${MODELGATE_DIGEST#sha256:}" ] || exit 3
! [ -w "$1/weights" ] || exit 3
END
	extra_policy <<'END'
[operation serve]
command = /usr/local/bin/serve {artifact}
run-as = mlserve
artifact = /srv/models/{model}/{version}

[rule test-serve]
operation = serve
role = ml-engineer
END
}
teardown_file() { host_down; }

# victim NAME: /srv/models/NAME/1 and a spare folder, both mallory's.
victim()
{
	root sh -c "mkdir -p /srv/models/$1/1 /srv/models/$1/spare &&
	    head -c 262144 /dev/zero | tr '\\0' g >/srv/models/$1/1/weights &&
	    chown -R mallory: /srv/models/$1" </dev/null
}

# deploy_anew NAME N: the same; now and then the store is emptied, so that
# it is copied again.
deploy_anew()
{
	local left=$2 n all=(0 0 0) some
	while [ "$left" -gt 0 ]; do
		n=$((left < 12 ? left : 12))
		left=$((left - n))
		root sh -c 'rm -rf /var/lib/modelgate-store/sha256-*' </dev/null
		read -r -a some <<<"$(deploy_often "$1" "$n")"
		for n in 0 1 2; do
			all[n]=$((all[n] + some[n]))
		done
	done
	echo "${all[@]}"
}

# deploy_often NAME N: how many were served, refused, and wrong.
deploy_often()
{
	as alice "served=0 refused=0 wrong=0
	for i in \$(seq $2); do
		modelgate run serve $1@1 >/dev/null 2>&1
		case \$? in
		0) served=\$((served + 1)) ;;
		125) refused=\$((refused + 1)) ;;
		*) wrong=\$((wrong + 1)) ;;
		esac
	done
	echo \$served \$refused \$wrong"
}

# attack HOW [USER]: swaps while N deployments are made.
attack()
{
	local how=$1 who=${2:-mallory} pid served refused wrong swaps
	victim "$how"
	root setpriv --reuid "$who" --regid "$(root id -g "$who" </dev/null)" --clear-groups \
	    /usr/local/bin/swapper "$how" "/srv/models/$how/1" \
	    "/srv/models/$how/spare" >"$BATS_TEST_TMPDIR/swaps" </dev/null 3>&- &
	soon grep -q ready "$BATS_TEST_TMPDIR/swaps"
	pid=$(pgrep -f "^/usr/local/bin/swapper $how /srv/models/$how/1 ")
	read -r served refused wrong \
	    <<<"$(deploy_anew "$how" "${MG_SWAPS:-60}")"
	kill -TERM "$pid"
	# A file system's loop waits for a question.
	[ "$how" != fuse ] || root ls "/srv/models/$how/1" </dev/null >/dev/null 2>&1 || :
	wait
	swaps=$(tail -n 1 "$BATS_TEST_TMPDIR/swaps")
	echo "# $how: $swaps swaps; $served served, $refused refused, $wrong wrong" >&3
	[ "$wrong" -eq 0 ] || fail "$wrong deployments served other bytes"
	[ $((served + refused)) -eq "${MG_SWAPS:-60}" ]
	# Else nothing was attacked.
	[ "$refused" -gt 0 ] || fail "no swap was seen"
	[ "$swaps" -gt "${MG_SWAPS:-60}" ]
}

@test "without an attack the model is served" {
	victim calm
	[ "$(deploy_often calm 3)" = '3 0 0' ]
	# One copy, root's, that its owner cannot write; nor its mark.
	run root sh -c 'ls -ld /var/lib/modelgate-store/sha256-*; find /var/lib/modelgate-store -mindepth 1 ! -user root -o -perm /222' </dev/null
	ok
	[ "${#lines[@]}" -eq 1 ]
	has 'dr-xr-xr-x'
}

@test "promise2 a file that changes places with another" { attack rename; }
@test "promise2 a folder that changes places with another" { attack folder; }
@test "promise2 a symbolic link in place of a file" { attack symlink; }
@test "promise2 a hard link in place of a file" { attack hardlink; }
@test "promise2 a file that is written in place" { attack write; }
@test "promise2 a file that is written through a mapping" { attack map; }
@test "promise2 a file system that answers differently each time" {
	[ -c /dev/fuse ] || skip "no FUSE here"
	attack fuse root
}

@test "nothing of copies that were given up is left" {
	none_left() { [ -z "$(root find /var/lib/modelgate-store -maxdepth 1 -name 'tmp-*' </dev/null)" ]; }
	soon none_left
}
