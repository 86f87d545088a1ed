#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The ledger's proofs: checkpoints that the hub countersigns, verification
# from outside, exported evidence.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	host_up
	export D=$BATS_FILE_TMPDIR
	# One whole story to have records of.
	BATS_TEST_TMPDIR=$D
	pipeline deploy "receipt-ocr@1"
	id=$(wait_for_request)
	approve bob "$id" 'looks fine'
	approve carol "$id"
	soon pipeline_ended
	soon is_state "$id" used
	echo "$id" >"$D/id"
	n=$(records)
	root modelgate checkpoint --quiet </dev/null
	soon witnessed "$n"
	HOST=$(hub ledgers | jq -r .host)
	echo "$HOST" >"$D/host"
	hub checkpoints "$HOST" >"$D/notes"
	hub leaves "$HOST" >"$D/leaves"
	root cat /var/lib/modelgate/host_key.pub </dev/null >"$D/host.pub"
	root sh -c 'cat /etc/modelgate/agent.ini' </dev/null |
	    sed -n 's/^keys = //p' | head -n 1 >"$D/hub.pub"
	mkdir "$D/l"
	root tar -C /var/lib/modelgate/ledger -cf - . </dev/null | tar -C "$D/l" -xf -
}
teardown_file() { host_down; }

hub() { as bob "ssh hub $*" </dev/null; }
records() { root sh -c 'cat /var/lib/modelgate/ledger/*.jsonl | wc -l' </dev/null; }
# A login is a record, too: that many were there before it.
witnessed() { [ "$(hub ledgers | jq .records)" -ge "$1" ]; }

# argv[0] is the subcommand, as modelgate starts it.
led() { (exec -a "$1" "$top/build/cc/modelgate-ledger" "${@:2}"); }

