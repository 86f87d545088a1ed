#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Bad input against the running agent: a clear error, nothing run, others
# served within 2 s, the refusal on record.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	# all of them are to be on record, however fast this host is
	root sh -c 'printf "[limits]\nrefusals-per-minute = 6000\n" >>/etc/modelgate/agent.ini' \
	    </dev/null
	extra_policy <<'END'
[operation limits]
command = /bin/sh -c {args}
run-as = mlserve

[rule limits]
operation = limits
role = pipeline
END
	root modelgate log --json </dev/null >"$BATS_FILE_TMPDIR/before"
	started=$(ledger start | wc -l)
	echo "$started" >"$BATS_FILE_TMPDIR/started"
}
teardown_file() { host_down; }

# Whatever a test did: nothing ran, the agent is the one that was started,
# and somebody else is answered. (How soon is the benchmark's to say.)
teardown()
{
	[ "$(ledger start | wc -l)" = "$(cat "$BATS_FILE_TMPDIR/started")" ]
	timeout 20 "$top/scripts/sandbox" root modelgate status </dev/null >/dev/null
}

peer() { as "$1" python3 "$top/tests/system/agent_peer.py" "${@:2}"; }
ran() { ledger run | wc -l; }
refusals() { ledger refused | jq -c "select(.user == \"$1\")"; }

# in_time USER: a command of the user is answered; twenty seconds are for a
# machine that runs other tests as well.
in_time() { as "$1" 'timeout 20 modelgate status' </dev/null; }

@test "names: unknown, with slashes, dots, dashes, control bytes, 10 KB: an error that says what" {
	n=$(ran)
	for name in ../x x/y .. -x . $'a\nb' $'a\033[2J' $'\xff' 'a b' "$(head -c 10240 /dev/zero | tr '\0' a)"; do
		q=$(printf %q "$name")
		for words in "run $q receipt-ocr@1" "run deploy $q@1" \
		    "run deploy receipt-ocr@$q" "request deploy $q --reason x"; do
			run as alice "modelgate $words </dev/null"
			[ "$status" -eq 2 ] || fail "modelgate $words"
			has modelgate
			hasnt $'\033'
			[ ${#output} -lt 1000 ]
		done
		for words in "why $q" "cancel $q" "revoke --user $q" "log --user $q"; do
			run as mallory "modelgate $words </dev/null"
			[ "$status" -eq 2 ] || [ "$status" -eq 125 ] || fail "modelgate $words: $status"
			has modelgate
			hasnt $'\033'
		done
		run root modelgate unenroll "$name" </dev/null
		failed
		has modelgate
	done
	[ "$(ran)" -eq "$n" ]
}

@test "what nobody knows: operation, model, user, code, key" {
	n=$(ran)
	run as alice 'modelgate run burn receipt-ocr@1 </dev/null'
	[ "$status" -eq 125 ]
	has 'no such operation'
	has 'modelgate why'
	run as ci-deploy 'modelgate run deploy no-such-model@1 </dev/null'
	[ "$status" -eq 125 ]
	has 'no-such-model'
	run root modelgate revoke --user nobody-has-this-name </dev/null
	has '0 revoked'
	run as alice 'modelgate why 0000000000'
	[ "$status" -eq 125 ]
	has 'is known under this code'
	# a process that nobody logged in for
	run root setpriv --reuid 12345 --regid 12345 --clear-groups modelgate run deploy receipt-ocr@1 --no-wait </dev/null
	[ "$status" -eq 125 ]
	has 'has no login uid'
	# a key that stands nowhere
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/key"
	port=$(sb env | sed -n "s/^MG_SANDBOX_HUB_PORT='\{0,1\}\([0-9]*\).*/\1/p")
	run timeout 10 ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
	    -i "$BATS_TEST_TMPDIR/key" -p "$port" bob@127.0.0.1 inbox
	[ "$status" -eq 255 ]
	has 'ermission denied'
	[ "$(ran)" -eq "$n" ]
}

@test "frames: malformed, oversize, half, misdirected: refused with the field, and on record" {
	n=$(ran)
	before=$(refusals mallory | jq -r .text | grep -vc 'may not deploy' || :)
	run peer mallory frames
	ok
	hasnt silent
	has "slash refused $(why_number bad-request)"
	has 'RUN_REQ: model is not what it may be'
	# every one is answered, but for the one whose question was waiting
	# and the two that were no violation
	[ "$(grep -c " refused \($(why_number bad-request)\|$(why_number not-permitted)\) [0-9A-Z]\{10\} " <<<"$output")" -eq 36 ]
	[ "$(grep -c ' closed$' <<<"$output")" -eq 3 ]
	# (that question may have been refused for what it asks before that)
	[ "$(refusals mallory | jq -r .text | grep -vc 'may not deploy')" -eq $((before + 37)) ]
	code=$(awk '$1 == "slash" { print $4 }' <<<"$output")
	run as mallory "modelgate why $code"
	ok
	has 'RUN_REQ: model'
	run audit -uu "$(refusals mallory | jq -r .uuid | tail -n 1)"
	ok
	has 'op=modelgate:refuse'
	has "reason=not-permitted"
	[ "$(ran)" -eq "$n" ]
}

@test "descriptors: unasked ones, too many, rings, bombs; none is kept" {
	peer alice fds # so that the children that this needs are there
	before=$(root ls "/proc/$(pid_of modelgated)/fd" </dev/null | wc -l)
	run peer alice fds
	ok
	hasnt silent
	for name in one-unasked many-unasked before-half two-for-one no-bag ring; do
		has "$name refused $(why_number bad-request)"
	done
	has bombs
	in_time bob
	same_fds() { [ "$(root ls "/proc/$(pid_of modelgated)/fd" </dev/null | wc -l)" -le $((before + 8)) ]; }
	soon same_fds
}

@test "1,000 idle connections and half-said words of one: others are served, and they are let go" {
	mkfifo "$BATS_TEST_TMPDIR/hold"
	peer mallory idle 1000 >"$BATS_TEST_TMPDIR/idle" 2>&1 <"$BATS_TEST_TMPDIR/hold" &
	exec 8>"$BATS_TEST_TMPDIR/hold"
	soon grep -q holding "$BATS_TEST_TMPDIR/idle"
	for _ in 1 2 3; do
		in_time alice
		in_time ci-deploy
	done
	# and of her own account: served or told why not, in time
	run as mallory 'timeout 20 modelgate status'
	case $status in
	0) ;;
	125) [[ $output == *'as many as one user may have'* || $output == *'times a second'* ]] || fail "told something else" ;;
	*) fail "neither served nor told" ;;
	esac
	let_go() { in_time mallory; }
	soon let_go
	exec 8>&-
	wait %1
}

