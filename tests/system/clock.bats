#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The wall clock is set a day either way, and the machine is suspended, while
# requests wait, grants are held and commands run. Every program of the
# sandbox has clocks that the test sets (shim/clock.c); those of the machine
# stay as they are.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031

bats_require_minimum_version 1.5.0
load lib

day=$((24 * 3600 * 1000))

setup_file()
{
	[ -e "$top/${B:-build/cc}/shim/clock.so" ] || make -s -C "$top" B="${B:-build/cc}" shims
	host_up
	declare_rescue
	extra_policy <<'END'
[operation long]
command = /bin/sh -c {args}
run-as = mlserve

[rule long-runs]
operation = long
role = pipeline
lasts = 30m

[operation mine]
command = /bin/echo mine-done
run-as = mlserve

[rule prove-it]
operation = mine
role = ml-engineer
mfa = required
END
	root sh -c 'cat >/usr/local/lib/clock.so; chmod 755 /usr/local/lib/clock.so
		head -c 16 /dev/zero >/run/sandbox/clock; chmod 644 /run/sandbox/clock
		echo /usr/local/lib/clock.so >/etc/ld.so.preload' <"$top/${B:-build/cc}/shim/clock.so"
	for s in modelgate-hub modelgated sshd; do
		sb service "$s" restart
	done
}
teardown_file() { host_down; }
teardown()
{
	set_clocks 0 0
	root modelgate revoke --all </dev/null || :
}

# set_clocks WALL BOOT: how many milliseconds they are ahead of the machine's.
set_clocks()
{
	root perl -e 'open(my $f, "+<", "/run/sandbox/clock") or die; syswrite($f, pack("q2", @ARGV)) == 16 or die' -- "$1" "$2" </dev/null
}
wall_now() { root date +%s </dev/null; }

# long_run: a command that runs on, in the background; its request is $id.
long_run()
{
	as ci-deploy "modelgate run long -- 'echo up; exec sleep 4605'" >"$BATS_TEST_TMPDIR/long" 2>&1 </dev/null 3>&- &
	soon grep -q up "$BATS_TEST_TMPDIR/long"
	id=$(root modelgate grants --all --json </dev/null | jq -r '.[0].id')
}
runs_on() { pgrep_in -f '^sleep 4605' >/dev/null; }
left_ms() { root modelgate status "$1" --json </dev/null | jq '.[0].left_ms'; }
# steps: the clock's, as the ledger has them, in whole seconds.
steps() { ledger clock | jq -r '.by_ms / 1000 | round'; }
told_step() { [ "$(steps | tail -n 1)" = "$1" ]; }
# clock_audited SECONDS: a step of about that much is in the audit trail.
clock_audited()
{
	audit -m USYS_CONFIG | perl -ne '
		BEGIN { $want = 1000 * shift }
		$found = 1 if /op=modelgate:clock-set .*by-ms=(-?\d+) / && abs($1 - $want) < 1000;
		END { exit !$found }' -- "$1"
}

# code_at SECONDS: alice's code at that time.
code_at() { oathtool --totp --base32 --now="@$1" "@$MG_DIR/secrets/alice"; }

@test "the clock of every program can be set here, and is not the machine's" {
	set_clocks "$day" 0
	[ $(($(wall_now) - EPOCHSECONDS)) -ge 86398 ]
	run as bob 'date +%s'
	[ $((output - EPOCHSECONDS)) -ge 86398 ]
	soon told_step 86400
	set_clocks 0 0
	soon told_step -86400
}

