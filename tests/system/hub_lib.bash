# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# A hub of its own for each tests/system/hub*.bats: private mounts, network
# and processes, the built binaries at their real paths, people and hosts
# with keys. A test file says
#
#	load hub_lib
#	setup_file() { hub_up; }
#	teardown_file() { hub_down; }

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
bin=${B:-build/cc}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
peer=$top/tests/system/hub_peer.py
hub_uid=990

# ns COMMAND...: inside the namespaces.
ns() { nsenter -t "$NS" -m -n -p -- "$@" 3>&-; }
# as_hub COMMAND...: inside, as the hub's user.
as_hub()
{
	ns setpriv --reuid=$hub_uid --regid=$hub_uid --clear-groups -- "$@"
}

# shellcheck source=tests/system/soon.bash
. "$(dirname "${BASH_SOURCE[0]}")/soon.bash"

fail()
{
	printf '%s\n' "$*" "status: ${status-}" "output: ${output-}" >&2
	echo '--- the hub says:' >&2
	ns tail -n 20 "$W/hub.log" >&2
	return 1
}
has() { [[ $output == *"$1"* ]] || fail "no '$1' in the output"; }
hasnt() { [[ $output != *"$1"* ]] || fail "'$1' is in the output"; }
is() { [ "$status" -eq "$1" ] || fail "not status $1"; }

