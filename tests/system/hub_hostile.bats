#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# shellcheck disable=SC2016,SC2154
#
# What meets the hub's port and is no friend: nothing grows without bound,
# and others are served within two seconds.

load hub_lib
setup_file()
{
	hub_up
	hub_kill
	hub_conf '[limits]' 'login-grace = 3s' 'waiting = 64' 'logins = 16' \
	    'logins-per-source = 8' 'sessions-per-key = 4'
	hub_start
	host host1 --signers /etc/modelgate/allowed_signers
}
teardown_file() { hub_down; }

# served: an approver's command, from its login to its answer. Who is kept
# out waits for ever; how long it takes is the benchmark's to say.
served()
{
	local t
	t=$(date +%s%N)
	S bob whoami >/dev/null || return 1
	t=$((($(date +%s%N) - t) / 1000000))
	[ "$t" -lt 20000 ] || fail "served after $t ms"
}
processes() { ns pgrep -c -x mg-hub-conn; }
rss_kib() { ns awk '/^VmRSS/ { print $2 }' "/proc/$(ns cat "$W/hub.pid")/status"; }

# hold N [BYTES]: N connections that say BYTES and nothing more; $HELD is
# the process that holds them.
hold()
{
	ns python3 - "$1" "${2-}" "$W/held" <<-'END' &
	import socket, sys, time
	held = []
	for _ in range(int(sys.argv[1])):
	    s = socket.create_connection(("127.0.0.1", 7022))
	    s.sendall(sys.argv[2].encode())
	    held.append(s)
	open(sys.argv[3], "w").close()
	time.sleep(600)
	END
	HELD=$!
	soon ns test -e "$W/held"
	ns rm "$W/held"
}
let_go() { ns pkill -n -f "python3 - "; wait "$HELD" || :; }

@test "a thousand connections that say nothing cost no process and no service" {
	before=$(rss_kib)
	hold 1000
	[ "$(processes)" -le 2 ]
	served
	served
	after=$(rss_kib)
	[ $((after - before)) -lt 2048 ] || fail "$before KiB, then $after"
	let_go
	served
}

@test "those that begin to log in and stop there are few, and end" {
	hold 200 'SSH-2.0-x
'
	soon served
	[ "$(processes)" -le 24 ] || fail "$(processes) processes"
	served
	# The grace is 3 s: only the host is left.
	soon one_is_left
	let_go
}
one_is_left() { [ "$(processes)" -le 1 ]; }

# says HEX: what the hub answers to these bytes.
says()
{
	ns timeout 5 python3 - "$1" <<-'END'
	import socket, sys
	s = socket.create_connection(("127.0.0.1", 7022))
	try:
	    s.sendall(bytes.fromhex(sys.argv[1]))
	    while (b := s.recv(4096)):
	        sys.stdout.buffer.write(b)
	except OSError:
	    pass
	END
}

@test "what is not ssh ends its connection, at once and alone" {
	request
	version=$(printf 'SSH-2.0-x\r\n' | xxd -p)
	for hex in "$(printf 'GET / HTTP/1.1\r\n\r\n' | xxd -p)" \
	    "$(printf 'SSH-1.0-x\r\n' | xxd -p)" \
	    "$(head -c 100000 /dev/zero | tr '\0' A | xxd -p | tr -d '\n')" \
	    "${version}ffffffff1400000000" \
	    "${version}000000000000000000" \
	    "${version}0000000c0a1e00000000000000000000" \
	    "$(head -c 4000 /dev/urandom | xxd -p | tr -d '\n')" \
	    "${version}$(head -c 4000 /dev/urandom | xxd -p | tr -d '\n')"; do
		run says "$hex"
		served
	done
	soon one_is_left
	run S bob show "$CODE"
	is 0
	run ns grep -c 'evt=child-died' "$W/hub.log"
	[ "$output" = 0 ] || fail 'a connection process crashed'
}

@test "an unknown key is told nothing, and is not asked for ever" {
	run S stranger inbox
	is 255
	hasnt modelgate
	has 'Permission denied'
	for i in $(seq 20); do
		ns ssh-keygen -q -t ed25519 -N '' -f "$W/k/x$i"
		keys+=(-i "$W/k/x$i")
	done
	run ns ssh -F "$W/k/config" "${keys[@]}" -p 7022 127.0.0.1 whoami
	is 255
	served
}

@test "one key has only so many sessions, and others are served" {
	for _ in 1 2 3 4 5 6 7 8; do
		ns sh -c "ssh -F $W/k/config -i $W/k/carol -p 7022 127.0.0.1 \
		    inbox --follow >/dev/null 2>&1 &"
	done
	soon ns grep -q 'approver=carol' "$W/hub.log"
	served
	# those that were told are on their way out
	at_most_6() { [ "$(processes)" -le 6 ]; }
	soon at_most_6 || fail "$(processes) processes"
	ns pkill -f "[/]k/carol "
	soon one_is_left
}

@test "a peer that never reads, and one that floods, hurt themselves" {
	request
	before=$(rss_kib)
	# 64 MB to a command that takes 16 KiB.
	head -c 64000000 /dev/zero | tr '\0' A >"$BATS_TEST_TMPDIR/flood"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/flood"
	is 1
	served
	ns sh -c "ssh -F $W/k/config -i $W/k/bob -p 7022 127.0.0.1 \
	    inbox --json --all | sleep 600 &"
	served
	after=$(rss_kib)
	[ $((after - before)) -lt 2048 ] || fail "$before KiB, then $after"
}

