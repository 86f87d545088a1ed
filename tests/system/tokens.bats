#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Sealed break-glass tokens: made by root, typed once, judged by the ledger.
# shellcheck disable=SC2030,SC2031,SC2119,SC2120,SC2154,SC2317

load lib

setup_file()
{
	host_up
	root sed -i 's/^\[hub\]/&\ndown-after = 3s/' /etc/modelgate/agent.ini \
	    </dev/null
	extra_policy <<-'END'
	[role on-call]
	members = alice, bob

	[operation swap]
	command = /bin/echo swapped {model}
	run-as = mlserve

	[operation broken]
	command = /nowhere/at/all
	run-as = mlserve

	[rule glass]
	operation = swap, broken
	role = on-call
	approve = 1 risk-owner
	break-glass = on-call
	break-glass-review = data-steward
	break-glass-tokens = 2
	END
	sb factor alice >/dev/null
}
teardown_file() { host_down; }

outage()
{
	root modelgate doctor --json </dev/null |
	    jq -r '.[] | select(.check == "hub" and .result == "fail").text'
}
is_down() { [ -n "$(outage)" ]; }
is_up() { ! is_down; }
hub_down()
{
	sb service modelgate-hub stop
	kill -HUP "$(pid_of modelgated)"
	soon is_down
}
hub_up()
{
	sb service modelgate-hub start
	soon is_up
}

# make_set [OPTION...]: a new one; its name and tokens into $set and $t1 ...
make_set()
{
	local all
	all=$(root modelgate tokens make --json "$@" </dev/null)
	set=$(jq -r .set <<<"$all" | head -n 1)
	t1=$(jq -r 'select(.number == 1).token' <<<"$all")
	t2=$(jq -r 'select(.number == 2).token' <<<"$all")
	t3=$(jq -r 'select(.number == 3).token' <<<"$all")
	printf '%s\n' "$t1" "$t2" "$t3" >>"$BATS_FILE_TMPDIR/tokens"
}
set_state()
{
	root modelgate tokens --json </dev/null |
	    jq -r ".[] | select(.set == \"$1\").state"
}

# A token that is well formed and not one of set $1: $2 is its number.
forged()
{
	perl -e '
	my @s = split //, "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	my %v; @v{@s} = 0 .. 31;
	sub x { my $v = $_[0] << 1; $v & 32 ? $v ^ 0x25 : $v }
	my $t = "$ARGV[0]$ARGV[1]" . join "", map { $s[rand 32] } 1 .. 26;
	my $sum = 0;
	$sum = x($sum) ^ $v{$_} for split //, $t;
	$sum = x($sum) for 1 .. 16;
	print $t, $s[$sum];' "$1" "$2"
}

# with_tokens USER COMMAND ANSWER...: what asks for a code gets a fresh one,
# what asks for tokens these in turn; then the terminal hangs up.
with_tokens()
{
	local user=$1 command=$2
	shift 2
	sb factor "$user" >/dev/null
	printf '%s\n' "$@" >"$BATS_TEST_TMPDIR/answers"
	USER_NAME=$user USER_COMMAND=$command CODE=$(sb totp "$user") TOP=$top \
	    ANSWERS=$BATS_TEST_TMPDIR/answers expect -f - <<'END'
set timeout 60
log_user 0
set f [open $env(ANSWERS)]
spawn -noecho $env(TOP)/scripts/sandbox ssh -tt $env(USER_NAME) $env(USER_COMMAND)
log_user 1
expect {
	-ex "Verification code:" { send "$env(CODE)\r"; exp_continue }
	-re {Token [^:]*: } {
		if {[gets $f line] < 0} { close; wait; exit 98 }
		send "$line\r"
		exp_continue
	}
	timeout { puts "with_tokens: nothing happens"; exit 99 }
	eof {}
}
exit [lindex [wait] 3]
END
}

GLASS='--break-glass --reason fire'

@test "rule5 only root makes tokens, and not into a pipe by accident" {
	run as mallory modelgate tokens make --plain </dev/null
	[ "$status" -eq 125 ]
	has 'only root'
	hasnt 'break-glass token 1'
	run as mallory modelgate tokens </dev/null
	[ "$status" -eq 125 ]
	run root modelgate tokens make </dev/null
	[ "$status" -eq 125 ]
	has '--plain'
	run root modelgate tokens make --need 4 --of 3 --plain </dev/null
	[ "$status" -eq 2 ]
	run root modelgate tokens --json </dev/null
	[ "$output" = '[]' ]
	[ "$(ledger refused | jq -rs '[.[] | select(.operation == "tokens").user] | unique | join(",")')" = mallory ]
}

@test "without a set of tokens the glass stays closed, and doctor says so" {
	hub_down
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS"
	[ "$status" -eq 125 ]
	has 'no such set is left'
	run root modelgate doctor </dev/null
	has 'rules ask for 2 tokens, and no set'
	hub_up
}