# The root of a test's world, inside the namespace.
hub_world()
{
	cat <<-'END'
	set -eu
	mount -t tmpfs -o mode=755 tmpfs "$W"
	for d in /etc /usr/libexec /usr/sbin /usr/bin /var/lib; do
		mkdir -p "$W/up$d" "$W/work$d"
		mount -t overlay overlay \
		    -o "lowerdir=$d,upperdir=$W/up$d,workdir=$W/work$d" "$d"
	done
	mkdir -p /usr/libexec/modelgate /etc/modelgate /var/lib/modelgate-hub
	rm -f /etc/modelgate/* /var/lib/modelgate-hub/*
	cp "$BIN/mg-hub-conn" "$BIN/mg-link" /usr/libexec/modelgate/
	cp "$BIN/modelgate-hub" /usr/sbin/
	cp "$BIN/modelgate" /usr/bin/
	sed -i '/^_mg-/d' /etc/passwd /etc/group
	for u in hub:990 link:991; do
		i=${u#*:}
		echo "_mg-${u%:*}:x:$i:$i::/nonexistent:/usr/sbin/nologin" \
		    >>/etc/passwd
		echo "_mg-${u%:*}:x:$i:" >>/etc/group
	done
	ip link set lo up
	mkdir "$W/k" "$W/home"
	cd "$W/k"
	for k in bob erin host1 host2 stranger hub; do
		ssh-keygen -q -t ed25519 -N '' -C "$k" -f "$k"
	done
	ssh-keygen -q -t ecdsa -N '' -C carol -f carol
	ssh-keygen -q -t rsa -b 2048 -N '' -C dave -f dave
	for k in bob carol dave erin; do
		echo "$k namespaces=\"modelgate-approval\"" \
		    "$(cut -d' ' -f1,2 $k.pub)"
	done >/etc/modelgate/allowed_signers
	for k in 1 2; do
		echo "web-$k $(cut -d' ' -f1,2 host$k.pub)"
	done >/etc/modelgate/hub_hosts
	cp hub /etc/modelgate/hub_host_key
	chown 990:990 /etc/modelgate/hub_host_key /var/lib/modelgate-hub
	chmod 700 /var/lib/modelgate-hub
	printf '[hub]\nlisten = 127.0.0.1:7022\nname = -p 7022 127.0.0.1\n' \
	    >/etc/modelgate/hub.ini
	sed 's/^/[127.0.0.1]:7022 /' hub.pub >known
	cut -d' ' -f1,2 hub.pub >pins
	printf '%s\n' 'Host *' 'IdentitiesOnly yes' \
	    "UserKnownHostsFile $W/k/known" 'GlobalKnownHostsFile /dev/null' \
	    'LogLevel ERROR' 'BatchMode yes' >config
	END
}

hub_up()
{
	[ "$(id -u)" = 0 ] || skip 'needs root for its namespaces'
	W=$BATS_FILE_TMPDIR/world
	mkdir "$W"
	# The shell collects what is left behind, as an init does.
	unshare -m -n -p -f --kill-child --mount-proc --propagation private \
	    bash -c 'while :; do sleep 1000000 & wait; done' 3>&- &
	HOLDER=$!
	soon pgrep -P "$HOLDER" -x bash
	NS=$(pgrep -P "$HOLDER" -x bash)
	export W NS HOLDER
	ns env W="$W" BIN="$bin" bash -c "$(hub_world)"
	hub_start
}

# Everything inside ends with its first process; unshare itself is deaf to
# SIGTERM, and while anything is left, bats waits for its output.
hub_down() { kill -KILL "$NS" && soon gone_outside "$HOLDER"; }
gone_outside() { ! kill -0 "$1" 2>/dev/null; }

hub_is_ready() { grep -q evt=ready "$W/hub.log"; }

# hub_conf LINE...: what hub.ini says from the next start on.
hub_conf()
{
	printf '%s\n' '[hub]' 'listen = 127.0.0.1:7022' \
	    'name = -p 7022 127.0.0.1' "$@" |
	    ns tee /etc/modelgate/hub.ini >/dev/null
}

hub_start()
{
	ns touch "$W/hub.log"
	ns cp "$W/hub.log" "$W/hub.log.$RANDOM"
	ns truncate -s 0 "$W/hub.log"
	ns sh -c "setpriv --reuid=$hub_uid --regid=$hub_uid --clear-groups \
	    modelgate-hub >>$W/hub.log 2>&1 & echo \$! >$W/hub.pid"
	soon ns grep -q evt=ready "$W/hub.log"
}

# hub_kill [SIGNAL]: ends it and waits until it is gone.
hub_kill()
{
	local pid
	pid=$(ns cat "$W/hub.pid")
	ns kill "-${1-TERM}" "$pid"
	soon gone "$pid"
}
gone() { ! ns kill -0 "$1" 2>/dev/null; }
log_has() { ns grep -q -- "$1" "$W/hub.log"; }

# S WHO COMMAND...: the stock ssh as an approver or a host.
S()
{
	local who=$1
	shift
	ns ssh -F "$W/k/config" -i "$W/k/$who" -p 7022 127.0.0.1 "$@"
}

# host NAME [OPTION...]: a host that is connected, commanded by tell NAME,
# heard by heard NAME. host1 and host2 are the keys of web-1 and web-2.
host()
{
	local name=$1
	shift
	ns mkdir -p "$W/$name"
	ns rm -f "$W/$name/in" "$W/$name/out"
	ns mkfifo "$W/$name/in"
	ns sh -c "cd $W/$name && echo \$\$ >pid && exec python3 $peer $* \
	    ssh -F $W/k/config -T -i $W/k/$name -p 7022 127.0.0.1 host \
	    0<>in >out 2>>err" &
	soon host_is_up "$name"
}
host_is_up() { tell "$1" ping && heard "$1" pong; }
has_host() { ns sh -c "kill -0 \$(cat $W/$1/pid)" 2>/dev/null; }
# host_end NAME: it goes away, and the hub knows.
host_end()
{
	ns sh -c "kill \$(cat $W/$1/pid)" || :
	soon host_is_gone "$1"
}
host_is_gone()
{
	! has_host "$1" && S bob whoami >/dev/null &&
	    ! ns pgrep -f "ssh .*-i $W/k/$1 "
}
tell() { ns sh -c "echo '$2' 1<>$W/$1/in"; }
heard() { ns grep -q -- "$2" "$W/$1/out"; }

# A fresh UUID whose code is $CODE, put by web-1 (or by host NAME).
new_uuid() { cat /proc/sys/kernel/random/uuid; }
request()
{
	local name=${1-host1}
	U=$(new_uuid)
	tell "$name" "put $U ${name/host/web-} alice 600000"
	soon heard "$name" "put_ans $U ok"
	# shellcheck disable=SC2034 # the tests use it
	CODE=$(S bob show "$U" --json | jq -r .code)
}

# signed WHO ID WORD [NOTE]: the text, signed as the manual says.
signed()
{
	local who=$1
	shift
	S "$who" text "$@" |
	    ns ssh-keygen -q -Y sign -n modelgate-approval -f "$W/k/$who" \
	    2>/dev/null
}
# decide WHO ID WORD [NOTE]
decide()
{
	signed "$@" | S "$1" submit "${@:2}"
}
