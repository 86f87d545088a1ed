#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# shellcheck disable=SC2016,SC2154
#
# The hub: who gets in, and what an approver can do with nothing but ssh.

load hub_lib
setup_file() { hub_up; host host1 --signers /etc/modelgate/allowed_signers; }
teardown_file() { hub_down; }

# ---- start -----------------------------------------------------------------

@test "the hub refuses to run as root, in any identity" {
	run ns modelgate-hub -n
	is 1
	has 'refusing to run as root'
	run ns setpriv --ruid=0 --euid=990 --regid=990 --clear-groups \
	    modelgate-hub -n
	is 1
	has 'refusing to run as root'
	run ns setpriv --reuid=990 --regid=0 --clear-groups modelgate-hub -n
	is 1
	run ns setpriv --reuid=990 --regid=990 --groups=0 modelgate-hub -n
	is 1
	run as_hub modelgate-hub -n
	is 0
}

@test "the hub does not link an ssh library" {
	run ldd "$bin/modelgate-hub"
	is 0
	hasnt ssh
}

@test "-T prints settings that read back to the same" {
	as_hub modelgate-hub -T >"$BATS_TEST_TMPDIR/first"
	ns cp "$BATS_TEST_TMPDIR/first" /etc/modelgate/again.ini
	as_hub modelgate-hub -T -c /etc/modelgate/again.ini |
	    grep -v '^;' >"$BATS_TEST_TMPDIR/second"
	grep -v '^;' "$BATS_TEST_TMPDIR/first" | cmp - "$BATS_TEST_TMPDIR/second"
}

@test "a bad setting refuses, with file, line and column" {
	printf '[hub]\nlisten = localhost:7022\n' |
	    ns tee /etc/modelgate/bad.ini >/dev/null
	run as_hub modelgate-hub -n -c /etc/modelgate/bad.ini
	is 1
	has '/etc/modelgate/bad.ini:2:10: not a list of ADDRESS:PORT'
	printf '[limits]\nlogins = 1\nsesions = 4\n' |
	    ns tee /etc/modelgate/bad.ini >/dev/null
	run as_hub modelgate-hub -n -c /etc/modelgate/bad.ini
	has 'bad.ini:2:10: not a number in the range'
	has 'bad.ini:3:1: unknown key'
}

@test "a bad line in allowed_signers refuses the whole file" {
	ns cp /etc/modelgate/allowed_signers "$W/good"
	printf '* %s\n' "$(ns cut -d' ' -f1,2 "$W/k/stranger.pub")" |
	    ns tee -a /etc/modelgate/allowed_signers >/dev/null
	run as_hub modelgate-hub -n
	ns cp "$W/good" /etc/modelgate/allowed_signers
	is 1
	has '/etc/modelgate/allowed_signers:5:1: not one exact name'
}

@test "files that others may change are refused" {
	for f in hub.ini allowed_signers hub_hosts hub_host_key; do
		ns chmod o+w /etc/modelgate/$f
		run as_hub modelgate-hub -n
		ns chmod o-w /etc/modelgate/$f
		is 1
		has "$f"
	done
	ns chown 990 /etc/modelgate/allowed_signers
	run as_hub modelgate-hub -n
	ns chown 0 /etc/modelgate/allowed_signers
	is 1
	has 'can be changed by others'
	ns chmod 640 /etc/modelgate/hub_host_key
	run as_hub modelgate-hub -n
	ns chmod 600 /etc/modelgate/hub_host_key
	is 1
	has 'can be read by others'
}

@test "a key that is an approver's and a host's is refused" {
	ns cp /etc/modelgate/hub_hosts "$W/good"
	echo "web-9 $(ns cut -d' ' -f1,2 "$W/k/bob.pub")" |
	    ns tee -a /etc/modelgate/hub_hosts >/dev/null
	run as_hub modelgate-hub -n
	ns cp "$W/good" /etc/modelgate/hub_hosts
	is 1
	has 'hub_hosts:3: the key of host web-9 is an approver'
}

@test "a host key that cannot be used is found at start" {
	ns ssh-keygen -q -t ed25519 -N secret -f "$W/k/locked"
	printf '[hub]\nhost-key = /etc/modelgate/locked\n' |
	    ns tee /etc/modelgate/locked.ini >/dev/null
	ns cp "$W/k/locked" /etc/modelgate/locked
	ns chown 990 /etc/modelgate/locked
	run as_hub modelgate-hub -n -c /etc/modelgate/locked.ini
	is 1
	has 'the host key is not one that can be used'
}