@test "bytes that a terminal acts on reach no log and no other person" {
	run S bob $'show \e[31mX'
	is 2
	request
	run S bob text "$CODE" approve $'\e]0;owned\a'
	is 2
	run ns ssh -F "$W/k/config" -i "$W/k/stranger" -p 7022 \
	    -l $'evil\e[2J\nname' 127.0.0.1 whoami
	is 255
	run ns grep -cP '[\x00-\x08\x0b-\x1f\x7f]' "$W/hub.log"
	[ "$output" = 0 ] || fail 'control bytes in the log'
	run log_has '^name'
	is 1
}

@test "hosts: an oversize frame, a half one and a flood end one connection" {
	for hex in 7fffffff006e000100000001 0000ffff006e0001; do
		host host2
		tell host2 "raw $hex"
		# A half frame is waited for; the host that sent it goes.
		[ "$hex" = 0000ffff006e0001 ] && host_end host2 || soon heard host2 closed
		served
	done
	request
	run S bob show "$CODE"
	is 0
}

# from ADDRESS WHO COMMAND...: an approver's command from that address.
from()
{
	ns timeout 30 ssh -F "$W/k/config" -b "$1" -i "$W/k/$2" -p 7022 \
	    127.0.0.1 "${@:3}" </dev/null
}
# spoil ADDRESS N: N connections of it that are no ssh clients.
spoil()
{
	ns python3 - "$1" "$2" <<-'END'
	import socket, sys
	for _ in range(int(sys.argv[2])):
	    s = socket.create_connection(("127.0.0.1", 7022), 5, (sys.argv[1], 0))
	    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
	    try:
	        while s.recv(4096):
	            pass
	    except OSError:
	        pass
	END
}

@test "those that begin over and over, from the approver's own address: he has his turn" {
	# time for the line that forty make
	hub_kill
	hub_conf '[limits]' 'login-grace = 20s' 'waiting = 64' 'logins = 16' \
	    'logins-per-source = 8' 'sessions-per-key = 4'
	hub_start
	ns python3 - <<-'END' &
	import select, socket
	p, held = select.poll(), {}
	while True:
	    while len(held) < 40:
	        s = socket.create_connection(("127.0.0.1", 7022))
	        s.sendall(b"SSH-2.0-x\r\n")
	        held[s.fileno()] = s
	        p.register(s, select.POLLIN)
	    for fd, _ in p.poll():
	        try:
	            over = held[fd].recv(65536) == b""
	        except OSError:
	            over = True
	        if over:
	            p.unregister(fd)
	            held.pop(fd).close()
	END
	HELD=$!
	soon eval '[ "$(processes)" -ge 8 ]'
	for _ in 1 2 3 4 5; do
		S bob whoami
	done
	# those behind the first have the processor after others
	ns ps -C mg-hub-conn -o ni= | grep -q 10
	ns pkill -n -f 'python3 -'
	wait "$HELD" || :
	soon none_is_left
}
none_is_left() { [ "$(processes)" -eq 0 ]; }

@test "a source that fails has a narrow door: neighbours behind it get in, others notice nothing" {
	hub_kill
	hub_conf '[limits]' 'login-grace = 3s' 'penalty-exempt = none' 'logins = 16' 'logins-per-source = 8'
	hub_start
	spoil 127.0.0.2 3
	# many hold the door, as slow as they may; bob has the same address
	ns python3 - holder <<-'END' &
	import socket, time
	held, end = [], time.time() + 120
	while time.time() < end:
	    while len(held) < 12:
	        s = socket.create_connection(("127.0.0.1", 7022), 5, ("127.0.0.2", 0))
	        s.sendall(b"SSH-2.0-x\r\n")
	        s.setblocking(False)
	        held.append(s)
	    time.sleep(0.1)
	    for s in held[:]:
	        try:
	            while s.recv(4096):
	                pass
	            held.remove(s)
	        except BlockingIOError:
	            pass
	        except OSError:
	            held.remove(s)
	END
	soon ns grep -q 'from=127.0.0.2 ended to make room' "$W/hub.log"
	[ "$(processes)" -le 2 ] || fail "$(processes) processes of one source"
	served # 127.0.0.1
	# twelve are ahead of him all the time, and nobody tells them from him
	tries=0
	bob_gets_in() { tries=$((tries + 1)) && from 127.0.0.2 bob whoami; }
	soon bob_gets_in
	[ "$tries" -le 10 ] || fail "$tries tries"
	ns pkill -f 'python3 - holder'
	# nobody in the way: let in at the first try, while the penalty lasts
	soon none_is_left
	bob_gets_in
	# who is nobody here is nobody all the same
	run from 127.0.0.2 stranger whoami
	is 255
	# and so many may wait there, no more
	ns python3 -c 'import socket
held = [socket.create_connection(("127.0.0.1", 7022), 5, ("127.0.0.2", 0)) for _ in range(80)]'
	soon ns grep -q 'its source is under a penalty' "$W/hub.log"
}