@test "promise4 a day either way: what runs goes on and ends when it would have, what waits is decided, and it is on record" {
	long_run
	pipeline deploy receipt-ocr@2
	waits=$(wait_for_request)
	n=$(steps | wc -l)
	for by in 1 -1; do
		left=$(left_ms "$id")
		set_clocks $((by * day)) 0
		soon told_step "$([ "$by" = 1 ] && echo 86400 || echo -172800)"
		runs_on || fail "$by: it was ended"
		is_state "$waits" pending
		now=$(left_ms "$id")
		[ "$now" -le "$left" ] && [ "$now" -gt $((left - 60000)) ] ||
		    fail "$by: $left ms were left, now $now"
		declared_get_in
		# It knows people, and lets in whom it would.
		as alice true </dev/null
	done
	[ "$(steps | wc -l)" -eq $((n + 2)) ]
	soon clock_audited 86400
	soon clock_audited -172800
	# The clock is a day behind: approvals count all the same.
	approve bob "$waits"
	approve carol "$waits"
	soon pipeline_ended
	is_state "$waits" used
	runs_on
	run root modelgate verify </dev/null
	ok
	# And across a restart: not a day more.
	left=$(left_ms "$id")
	sb service modelgated restart
	soon none '^sleep 4605'
	run root modelgate grants --all --json </dev/null
	jq -e --argjson l "$left" 'all(.[]; .left_ms <= $l)' <<<"$output"
}

@test "promise4 a grant that is held does not outlive its time when the clock is set back, nor across a restart" {
	as ci-deploy "modelgate request long --for 5m --reason later -- 'echo used'" </dev/null
	id=$(root modelgate grants --all --json </dev/null | jq -r '.[0].id')
	set_clocks $((-day)) 0
	sb service modelgated restart
	left=$(left_ms "$id")
	[ "$left" -le 300000 ] || fail "$left ms"
	set_clocks $((-day)) 300000
	root modelgate status --all </dev/null # who waits is woken
	soon is_state "$id" expired
}

@test "promise4 a suspend counts: what ran out meanwhile is ended on waking, what did not goes on" {
	long_run
	pipeline deploy receipt-ocr@1
	waits=$(wait_for_request)
	# Asleep for five minutes; the wall clock goes on as well.
	set_clocks 300000 300000
	root modelgate status --all </dev/null
	runs_on
	is_state "$waits" pending
	[ "$(left_ms "$id")" -le 1500000 ]
	# Asleep for an hour.
	n=$(steps | wc -l)
	set_clocks 3900000 3900000
	root modelgate status --all </dev/null
	soon none '^sleep 4605' || fail "it runs on"
	soon is_state "$id" expired
	soon is_state "$waits" timedout
	soon pipeline_ended
	[ "$(steps | wc -l)" -eq "$n" ] || fail "a suspend is no clock that was set"
	run audit -uu "$(root modelgate status "$id" --json </dev/null | jq -r '.[0].uuid')"
	has 'op=modelgate:expired'
	# The kernel itself wakes who waits: by a timer that counts suspend.
	grep -l clockid "/proc/$(pid_of modelgated)/fdinfo/"* | xargs grep -h clockid | grep -q '7$'
}

# no_way_in CODE: refused, however often it is given; then the guesses that
# were counted are forgotten, by time since boot.
no_way_in()
{
	run with_code alice 'modelgate run mine' "$1"
	failed
	hasnt mine-done
	awake_ms=$((awake_ms + 24 * 3600 * 1000))
	set_clocks "$wall_ms" "$awake_ms"
}

@test "rule2 codes: what was good tomorrow opens nothing today, and a new factor does" {
	sb factor alice >/dev/null
	t=$EPOCHSECONDS awake_ms=0 wall_ms=$day
	# Tomorrow comes: today's code is none, tomorrow's is.
	set_clocks "$wall_ms" 0
	no_way_in "$(code_at "$t")"
	code=$(code_at "$(wall_now)")
	run with_code alice 'modelgate run mine' "$code"
	ok
	has mine-done
	# And goes: neither that one nor today's.
	wall_ms=0
	set_clocks "$wall_ms" "$awake_ms"
	no_way_in "$code"
	no_way_in "$(code_at $EPOCHSECONDS)"
	declared_get_in
	sb factor alice >/dev/null
	run with_code alice 'modelgate run mine' "$(code_at $EPOCHSECONDS)"
	ok
	has mine-done
}