@test "as many connections as one user may have: the next is told so, others are served" {
	mkfifo "$BATS_TEST_TMPDIR/hold"
	peer mallory idle 64 >"$BATS_TEST_TMPDIR/idle" 2>&1 <"$BATS_TEST_TMPDIR/hold" &
	exec 8>"$BATS_TEST_TMPDIR/hold"
	soon grep -q 'holding 64' "$BATS_TEST_TMPDIR/idle"
	told() {
		run as mallory 'timeout 20 modelgate status'
		[ "$status" -eq 125 ] && [[ $output == *'as many as one user may have'* ]]
	}
	soon told
	in_time alice
	exec 8>&-
	wait %1
	in_time mallory
}

@test "requests of the largest size, each a byte short: bounded, and others are served" {
	mkfifo "$BATS_TEST_TMPDIR/hold"
	rss() { awk '/VmRSS/ { print $2 }' "/proc/$(pid_of modelgated)/status"; }
	before=$(rss)
	peer mallory fill 200 >"$BATS_TEST_TMPDIR/fill" 2>&1 <"$BATS_TEST_TMPDIR/hold" &
	exec 8>"$BATS_TEST_TMPDIR/hold"
	soon grep -q holding "$BATS_TEST_TMPDIR/fill"
	in_time alice
	[ "$(rss)" -lt $((before + 16384)) ]
	exec 8>&-
	wait %1
}

@test "descriptors 0 to 2 closed: nothing writes where it should not" {
	as alice 'modelgate status <&- >&- 2>&-' || :
	run as ci-deploy "modelgate run limits -- 'echo from-the-run' <&- 2>&-"
	ok
	has from-the-run
	as ci-deploy "modelgate run limits -- 'echo lost' <&- >&- 2>&-" || [ $? -lt 128 ]
	root sh -c 'modelgated -n <&- >&- 2>&-' </dev/null
	for p in /usr/libexec/modelgate/mg-* /usr/sbin/modelgate-hub; do
		run root sh -c 'for p in '"$p"'; do timeout 5 $p <&- >&- 2>&- 3>&-; [ $? -lt 128 ] || echo "$p: $?"; done' </dev/null
		[ -z "$output" ] || fail "$output"
	done
	# what a command that starts sudo that way gets is its own matter; the
	# module inside keeps working
	run as alice 'sudo -n true <&- >&- 2>&-'
	[ "$status" -lt 128 ]
}

@test "argc 0: every program ends with an error of its own" {
	run root sh -c 'ls /usr/libexec/modelgate/mg-* /usr/libexec/modelgate/modelgate-* /usr/sbin/modelgated /usr/sbin/modelgate-hub /usr/bin/modelgate' </dev/null
	ok
	for p in $output; do
		case $p in
		*/modelgated | */modelgate-doctor) continue ;; # they need no argument
		esac
		run root timeout 5 python3 "$top/tests/system/agent_peer.py" exec0 "$p" </dev/null
		[ "$status" -gt 0 ] && [ "$status" -lt 124 ] || fail "$p"
	done
}

