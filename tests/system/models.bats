#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What is deployed here, from the ledger alone; and when it no longer is.
# shellcheck disable=SC2154,SC2016

load lib

setup_file()
{
	host_up
	extra_policy <<'END'
[operation put]
command = /usr/libexec/modelgate/ops/symlink deploy {model} {version} {artifact}
run-as = mlserve
artifact = /srv/models/{model}/{version}
serves = /srv/serve/{model}/current
effect = serve

[operation good]
command = /usr/libexec/modelgate/ops/symlink promote {model} {version} {artifact}
run-as = mlserve
artifact = /srv/models/{model}/{version}
effect = promote

[operation away]
command = /usr/libexec/modelgate/ops/symlink retire {model} {version}
run-as = mlserve
effect = retire

[rule test-put]
operation = put, good, away
role = ml-engineer
END
	root sh -c 'for v in 1 2 3; do
		mkdir -p /srv/models/m/$v && echo bytes $v >/srv/models/m/$v/weights
	done' </dev/null
}
teardown_file() { host_down; }

put() { as alice "modelgate run put m@$1 --reason 'because of $1'" </dev/null; }
models() { root modelgate models "$@" </dev/null; }
# of KEY: in the row of m.
of() { models --json | jq -r ".[] | select(.model == \"m\") | .$1"; }
is_live() { [ "$(of version)" = "$1" ]; }
digest_of() { root /usr/libexec/modelgate/modelgate-artifact digest "$1" </dev/null; }

@test "nothing is deployed where nothing was" {
	run models
	ok
	has 'nothing was deployed'
	[ "$(models --json | jq length)" = 0 ]
}

@test "what is live: since when, which digest, who, why, instead of what" {
	put 1
	soon is_live 1
	put 2
	soon is_live 2
	[ "$(of digest)" = "$(digest_of /srv/models/m/2)" ]
	[ "$(of user)" = alice ]
	[ "$(of reason)" = 'because of 2' ]
	[ "$(of 'back | join(" ")')" = "1 $(digest_of /srv/models/m/1)" ]
	run models
	ok
	has 'm@2'
	has 'because of 2'
	has 'replaced    1'
}

@test "a run that fails deploys nothing" {
	root chmod 000 /srv/serve/m/releases </dev/null
	run put 3
	root chmod 755 /srv/serve/m/releases </dev/null
	failed
	# Its exit is on record, and nothing after it.
	exits() { [ "$(ledger exit | tail -n 1 | jq -r .value)" != 0 ]; }
	soon exits
	is_live 2
}

@test "promotion and going back are in the history" {
	as alice 'modelgate run good m@2' </dev/null
	promoted() { [ "$(of promoted)" = 2 ]; }
	soon promoted
	put 1
	soon is_live 1
	[ "$(of 'back[0]')" = 2 ]
	run models m
	ok
	[ "${#lines[@]}" -ge 8 ]
	has 'put      2            by alice, replaced 1: because of 2'
	has 'promote  2 '
	# Each with the request that one can ask about.
	has "request $(of id)"
	run models
	has 'promoted    2'
	[ "$(models m --json | head -n 1 | jq -r .effect)" = serve ]
}

@test "a restart changes none of it" {
	before=$(models --json | jq 'del(.[].checked)')
	sb service modelgated restart
	soon root modelgate status </dev/null
	[ "$(models --json | jq 'del(.[].checked)')" = "$before" ]
	# Not even one whose ledger begins with a snapshot.
}

@test "everybody may see what is live, not who and why" {
	run as mallory 'modelgate models --json'
	ok
	has '"version":"1"'
	hasnt alice
	hasnt because
	run as mallory 'modelgate models --check'
	[ "$status" -eq 125 ]
}

@test "a link that leads elsewhere is found by doctor, and recorded once" {
	run root modelgate models --check </dev/null
	ok
	hasnt DRIFTED
	root setpriv --reuid mlserve --regid mlserve --clear-groups \
	    ln -sfn /srv/models/m/3 /srv/serve/m/current </dev/null
	run root modelgate doctor </dev/null
	has 'FAIL  models'
	has 'm@1'
	run models
	has DRIFTED
	has "$(digest_of /srv/models/m/3)"
	run root modelgate models --check </dev/null
	[ "$status" -eq 1 ]
	[ "$(ledger model | grep -c '"effect":"drift"')" = 1 ]
	run audit -m ANOM_RBAC_INTEGRITY_FAIL
	has 'op=modelgate:drift'
	has "found=$(digest_of /srv/models/m/3)"
	has 'res=failed'
}

@test "when it is served again that is on record, too" {
	root setpriv --reuid mlserve --regid mlserve --clear-groups \
	    ln -sfn releases/1 /srv/serve/m/current </dev/null
	run root modelgate doctor </dev/null
	has 'ok    models'
	run models m
	has 'drift    1            is over: serves what is on record'
}

@test "changed bytes in the store are found as well, and are not deployed" {
	store=$(root readlink /srv/serve/m/releases/1 </dev/null)
	root sh -c "cp -p $store/weights /root/kept; echo evil >$store/weights" </dev/null
	run root modelgate models --check </dev/null
	[ "$status" -eq 1 ]
	has DRIFTED
	run put 1
	[ "$status" -eq 125 ]
	has 'was approved'
	root cp -p /root/kept "$store/weights" </dev/null
	run root modelgate models --check </dev/null
	ok
}