@test "the hub's key as a credential: in no file, no connection is told where, and it is the key or nothing starts" {
	hub_kill
	ns sh -c 'install -d -m 500 -o 990 -g 990 /etc/creds
		install -m 400 -o 990 -g 990 /etc/modelgate/hub_host_key /etc/creds/
		mv /etc/modelgate/hub_host_key "$1"' sh "$W/kept"
	CREDENTIALS_DIRECTORY=/etc/creds hub_start
	# The same key: everybody's known_hosts pins it.
	run S bob whoami
	is 0
	S bob inbox --follow >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	soon ns pgrep -x mg-hub-conn
	told=$(ns sh -c 'for p in $(pgrep -x mg-hub-conn); do tr "\0" "\n" <"/proc/$p/environ"; done')
	[[ $told != *CREDENTIALS* ]] || fail "told: $told"
	kill %1
	hub_kill
	# One that is no key: also where a file has one.
	ns install -m 600 -o 990 -g 990 "$W/kept" /etc/modelgate/hub_host_key
	ns sh -c 'echo no key >/etc/creds/hub_host_key'
	run as_hub env CREDENTIALS_DIRECTORY=/etc/creds modelgate-hub -n
	is 1
	has '/etc/creds/hub_host_key: not a private key'
	# None handed out: the file's.
	ns rm /etc/creds/hub_host_key
	run as_hub env CREDENTIALS_DIRECTORY=/etc/creds modelgate-hub -n
	is 0
	hub_start
	# The host went when the hub did; later tests need one.
	soon has_no_host host1
	host host1 --signers /etc/modelgate/allowed_signers
}
has_no_host() { ! has_host "$1"; }

# ---- who gets in -----------------------------------------------------------

@test "approvers are known by their keys, of every kind" {
	for who in bob carol dave; do
		run S $who whoami
		is 0
		has "$who "
	done
	[[ $output == 'dave ssh-rsa SHA256:'* ]]
}

@test "the user name says nothing, the key says all" {
	for name in carol root 'a b' '*' "$(printf 'x%.0s' {1..200})"; do
		run ns ssh -F "$W/k/config" -i "$W/k/bob" -p 7022 -l "$name" \
		    127.0.0.1 whoami
		is 0
		has 'bob ssh-ed25519'
	done
}

@test "an unknown key is refused" {
	run S stranger whoami
	is 255
	has 'Permission denied (publickey)'
}

@test "passwords and keyboard-interactive are refused" {
	for how in password keyboard-interactive none hostbased \
	    gssapi-with-mic; do
		run ns ssh -F "$W/k/config" -o PubkeyAuthentication=no \
		    -o PreferredAuthentications=$how -o BatchMode=no \
		    -o NumberOfPasswordPrompts=1 -p 7022 127.0.0.1 whoami \
		    </dev/null
		is 255
		has 'Permission denied (publickey)'
	done
}

@test "a certificate on a known key is refused" {
	ns cp "$W/k/bob" "$W/k/certified"
	ns cp "$W/k/bob.pub" "$W/k/certified.pub"
	ns ssh-keygen -q -s "$W/k/erin" -I x -n bob "$W/k/certified.pub"
	run ns ssh -F "$W/k/config" -i "$W/k/certified" \
	    -o CertificateFile="$W/k/certified-cert.pub" \
	    -o PubkeyAcceptedAlgorithms=ssh-ed25519-cert-v01@openssh.com \
	    -p 7022 127.0.0.1 whoami
	is 255
	has 'Permission denied'
}

@test "weak algorithms are not offered" {
	# Ciphers of their own integrity leave MACs aside.
	for o in KexAlgorithms=diffie-hellman-group14-sha1 \
	    Ciphers=aes128-cbc 'Ciphers=aes256-ctr -o MACs=hmac-sha1'; do
		# shellcheck disable=SC2086
		run ns ssh -F "$W/k/config" -i "$W/k/bob" -o $o -p 7022 \
		    127.0.0.1 whoami
		is 255
		hasnt bob
	done
	for o in KexAlgorithms=curve25519-sha256 Ciphers=aes256-gcm@openssh.com \
	    'Ciphers=aes256-ctr -o MACs=hmac-sha2-256-etm@openssh.com'; do
		# shellcheck disable=SC2086
		run ns ssh -F "$W/k/config" -i "$W/k/bob" -o $o -p 7022 \
		    127.0.0.1 whoami
		is 0
	done
	run ns ssh -F "$W/k/config" -i "$W/k/dave" -p 7022 \
	    -o PubkeyAcceptedAlgorithms=ssh-rsa 127.0.0.1 whoami
	is 255
}