@test "a set is shown once, as cards, and listed without its tokens" {
	run root modelgate tokens make --plain </dev/null
	ok
	has 'break-glass token 3 of 3'
	has '2 of its 3 tokens'
	set=$(sed -n 's/.*, set \(....\);.*/\1/p' <<<"$output" | head -n 1)
	grep -oE '([0-9A-Z]{4}-){7}[0-9A-Z]{4}' <<<"$output" \
	    >"$BATS_FILE_TMPDIR/tokens"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/tokens")" -eq 3 ]
	run root modelgate tokens </dev/null
	has "$set  good   2 of 3"
	run root modelgate doctor </dev/null
	has '1 set of tokens is left'
	run root modelgate status </dev/null
	has '1 set of break-glass tokens left'
	run root modelgate log --type tokens </dev/null
	has "tokens made set $set"
	run audit -m USER_CHAUTHTOK
	has 'op=modelgate:tokens-made'
	run root modelgate tokens void "$set" </dev/null
	ok
	[ "$(set_state "$set")" = void ]
	run root modelgate tokens void "$set" </dev/null
	[ "$status" -eq 125 ]
}

@test "rule3 a set that could not be shown is void" {
	run root sh -c 'modelgate tokens make --plain >/dev/full' </dev/null
	[ "$status" -eq 125 ]
	has 'it is void'
	[ "$(root modelgate tokens --json </dev/null | jq -r '.[] | select(.state == "good").set')" = '' ]
}

@test "promise7 with the hub up tokens open nothing, and stay good" {
	make_set
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" "$t1" "$t2"
	[ "$status" -eq 125 ]
	has 'the hub answers'
	[ "$(set_state "$set")" = good ]
	root modelgate tokens void "$set" </dev/null
}

@test "promise7 typed tokens: a slip is said, others' and the same twice do not count, and it runs once" {
	hub_down
	make_set
	old=$set old1=$t1
	root modelgate tokens void "$old" </dev/null
	make_set
	slip=${t1%?}$(printf %s "${t1: -1}" | tr 0-9A-HJKMNP-TV-Z 1-9A-HJKMNP-TV-Z0)
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" \
	    "$slip" "${t1%?????}" "$old1" "$t1" "$t1" "${t3,,}"
	ok
	has 'mistyped'
	has 'too short'
	has 'used, void, or not of this host'
	has 'given this one already'
	has 'swapped receipt-ocr'
	hasnt "$t1" # no echo
	[ "$(set_state "$set")" = used ]
	id=$(ledger grant | jq -rs 'last.uuid')
	[ "$(ledger tokens | jq -rs 'last | .what + .uuid + .set + (.numbers | join(","))')" = \
	    "used${id}${set}1,3" ]
	# on record before the grant
	used=$(ledger tokens | jq -rs 'last.seq')
	[ "$used" -lt "$(ledger grant | jq -rs 'last.seq')" ]
	run audit -uu "$id"
	has 'op=modelgate:tokens-used'
	has "set=$set"
	has 'tokens=1,3'
	has 'reason=break-glass'
	echo "$set" >"$BATS_FILE_TMPDIR/used-set"
	printf '%s\n' "$t1" "$t2" "$t3" >"$BATS_FILE_TMPDIR/used"
}

@test "promise7 a second use waits for the review, and never takes the same set" {
	mapfile -t t <"$BATS_FILE_TMPDIR/used"
	make_set
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" "$t1" "$t2"
	[ "$status" -eq 125 ]
	has 'has not been reviewed'
	# killed: what was used stays used
	sb service modelgated kill
	sb service modelgated start
	hub_up
	code=$(root modelgate status "$(ledger grant | jq -rs 'last.uuid')" \
	    --json </dev/null | jq -r '.[0].id')
	inbox_has() { as carol modelgate inbox </dev/null | grep -q "$code"; }
	soon inbox_has
	run as carol "modelgate show $code" </dev/null
	has 'it broke the glass with sealed tokens'
	as carol "modelgate approve $code --yes -m seen" </dev/null
	hub_down
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" \
	    "${t[0]}" "${t[1]}"
	[ "$status" -eq 98 ] # asked for others
	has 'used, void, or not of this host'
	[ "$(set_state "$set")" = good ]
	[ "$(set_state "$(cat "$BATS_FILE_TMPDIR/used-set")")" = used ]
	as alice modelgate cancel "$(waiting)" </dev/null || :
	root modelgate tokens void "$set" </dev/null
}