@test "what is retired is live no more, nor something to go back to" {
	as alice 'modelgate run away m@1' </dev/null
	soon is_live ''
	[ "$(of 'back | map(select(. == "1")) | length')" = 0 ]
	run models
	has 'nothing is live'
	has 'roll back   2'
}

# Five models that are served, and what may happen to each.
kinds='byte mode owner added link'
store_of() { root readlink -f "/srv/serve/$1/current" </dev/null; }
spoil()
{
	local k
	for k in $kinds; do
		root sh -s "$k" "$(store_of "$k")" <<'END'
case $1 in
byte) printf B | dd of="$2/weights" bs=1 conv=notrunc status=none ;;
mode) chmod 646 "$2/weights" ;;
owner) chown mlserve "$2" ;;
added) : >"$2/more" ;;
link) rm -rf /srv/copy; cp -r "$2" /srv/copy; echo >>/srv/copy/weights
    ln -sfn /srv/copy /srv/serve/link/current ;;
esac
END
	done
}
mend()
{
	local k
	for k in $kinds; do
		root sh -s "$k" "$(store_of "$k")" <<'END'
case $1 in
byte) printf b | dd of="$2/weights" bs=1 conv=notrunc status=none ;;
mode) chmod 444 "$2/weights" ;;
owner) chown root "$2" ;;
added) rm -f "$2/more" ;;
link) ln -sfn releases/1 /srv/serve/link/current ;;
esac
END
	done
}
drifted() { models --json | jq '[.[] | select(.drifted)] | length'; }
drifts() { ledger model | jq -s --arg kinds "$kinds" "map(select(.effect == \"drift\" and (.model | IN(\$kinds | split(\" \")[]))$1)) | length"; }

@test "a byte, a mode, an owner, one file more, another link: each is found, and on record once" {
	begun=$(date +%T)
	for k in $kinds; do
		root sh -c "mkdir -p /srv/models/$k/1 && echo bytes of $k >/srv/models/$k/1/weights" </dev/null
		as alice "modelgate run put $k@1 --reason $k" </dev/null
	done
	all_live() { [ "$(models --json | jq '[.[] | select(.version == "1")] | length')" -ge 5 ]; }
	soon all_live
	run models --check
	ok
	spoil
	run root modelgate doctor </dev/null
	has 'FAIL  models'
	has '5 of '
	[ "$(drifted)" = 5 ]
	run models --check
	[ "$status" -eq 1 ]
	[ "$(drifts '')" = 5 ]
	run models mode
	has 'was made writable: mode 0646'
	run models owner
	has 'was given to user'
	told() { audit -m ANOM_RBAC_INTEGRITY_FAIL -ts "$begun" -vm "$1" --raw | grep -c 'op=modelgate:drift'; }
	for k in $kinds; do
		soon told "$k"
		[ "$(told "$k")" = 1 ] || fail "$k"
	done
	# A copy that somebody can write is not served anew either.
	run as alice 'modelgate run put mode@1 --reason again'
	[ "$status" -eq 125 ]
	has 'was made writable'
	mend
	run models --check
	ok
	[ "$(drifts ' and .ok')" = 5 ]
	[ "$(drifts '')" = 10 ]
}

@test "nothing is believed because it looks as it did: size, times, inode, place" {
	w=$(store_of byte)/weights
	root sh -s "$w" <<'END'
# Same inode, size and time; written through a mapping that is not synced.
touch -r "$1" /tmp/time
chmod u+w "$1"
python3 -c 'import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
m[0:1] = b"X"' "$1"
chmod 444 "$1"
touch -r /tmp/time "$1"
END
	run models --check
	[ "$status" -eq 1 ]
	run as alice 'modelgate run put byte@1 --reason again'
	[ "$status" -eq 125 ]
	has 'was approved'
	mend
	run models --check
	ok
	# The same names, sizes and times on another file system, or above it.
	for how in bind overlay; do
		root sh -s "${w%/*}" $how <<'END'
rm -rf /tmp/other; mkdir -p /tmp/other/up /tmp/other/work
cp -a "$1/." /tmp/other/up/
chmod u+w /tmp/other/up/weights
printf X | dd of=/tmp/other/up/weights bs=1 conv=notrunc status=none
chmod 444 /tmp/other/up/weights
touch -r "$1/weights" /tmp/other/up/weights
chmod 555 /tmp/other/up
case $2 in
bind) mount --bind /tmp/other/up "$1" ;;
overlay)
	mount -t tmpfs none /tmp/other/work
	mkdir /tmp/other/work/up /tmp/other/work/work
	cp -a /tmp/other/up/. /tmp/other/work/up/
	mount -t overlay -o "lowerdir=$1,upperdir=/tmp/other/work/up,workdir=/tmp/other/work/work" none "$1" ;;
esac
END
		run models --check
		[ "$status" -eq 1 ] || fail "$how"
		root sh -c "umount '${w%/*}'; umount /tmp/other/work 2>/dev/null; rm -rf /tmp/other" </dev/null
		run models --check
		ok
	done
}

@test "a timer looks by itself, and finds each" {
	root sh -c "printf '\n[models]\ncheck-minutes = 1\n' >>/etc/modelgate/agent.ini" </dev/null
	sb service modelgated restart
	soon root modelgate status </dev/null
	spoil
	all_drifted() { [ "$(drifted)" = 5 ]; }
	soon -t 90 all_drifted
	[ "$(drifts '')" = 21 ]
}