@test "hostile limits of the caller do not reach the run, nor break the agent" {
	run as ci-deploy "modelgate run limits -- 'ulimit -n; ulimit -t; ulimit -f; ulimit -v; ulimit -c'"
	ok
	free=$output
	for limit in '-n 4' '-f 0' '-t 1' '-u 1' '-c unlimited' '-v 100000' '-s 64' '-l 0' '-q 0' '-i 0'; do
		run as ci-deploy "ulimit $limit; exec modelgate run limits -- 'ulimit -n; ulimit -t; ulimit -f; ulimit -v; ulimit -c'"
		if [ "$status" -eq 0 ]; then
			[ "$output" = "$free" ] || fail "ulimit $limit changed the run, which else says: $free"
		fi
		run as alice "ulimit $limit; exec modelgate run deploy ../x@1"
		failed
		run as mallory "ulimit $limit; exec sudo -n true"
		failed
	done
	in_time alice
}

@test "a policy with a flaw is refused whole, with its line, and the old one stays" {
	old=$(loaded)
	d=/etc/modelgate/policy.d
	bad()
	{
		local before
		before=$(ledger policy | wc -l)
		run root modelgated -n </dev/null
		failed
		[[ $output =~ zz-bad(\.ini)?:[0-9]+:[0-9]+|zz-bad ]] || fail "no place: $1"
		reload
		[ "$(loaded)" = "$old" ] || fail "it loaded: $1"
		[ "$(ledger policy | wc -l)" -eq $((before + 1)) ]
		ledger policy | tail -n 1 | jq -e '.ok == false and (.text | test("zz-bad"))'
		root rm -rf $d/zz-bad.ini </dev/null
	}
	write() { root sh -c "cat >$d/zz-bad.ini"; }
	printf '[rule x]\noperation = deploy\nno-such-key = 1\n' | write
	bad 'unknown key'
	has 'zz-bad.ini:3:'
	printf '[rule x]\noperation = deploy\0\n' | write
	bad NUL
	printf '[rule x]\noperation = deploy\n operation = login\n' | write
	bad 'indented line'
	printf '[rule x]\noperation = %s\n' "$(head -c 10240 /dev/zero | tr '\0' a)" | write
	bad '10 KB name'
	printf '[rule x]\noperation = ../../etc\n' | write
	bad 'path for a name'
	printf '[rule x]\noperation = deploy\n[rule x]\noperation = deploy\n' | write
	bad 'same name twice'
	printf '[rule x\noperation = deploy\n' | write
	bad 'open bracket'
	printf '\xff\xfe[rule x]\n' | write
	bad 'not UTF-8'
	head -c 20000000 /dev/zero | tr '\0' '#' | write
	bad '20 MB'
	root mkfifo $d/zz-bad.ini </dev/null
	bad 'a FIFO'
	root ln -s /dev/zero $d/zz-bad.ini </dev/null
	bad 'a link to /dev/zero'
	root mkdir $d/zz-bad.ini </dev/null
	bad 'a folder'
	printf '[rule x]\noperation = login\n' | write
	root chmod 666 $d/zz-bad.ini </dev/null
	bad 'writable by all'
	printf '[rule x]\noperation = login\n' | write
	root chown mallory $d/zz-bad.ini </dev/null
	bad "somebody else's"
	in_time alice
}

@test "signatures: broken armour, other keys, other texts: refused to their sender, nothing counts" {
	pipeline deploy "receipt-ocr@$([ "$(serving)" = releases/2 ] && echo 1 || echo 2)"
	id=$(wait_for_request)
	u=$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')
	sign='ssh-keygen -q -Y sign -n modelgate-approval -f ~/.ssh/id_ed25519'
	submit="ssh hub submit $id approve fine"
	text="ssh hub text $id approve fine"
	while read -r name command; do
		run as bob "$command 2>&1"
		[ "$status" -ne 0 ] || fail "$name was taken"
		[ -n "$output" ] || fail "$name: not a word"
	done <<-END
		empty $submit </dev/null
		zeros head -c 100000 /dev/zero | $submit
		armour echo '-----BEGIN SSH SIGNATURE-----' | $submit
		truncated $text | $sign | head -n 3 | $submit
		doubled $text | $sign >s; cat s s | $submit
		noise $text | $sign | tr A B | $submit
		trailing { $text | $sign; echo x; } | $submit
		note $text | $sign | ssh hub submit $id approve other
		decision $text | $sign | ssh hub submit $id deny fine
		namespace $text | ssh-keygen -q -Y sign -n file -f ~/.ssh/id_ed25519 | $submit
		text echo 'modelgate approval v1' | $sign | $submit
		key ssh-keygen -q -t ed25519 -N '' -f k </dev/null; $text | ssh-keygen -q -Y sign -n modelgate-approval -f k | $submit
		length ssh hub submit $id approve $(head -c 20000 /dev/zero | tr '\0' a) </dev/null
		verb $text | $sign | ssh hub submit $id granted fine
		code $text | $sign | ssh hub submit ../../$id approve fine
	END
	is_state "$id" pending
	[ -z "$(ledger decision | jq -c "select(.uuid == \"$u\")")" ]
	# and none of it was in the way of the right one
	run approve bob "$id"
	ok
	as ci-deploy "modelgate cancel $id"
	soon pipeline_ended
}