# The copy of the ledger, to be changed; the hub's view of it.
fresh() { rm -rf "$BATS_TEST_TMPDIR/l"; cp -r "$D/l" "$BATS_TEST_TMPDIR/l"; cd "$BATS_TEST_TMPDIR/l" || return; seg=$(ls ./*.jsonl); }
from_outside()
{
	run led verify . --host-key "$D/host.pub" --hub-key "$D/hub.pub" \
	    --checkpoints "$D/notes" --leaves "$D/leaves" --json
}
bad_record() { jq -r .record <<<"$output"; }

# rewrite PYTHON: changes `lines` (a list of records), then makes seq and
# prev fit again, as who holds the host could.
rewrite()
{
	python3 - "$seg" "$1" <<'END'
import hashlib, json, sys
lines = [json.loads(l) for l in open(sys.argv[1], "rb")]
exec(sys.argv[2])
prev = "0" * 64
with open(sys.argv[1], "wb") as f:
    for n, rec in enumerate(lines, 1):
        rec["seq"], rec["prev"] = n, prev
        line = json.dumps(rec, separators=(",", ":"), ensure_ascii=True).encode()
        prev = hashlib.sha256(line).hexdigest()
        f.write(line + b"\n")
END
}

@test "the hub countersigns, and the whole ledger verifies" {
	run root modelgate verify --json </dev/null
	ok
	[ "$(jq .ok <<<"$output")" = true ]
	[ "$(jq .witnessed <<<"$output")" -gt 10 ]
	fresh
	from_outside
	ok
	run led verify . --host-key "$D/host.pub" --hub-key "$D/hub.pub"
	ok
	has 'witnessed by the hub up to record'
}

@test "a changed byte: the record is named" {
	for n in 1 2 7 12; do
		fresh
		sed -i "${n}s/\"bt\":[0-9]/\"bt\":9/; ${n}s/\"bt\":9/\"bt\":1/" "$seg"
		cmp -s "$seg" "$D/l/$(basename "$seg")" && continue
		from_outside
		[ "$status" -eq 1 ]
		[ "$(bad_record)" = "$n" ] || fail "record $n"
		# and with nothing but the host's own files
		run led verify . --host-key "$D/host.pub" --json
		[ "$status" -eq 1 ]
		[ "$(bad_record)" = "$n" ] || fail "record $n"
	done
}

@test "rewritten with every hash made to fit: only the hub can tell, and names the record" {
	fresh
	rewrite 'lines[6]["text"] = "something else"'
	rm checkpoints leaves
	run led verify . --host-key "$D/host.pub" --json
	ok # the host alone says what it likes
	from_outside
	[ "$status" -eq 1 ]
	[ "$(bad_record)" = 7 ]
	has 'not the one that the hub has seen'
	# without the leaves, the checkpoints still tell that it was changed
	run led verify . --host-key "$D/host.pub" --hub-key "$D/hub.pub" \
	    --checkpoints "$D/notes" --json
	[ "$status" -eq 1 ]
	has rewritten
}

@test "truncated, duplicated, reordered, lost, foreign and endless lines: each its own words" {
	fresh
	n=$(($(stat -c %s "$D/leaves") / 32))
	sed -i "$((n - 3)),\$d" "$seg"
	rm checkpoints leaves
	from_outside
	[ "$(bad_record)" = $((n - 3)) ]
	has '"flaw":"truncated"'
	fresh
	sed -i 5p "$seg"
	from_outside
	[ "$(bad_record)" = 6 ]
	has duplicated
	fresh
	sed -i '5{h;d};6G' "$seg"
	from_outside
	[ "$(bad_record)" = 5 ]
	has out-of-order
	fresh
	sed -i 5d "$seg"
	from_outside
	[ "$(bad_record)" = 5 ]
	has missing
	fresh
	sed -i '5s/.*/hello/' "$seg"
	from_outside
	[ "$(bad_record)" = 5 ]
	has no-record
	fresh
	{ sed -n 1,4p "$seg"; head -c 300000 /dev/zero | tr '\0' x; sed -n '5,$p' "$seg"; } >"$seg.new"
	mv "$seg.new" "$seg"
	from_outside
	[ "$(bad_record)" = 5 ]
	has 'longer than 65536'
	fresh
	truncate -s 4G "$seg"
	from_outside
	[ "$status" -eq 1 ]
	has 'longer than 65536'
	fresh
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/other"
	run led verify . --host-key "$BATS_TEST_TMPDIR/other.pub"
	[ "$status" -eq 1 ]
	has 'foreign-checkpoint'
	rm -f "$BATS_TEST_TMPDIR"/other*
	fresh
	sed -i '3s/./A/' checkpoints
	from_outside
	[ "$status" -eq 1 ]
	has forged-checkpoint
}

@test "an exported file proves itself, with modelgate and without" {
	id=$(cat "$D/id")
	root sh -c "cd /tmp && modelgate export $id --output /tmp/x.tar" </dev/null
	root cat /tmp/x.tar </dev/null >"$D/x.tar"
	cd "$BATS_TEST_TMPDIR"
	run led verify "$D/x.tar" --host-key "$D/host.pub" --hub-key "$D/hub.pub"
	ok
	has 'deploy receipt-ocr@1'
	has 'bob: approve'
	has 'carol: approve'
	has 'used'
	has 'witnessed it'
	mkdir u
	tar -C u -xf "$D/x.tar"
	cd u
	sed -n '/^#--- commands/,/^#--- end/p' README >../commands
	# its own tools only: modelgate is not there
	run env -i PATH=/usr/bin:/bin HOME=/nonexistent unshare -n bash ../commands
	ok
	has 'ALL GOOD'
	has 'Good "modelgate-approval" signature for bob'
	has 'the hub saw it'
	has 'Signature Verified Successfully'
	[ -s audit.log ]
	grep -q "op=modelgate:grant" audit.log
	# the same from the source, for who does not trust the file
	run env -i PATH=/usr/bin:/bin HOME=/nonexistent unshare -n "$top/scripts/verify-export" "$D/x.tar"
	ok
	[ "${lines[-1]}" = 'ALL GOOD' ]
	has 'host: 256 SHA256:'
	# A decision that somebody did sign, and that is not the one on record.
	cp -r . ../other
	(cd ../other && rm -f decisions/* &&
		! env -i PATH=/usr/bin:/bin bash ../commands 2>/dev/null | grep 'ALL GOOD')
	(cd ../other && cp ../u/decisions/* decisions/ && set -- decisions/*.text &&
		cp "$1" "$2" && cp "${1%.text}.sig" "${2%.text}.sig" &&
		env -i PATH=/usr/bin:/bin bash ../commands 2>&1 | grep 'is not what is on record')
	# and each of them notices what it is there for
	set -- records/*.json
	for f in checkpoint "$1" "${*: -1}" proofs/"$(basename "$1" .json)".path decisions/*.text decisions/*.sig policy.txt; do
		cp "$f" ../kept
		[ -s "$f" ] || continue
		python3 -c '
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[len(b) // 2] ^= 1
open(sys.argv[1], "wb").write(b)' "$f"
		run env -i PATH=/usr/bin:/bin bash ../commands
		{ [ "$status" -ne 0 ] && [[ $output != *'ALL GOOD'* ]]; } || fail "$f"
		cp ../kept "$f"
	done
}

@test "an exported file holds the policy that was signed, and verify quotes its rules" {
	cd "$BATS_TEST_TMPDIR"
	id=$(cat "$D/id")
	root modelgate export "$id" --output /tmp/rules.tar --quiet </dev/null
	root cat /tmp/rules.tar </dev/null >rules.tar
	run led verify rules.tar --host-key "$D/host.pub"
	ok
	has '(/etc/modelgate/policy.d/rules.ini:'
	has '[rule pipeline-to-production]'
	has 'approve = 1 risk-owner, 1 data-steward'
	hasnt '[rule root-shell]'
	sed 's/^approve = 1 risk-owner, 1 data/approve = 2 risk-owner, 1 data/' rules.tar >other.tar
	run led verify other.tar --host-key "$D/host.pub"
	[ "$status" -eq 1 ]
	has 'foreign: policy.txt is not the policy of the request'
	mkdir x
	tar -C x -xf rules.tar
	[ "sha256:$(sha256sum <x/policy.txt | cut -d ' ' -f 1)" = "$(jq -r 'select(.type == "request").policy' x/records/*.json)" ]
}

@test "no changed byte of an exported file verifies" {
	python3 - "$D/x.tar" "$BATS_TEST_TMPDIR/m" "$top/build/cc/modelgate-ledger" <<'END'
import random, subprocess, sys
good = open(sys.argv[1], "rb").read()
random.seed(7)
# what is not evidence: README and audit.log
free = []
at = 0
while good[at]:
    name = good[at:at + 100].split(b"\0")[0].decode()
    size = int(good[at + 124:at + 135], 8)
    if name in ("README", "audit.log", "allowed_signers", "host.pem", "hub.pem") or name.endswith(".sig"):
        free.append((at + 512, at + 512 + size))
    at += 512 + (size + 511) // 512 * 512
def is_free(i):
    return any(a <= i < b for a, b in free)
def passes(data):
    open(sys.argv[2], "wb").write(data)
    r = subprocess.run(["verify", sys.argv[2]], executable=sys.argv[3],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert r.returncode in (0, 1), r.returncode
    return r.returncode == 0
assert passes(good)
for i in random.sample([i for i in range(len(good)) if not is_free(i)], 400):
    b = bytearray(good)
    b[i] ^= 1 << random.randrange(8)
    assert not passes(bytes(b)), i
for n in random.sample(range(len(good)), 60):
    assert not passes(good[:n]), n
assert not passes(good + b"\0" * 512)
assert not passes(good + good)
END
}

@test "log: filters, formats, follow" {
	run root modelgate log --model receipt-ocr@1 --json </dev/null
	ok
	for type in request decision grant run exit empty end; do
		jq -r .type <<<"$output" | grep -qx "$type" || fail "$type"
	done
	[ "$(jq -r '.model // .of_model' <<<"$output" | sort -u)" = receipt-ocr ]
	run root modelgate log --decision approve --json </dev/null
	[ "$(jq -r .approver <<<"$output" | sort | tr '\n' ' ')" = 'bob carol ' ]
	root modelgate log --format csv </dev/null | python3 -c '
import csv, sys
rows = list(csv.DictReader(sys.stdin))
assert [r["approver"] for r in rows if r["type"] == "decision"] == ["bob", "carol"], rows
assert all(r["seq"].isdigit() for r in rows)'
	run root modelgate log --format cef --type decision </dev/null
	[ "$(grep -cE '^CEF:0\|modelgate\|modelgate\|[0-9.]+\|decision\|modelgate decision\|3\|rt=[0-9]+ dvchost=' <<<"$output")" -eq 2 ]
	run root modelgate log --format ocsf --model receipt-ocr </dev/null
	[ "$(jq -s 'map(select(.class_uid == 6003 and .resources[0].name == "receipt-ocr" and .device.hostname != "" and .unmapped.seq > 0)) | length' <<<"$output")" -eq "$(wc -l <<<"$output")" ]
	run root modelgate log --host elsewhere </dev/null
	failed
	root sh -c 'modelgate log --follow --type policy --json >/tmp/followed & echo $! >/tmp/follow.pid' </dev/null
	n=$(root sh -c 'modelgate log --type policy --json' </dev/null | wc -l)
	followed() { [ "$(root sh -c 'wc -l </tmp/followed' </dev/null)" -ge "$1" ]; }
	soon followed "$n"
	kill -HUP "$(pid_of modelgated)"
	soon followed $((n + 1))
	root sh -c 'kill $(cat /tmp/follow.pid)' </dev/null
	gone() { ! pgrep -f "mg-quer[y]" -s 0 >/dev/null; }
}

# contents: every byte of the ledger's folder.
contents() { root sh -c 'cd /var/lib/modelgate/ledger && ls -l | cut -c 1-10 && find . -type f -exec sha256sum {} +' </dev/null; }

@test "the agent does not start with a flaw, names it, and changes nothing" {
	sb service modelgated stop
	root cp -a /var/lib/modelgate/ledger /tmp/kept </dev/null
	last=$(root sh -c 'cd /var/lib/modelgate/ledger && ls *.jsonl | tail -n 1' </dev/null)
	n=$(root sh -c "wc -l </tmp/kept/$last" </dev/null)
	while IFS='|' read -r change place words; do
		root sh -c "cd /var/lib/modelgate/ledger && rm * && cp -a /tmp/kept/* . && f=$last && $change" </dev/null
		before=$(contents)
		run root timeout 5 /usr/sbin/modelgated </dev/null
		[ "$status" -eq 1 ] || fail "$change"
		has "/ledger/$place"
		has ": $words: "
		[ "$(contents)" = "$before" ] || fail "$change: something was written"
	done <<-END
	sed -i 3d \$f|$last:3: record |missing
	sed -i '3s/"bt":/"bt":1,"x":/' \$f|$last:3: record |clock-back
	sed -i '\$d' \$f|$last:$((n - 1)): record |truncated
	truncate -s -1 \$f|$last:$n: record |truncated
	rm checkpoints; truncate -s -1 \$f|$last:$n: record |lost-records
	rm leaves; mkfifo leaves|leaves:0: |no-file
	sed -i 's/^[1-9][0-9]*\$/9&/' checkpoints|checkpoints:|forged-checkpoint
	END
	root sh -c 'cd /var/lib/modelgate/ledger && rm * && cp -a /tmp/kept/* .' </dev/null
	sb service modelgated start
	soon root modelgate status </dev/null
}

@test "a line of 4 GB is named at once, and read no further" {
	root sh -c 'mkdir /tmp/big; cp /var/lib/modelgate/ledger/*.jsonl /tmp/big
	    f=$(ls /tmp/big/*.jsonl | tail -n 1); printf "{\"seq\":" >>$f; truncate -s 4G $f' </dev/null
	run root prlimit --as=268435456 modelgate verify /tmp/big </dev/null
	root rm -r /tmp/big </dev/null
	failed
	has 'first bad record: '
	has 'the line is longer than 65536 bytes'
}

@test "a history changed on the host is found by the hub, and is on record" {
	sb service modelgated stop
	root sh -c 'cat >/tmp/rewrite.py; python3 /tmp/rewrite.py /var/lib/modelgate/ledger/00000000000000000001.jsonl' <<'END'
import hashlib, json, sys
lines = [json.loads(l) for l in open(sys.argv[1], "rb")]
lines[6]["at"] = "2026-01-01T00:00:00.000Z"
prev = "0" * 64
with open(sys.argv[1], "wb") as f:
    for n, rec in enumerate(lines, 1):
        rec["seq"], rec["prev"] = n, prev
        line = json.dumps(rec, separators=(",", ":")).encode()
        prev = hashlib.sha256(line).hexdigest()
        f.write(line + b"\n")
END
	root rm /var/lib/modelgate/ledger/checkpoints </dev/null
	sb service modelgated start
	soon root modelgate status </dev/null
	root modelgate checkpoint --quiet </dev/null
	alarmed() { [ -n "$(hub alarms "$(cat "$D/host")")" ]; }
	soon alarmed
	run hub alarms "$(cat "$D/host")"
	has 'record 7 is not the one that was witnessed'
	on_record() { ledger witness | grep -q 'record 7'; }
	soon on_record
	audited() { audit -m ANOM_CRYPTO_FAIL | grep -q 'op=modelgate:ledger-changed'; }
	soon audited
	# nothing is countersigned from then on
	before=$(hub ledgers | jq .records)
	root modelgate checkpoint --quiet </dev/null
	[ "$(hub ledgers | jq .records)" = "$before" ]
}