@test "tokens come from a descriptor, with junk in front, and a run that cannot start has used them" {
	make_set
	{ printf '\377\376\033[2J\001garbage\n\n'; printf '%s\n' "$t2" "$t3" rest; } \
	    >"$BATS_TEST_TMPDIR/in"
	root sh -c 'cat >/home/alice/in; chown alice /home/alice/in' \
	    <"$BATS_TEST_TMPDIR/in"
	run with_tokens alice \
	    "sh -c 'modelgate run broken receipt-ocr $GLASS --tokens-fd 3; cat <&3' 3</home/alice/in"
	has 'could not be started'
	has rest
	hasnt "$t2"
	[ "$(set_state "$set")" = used ]
	root rm /home/alice/in </dev/null
	run as alice "modelgate run swap receipt-ocr $GLASS --tokens-fd 17" </dev/null
	[ "$status" -eq 2 ]
	has 'not the number of an open descriptor'
	# reviewed, for the next
	hub_up
	code=$(root modelgate status "$(ledger grant | jq -rs 'last.uuid')" \
	    --json </dev/null | jq -r '.[0].id')
	inbox_has() { as carol modelgate inbox </dev/null | grep -q "$code"; }
	soon inbox_has
	as carol "modelgate approve $code --yes -m seen" </dev/null
	hub_down
}

@test "rule4 guesses lock who makes them, over a restart, and void nothing" {
	make_set
	f=()
	for _ in 1 2 3; do f+=("$(forged "$set" 1)" "$(forged "$set" 2)"); done
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" "${f[@]}"
	[ "$status" -eq 125 ]
	has 'not tokens of this host'
	# a right one among them says nothing of which
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" \
	    "$t1" "$(forged "$set" 2)" "$(forged "$set" 1)" "$t2"
	has 'not tokens of this host'
	[ "$(ledger tokens | jq -s 'map(select(.counts)) | last.locked')" = true ]
	run audit -m ANOM_LOGIN_FAILURES
	has 'op=modelgate:tokens-lock'
	sb service modelgated kill
	sb service modelgated start
	soon is_down
	run with_tokens alice "modelgate run swap receipt-ocr $GLASS" "$t1" "$t2"
	[ "$status" -eq 125 ]
	has 'too many wrong tokens'
	[ "$(set_state "$set")" = good ]
	run with_tokens bob "modelgate run swap receipt-ocr $GLASS" "$t1" "$t2"
	ok
	has 'swapped'
}

# Whatever broke the glass last is reviewed, and the hub is down again.
review_last()
{
	local code
	code=$(ledger grant | jq -rs 'last.uuid // empty')
	[ -n "$code" ] || return 0
	! ledger review | jq -r .uuid | grep -qx "$code" || return 0
	code=$(root modelgate status "$code" --json </dev/null | jq -r '.[0].id')
	hub_up
	inbox_has() { as carol modelgate inbox </dev/null | grep -q "$code"; }
	soon inbox_has
	as carol "modelgate approve $code --yes -m seen" </dev/null
	hub_down
}
traced() { [ "$(awk '/^TracerPid/ { print $2 }' "/proc/$(pid_of modelgated)/status")" != 0 ]; }

@test "rule3 killed at a sync while the glass breaks: nothing runs with a set that is not used" {
	is_down || hub_down
	# 1 and 2 the login, 3 the request, 4 the factor, 5 the tokens, 6 the
	# grant, 7 the run; a checkpoint may come in between
	for n in 6 $([ "${FAULTS-}" != all ] || echo 3 4 5 7 8); do
		review_last
		make_set
		strace -qq -o /dev/null -e trace=fdatasync -e "inject=fdatasync:signal=SIGKILL:when=$n" -p "$(pid_of modelgated)" 3>&- &
		tracer=$!
		soon traced
		run with_tokens bob "modelgate run swap receipt-ocr $GLASS" "$t1" "$t2"
		kill "$tracer" 2>/dev/null || :
		wait "$tracer" || :
		sb service modelgated kill 2>/dev/null || :
		sb service modelgated start
		soon root modelgate status </dev/null
		said=$(ledger tokens | jq -rs "map(select(.set == \"$set\")) | last.what")
		echo "# sync $n: $said" >&2
		[[ $output != *swapped* || $said == used ]]
		[ "$(set_state "$set")" = "${said/made/good}" ]
		# a grant that went without approvers has tokens in front of it
		ledger waiver | jq -r .uuid >"$BATS_TEST_TMPDIR/waived"
		ledger tokens | jq -r 'select(.what == "used").uuid' >"$BATS_TEST_TMPDIR/used"
		run grep -vxFf "$BATS_TEST_TMPDIR/used" "$BATS_TEST_TMPDIR/waived"
		[ "$output" = '' ]
		soon is_down
		# what was granted after all is not there for the next
		root modelgate revoke --all </dev/null
	done
}

@test "rule1 no token is in any file, log or record of the host" {
	[ -s "$BATS_FILE_TMPDIR/tokens" ]
	# as printed, and as typed without hyphens
	sed 'p;s/-//g' "$BATS_FILE_TMPDIR/tokens" | sort -u \
	    >"$BATS_TEST_TMPDIR/needles"
	sb log >"$BATS_TEST_TMPDIR/log" 2>&1
	run grep -iFf "$BATS_TEST_TMPDIR/needles" "$BATS_TEST_TMPDIR/log"
	failed
	root sh -c 'cat >/run/needles' <"$BATS_TEST_TMPDIR/needles"
	run root grep -rilFf /run/needles /var/lib/modelgate /var/log /etc/modelgate </dev/null
	[ "$output" = '' ]
}