@test "an expired key is refused, also with a session open" {
	ns cp /etc/modelgate/allowed_signers "$W/good"
	ns sed -i 's/^erin namespaces="modelgate-approval"/&,valid-before="20200101Z"/' \
	    /etc/modelgate/allowed_signers
	run S erin whoami
	is 0
	ns kill -HUP "$(ns cat "$W/hub.pid")"
	soon log_has 'evt=config reloaded'
	run S erin whoami
	ns cp "$W/good" /etc/modelgate/allowed_signers
	ns kill -HUP "$(ns cat "$W/hub.pid")"
	is 255
	soon S erin whoami
}

# ---- what is refused beside a command --------------------------------------

@test "forwarding of ports is refused" {
	run ns ssh -F "$W/k/config" -i "$W/k/bob" -p 7022 -N \
	    -o ExitOnForwardFailure=yes -R 9999:127.0.0.1:22 127.0.0.1
	is 255
	has 'remote port forwarding failed'
	run ns ssh -F "$W/k/config" -i "$W/k/bob" -p 7022 \
	    -W 127.0.0.1:7022 127.0.0.1
	is 255
	has 'forwarding failed'
}

@test "subsystems, sftp and scp are refused" {
	run S bob -s sftp
	is 255
	run ns sftp -F "$W/k/config" -i "$W/k/bob" -P 7022 127.0.0.1
	is 255
	run ns scp -O -F "$W/k/config" -i "$W/k/bob" -P 7022 \
	    127.0.0.1:/etc/passwd "$BATS_TEST_TMPDIR/x"
	[ "$status" -ne 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/x" ]
}

@test "environment and X11 are refused and nothing else breaks" {
	run ns env LC_TEST=1 DISPLAY=:1 ssh -v -F "$W/k/config" \
	    -o LogLevel=DEBUG1 -o SendEnv=LC_TEST -X -i "$W/k/bob" -p 7022 \
	    127.0.0.1 whoami
	is 0
	has 'bob '
	hasnt 'X11 forwarding request accepted'
}

@test "a second session on one connection is refused" {
	ns sh -c "ssh -F $W/k/config -i $W/k/bob -p 7022 -M -S $W/mux \
	    127.0.0.1 inbox --follow >/dev/null 2>&1 &"
	soon ns ssh -S "$W/mux" -O check x
	run ns ssh -S "$W/mux" x whoami
	[ "$status" -ne 0 ]
	hasnt 'bob '
	ns ssh -S "$W/mux" -O check x
	ns ssh -S "$W/mux" -O exit x
}

@test "a host has one command and an approver has not that one" {
	run ns ssh -F "$W/k/config" -i "$W/k/host2" -p 7022 127.0.0.1 inbox
	is 2
	has 'a host has one command'
	run ns ssh -tt -F "$W/k/config" -i "$W/k/host2" -p 7022 127.0.0.1
	[ "$status" -ne 0 ]
	hasnt 'modelgate hub'
	run S bob host
	is 2
	has 'unknown command'
}

# ---- commands --------------------------------------------------------------

@test "an unknown command, and none, are told what there is" {
	run S bob launch-missiles
	is 2
	has "'help' lists the commands"
	run ns ssh -T -F "$W/k/config" -i "$W/k/bob" -p 7022 127.0.0.1
	is 2
	has 'ssh -t'
	run S bob help
	is 0
	has 'submit ID approve|deny'
}

@test "no command reaches a shell" {
	request
	for c in "inbox; touch $W/pwned" "inbox \$(touch $W/pwned)" \
	    "show \`touch $W/pwned\`" "inbox | touch $W/pwned" \
	    "show $CODE > $W/pwned" "inbox && touch $W/pwned" "../../bin/sh" \
	    "-c id"; do
		run S bob "$c"
		[ "$status" -ne 0 ]
	done
	[ ! -e "$W/pwned" ]
	run S bob text "$CODE" approve "'\$HOME \`id\` ; | & > x'"
	is 0
	has 'note: $HOME `id` ; | & > x'
}

@test "an open quote, control characters and bad UTF-8 are refused" {
	for c in "show 'x" 'show "x' "inbox \\" $'inbox\e[2J' $'inbox \xff' \
	    $'inbox \u202e' $'inbox\nshow x'; do
		run S bob "$c"
		is 2
	done
}

@test "an oversized command is refused and the hub goes on" {
	long=$(printf 'x%.0s' {1..4090})
	run S bob "show $long"
	is 2
	long=$(printf 'x%.0s' {1..20000})
	run S bob "text 0000000000 approve $long"
	is 2
	has 'the command is too long'
	run S bob whoami
	is 0
}

@test "approving with nothing but ssh and ssh-keygen" {
	request
	run S bob inbox
	is 0
	has "$CODE"
	has 'alice'
	has 'web-1'
	has 'fraud-scorer@12'
	has 'risk-owner'
	run S bob text "$CODE" approve 'checked drift'
	[ "${lines[0]}" = 'modelgate approval v1' ]
	[ "${lines[1]}" = 'decision: approve' ]
	[ "${lines[2]}" = 'approver: bob' ]
	[ "${lines[3]}" = 'note: checked drift' ]
	[ "${lines[4]}" = "request: $U $CODE" ]
	run decide bob "$CODE" approve 'checked drift'
	is 0
	has 'accepted: 1 of 1'
	heard host1 "decision $U bob approve checked drift"
	# What the host got verifies in a stock terminal.
	run ns sh -c "ssh-keygen -Y verify -f /etc/modelgate/allowed_signers \
	    -I bob -n modelgate-approval -s $W/host1/$U.bob.sig \
	    <$W/host1/$U.bob.txt"
	is 0
	has 'Good "modelgate-approval" signature for bob'
}

@test "ecdsa and rsa keys approve too, and a denial is signed as well" {
	request
	run decide carol "$U" deny 'not tonight'
	is 0
	has 'accepted'
	run decide dave "$CODE" approve
	is 0
	has 'accepted'
	heard host1 "decision $U carol deny not tonight"
}

@test "a note with quotes, backslashes and blanks is the same on both ways" {
	request
	note="it's \"fine\"  \\o/ -n \$x"
	q=$(printf '%s' "$note" | sed 's/[\\"]/\\&/g')
	run signed bob "$CODE" approve "\"$q\""
	is 0
	signed bob "$CODE" approve "\"$q\"" |
	    S bob submit "$CODE" approve "\"$q\"" >"$BATS_TEST_TMPDIR/out"
	grep -q '^accepted' "$BATS_TEST_TMPDIR/out"
	ns grep -qF "note: it's \"fine\"  \\\\o/ -n \$x" "$W/host1/$U.bob.txt"
}

@test "a signature over other bytes is refused by the host, and says so" {
	request
	run sh -c "exit 0"
	S bob text "$CODE" approve | sed 's/decision: approve/decision: deny/' |
	    ns ssh-keygen -q -Y sign -n modelgate-approval -f "$W/k/bob" \
	    2>/dev/null >"$BATS_TEST_TMPDIR/sig"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/sig"
	is 1
	has 'refused: signature does not verify'
	# What was asked is asked still.
	run S bob inbox
	has 'risk-owner (approve refused: signature does not verify'
	# And can be made again, rightly.
	run decide bob "$CODE" approve
	is 0
	has 'accepted'
}

@test "another person's signature is refused" {
	request
	signed carol "$CODE" approve >"$BATS_TEST_TMPDIR/sig"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/sig"
	is 1
	has 'refused'
}

@test "a decision is final" {
	request
	decide bob "$CODE" approve
	run decide bob "$CODE" approve
	is 1
	has 'a decision is final'
	run decide bob "$CODE" deny x
	is 1
	has 'a decision is final'
}

@test "standard input is bounded, and must be a signature" {
	request
	head -c 200000 /dev/zero | tr '\0' A >"$BATS_TEST_TMPDIR/big"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/big"
	is 1
	has 'longer than 16384 bytes'
	run S bob submit "$CODE" approve </dev/null
	is 1
	has 'no signature on standard input'
	echo hello >"$BATS_TEST_TMPDIR/x"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/x"
	is 1
	has 'not an armoured ssh signature'
	head -c 1000 /dev/urandom >"$BATS_TEST_TMPDIR/x"
	run S bob submit "$CODE" approve <"$BATS_TEST_TMPDIR/x"
	is 1
	run S bob whoami
	is 0
}

@test "an unknown code, and what is not a code, are told apart" {
	run S bob show 0000000000
	is 1
	has 'no request has that code'
	run S bob show not-a-code-at-all
	is 1
	has 'neither a code nor a UUID'
	run S bob text 0000000000 maybe
	is 2
	has "'approve' or 'deny'"
	run S bob text 0000000000 approve
	is 1
	run S bob show
	is 2
}

@test "a code is taken as people type it" {
	request
	typed=$(echo "${CODE:0:5}-${CODE:5}" | tr '[:upper:]' '[:lower:]')
	run S bob show "$typed" --json
	is 0
	[ "$(jq -r .uuid <<<"$output")" = "$U" ]
}

@test "--json is one array, with what is asked of the reader" {
	request
	run S bob inbox --json
	is 0
	[ "$(jq -r 'type' <<<"$output")" = array ]
	run jq -e --arg u "$U" '.[] | select(.uuid == $u) |
	    .asked_of_you == ["risk-owner"] and .requester == "alice" and
	    .operation == "deploy" and .model == "fraud-scorer" and
	    .version == "12" and .host == "web-1" and .host_connected and
	    .need[0].candidates == ["bob","carol"] and
	    .your_decision == null' <<<"$output"
	is 0
	run S dave inbox --json
	run jq -e --arg u "$U" '.[] | select(.uuid == $u) |
	    .asked_of_you == []' <<<"$output"
	is 0
}

@test "what waits for the reader comes first, then what ends first" {
	request
	sooner=$(new_uuid)
	tell host1 "put $sooner web-1 alice 300000"
	soon heard host1 "put_ans $sooner ok"
	decide bob "$U" approve
	run S bob inbox --json
	run jq -e --arg a "$sooner" --arg b "$U" \
	    '(map(.uuid) | index($a)) < (map(.uuid) | index($b))' <<<"$output"
	is 0
}

@test "what has run already is asked for as a review, not as an approval" {
	request
	run S bob inbox
	hasnt 'review'
	uuid=$(new_uuid)
	tell host1 "put $uuid web-1 alice 600000 web-1 glass"
	soon heard host1 "put_ans $uuid ok"
	short=$(S bob show "$uuid" --json | jq -r .code)
	run S bob inbox
	[[ $output =~ $short.*review:\ risk-owner ]] || fail "$short"
	run S bob show "$short"
	has 'this has run already: it broke the glass; what you sign'
	run S bob show "$short" --json
	[ "$(jq -r .review <<<"$output")" = glass ]
	# the same request, told anew; and what no host says
	tell host1 "put $uuid web-1 alice 600000 web-1 tokens"
	tells() { S bob show "$short" | tr -s ' \n' ' ' | grep -q 'broke the glass with sealed tokens'; }
	soon tells
	uuid=$(new_uuid)
	tell host1 "put $uuid web-1 alice 600000 web-1 other"
	soon heard host1 "put_ans $uuid .*no such review"
}

@test "ended requests leave the inbox; --all shows them" {
	request
	tell host1 "state $U granted ended risk-owner bob"
	soon sh -c "! nsenter -t $NS -m -n -p ssh -F $W/k/config -i $W/k/bob \
	    -p 7022 127.0.0.1 inbox | grep -q $CODE"
	run S bob inbox --all
	has "$CODE"
	has 'ended: granted'
	run S bob show "$CODE"
	has 'granted (ended)'
	run S bob text "$CODE" approve
	is 1
	has 'the request has ended (granted)'
	run S bob submit "$CODE" approve <<<"$(signed bob "$CODE" approve)"
	is 1
}

@test "tables fit 40, 80 and 200 columns, and every request is in them" {
	request
	for w in 40 80 200; do
		run S bob inbox --width=$w
		is 0
		has "$CODE"
		for l in "${lines[@]}"; do
			[ ${#l} -le $w ] || fail "longer than $w: $l"
		done
		run S bob show "$CODE" --width=$w
		is 0
		for l in "${lines[@]}"; do
			[ ${#l} -le $w ] || fail "longer than $w: $l"
		done
	done
	run S bob inbox --width=19
	is 2
	# Where nobody knows how wide: what is folded by a terminal would begin
	# at its edge, and read as a line of the request.
	run S bob show "$CODE"
	is 0
	for l in "${lines[@]}"; do
		[ ${#l} -le 80 ] || fail "longer than 80: $l"
	done
}

@test "the inbox can be followed" {
	ns sh -c "ssh -F $W/k/config -i $W/k/bob -p 7022 127.0.0.1 \
	    inbox --follow --json >$W/follow 2>&1 & echo \$! >$W/follow.pid"
	soon ns test -s "$W/follow"
	request
	soon ns grep -q "$U" "$W/follow"
	[ "$(ns grep -c "$U" "$W/follow")" = 1 ]
	ns kill "$(ns cat "$W/follow.pid")"
}
