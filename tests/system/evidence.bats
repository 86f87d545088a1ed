#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Asking the ledger: what nobody knows, formats that other programs read,
# following it, reports. The history is one segment that is nearly full, with
# strings in it that mean something elsewhere.
# shellcheck disable=SC2154,SC2016

bats_require_minimum_version 1.5.0
load lib

L=/var/lib/modelgate/ledger

# fill RECORDS: how many bytes that many are.
fill()
{
	rm -rf "$BATS_FILE_TMPDIR/l"
	"$top/build/cc/bench/ledger_bench" fill "$BATS_FILE_TMPDIR/l" "$1" >/dev/null
	cat "$BATS_FILE_TMPDIR"/l/*.jsonl | wc -c
}

setup_file()
{
	local full room n=6000
	full=$(sed -n 's/^#define MG_LEDGER_SEGMENT_BYTES (\([0-9]*\)U << 20).*/\1/p' "$top/agent/ledger/ledger.h")
	full=$((full << 20)) room=$((full - 60000))
	host_up
	sb service modelgated stop
	sb service modelgate-hub stop
	n=$((room * n / $(fill $n)))
	[ "$(fill $n)" -lt "$full" ]
	tar -C "$BATS_FILE_TMPDIR/l" -cf - . |
	    root sh -c "cd $L && rm -f * && tar -xf - --no-same-owner && chmod 600 *"
	# The hub has seen another one.
	root find /var/lib/modelgate-hub -name '*tree*' -delete </dev/null
	sb service modelgate-hub start
	sb service modelgated start
	soon root modelgate status </dev/null
	extra_policy <<'END'
[operation note]
command = /bin/true
run-as = mlserve

[rule test-note]
operation = note
role = ml-engineer
END
	printf '%s\n\e[31m%s' '=1+1|a\b=c;=2+2; "＝3","x" cn1=9' \
	    '</td><script>alert(1)</script><img src=x onerror=alert(1)>&amp;' |
	    root sh -c 'cat >/tmp/evil; chmod 644 /tmp/evil'
	as alice 'modelgate run note --reason "$(cat /tmp/evil)" --ticket "=4|5"' </dev/null
	root modelgate log --json </dev/null >"$BATS_FILE_TMPDIR/all"
}
teardown_file() { host_down; }

# says STATUS TEXT COMMAND...: as root, in words and as JSON.
says()
{
	local status_wanted=$1 text=$2
	shift 2
	run --separate-stderr root "$@" </dev/null
	[ "$status" -eq "$status_wanted" ] || fail "$*: $status $stderr"
	[[ $stderr == *"$text"* ]] || fail "$*: $stderr"
	[ "$status_wanted" -ne 2 ] || return 0
	run --separate-stderr root "$@" --json </dev/null
	[ "$status" -eq "$status_wanted" ] || fail "$* --json: $status"
	[ -z "$output" ] || jq . <<<"$output" >/dev/null
	[ "$status" -eq 0 ] || [ "$(jq -r .event <<<"$stderr")" = refused ] || fail "$stderr"
}

@test "what is asked about by name or code and is not there is a failure, and says so" {
	no='is known under'
	says 125 "$no" modelgate log --request 0000000000
	says 125 "$no" modelgate log --request 99999999-0000-4000-8000-000000000000 --type end
	says 125 "$no" modelgate why 0000000000
	says 125 "$no" modelgate status 0000000000
	says 125 'no request 0000000000' modelgate export 0000000000
	says 125 "was ever deployed here of 'nowhere'" modelgate models nowhere
	# Somebody else's is as unknown.
	run --separate-stderr as mallory 'modelgate log --request 00000010-0000-4000-8000-000000000010'
	[ "$status" -eq 125 ]
	[[ $stderr == *"$no"* ]]
}

@test "a listing with nothing in it is none" {
	says 0 'nothing found' modelgate log --user nobody
	says 0 'nothing found' modelgate log --request 00000010-0000-4000-8000-000000000010 --type policy
	says 0 'nothing found' modelgate log --until 2001-01-01
	run root modelgate report --since 2001-01-01 --until 2001-02-01 </dev/null
	ok
	has 'nobody asked for anything'
	[ "$(root modelgate report --since 2001-01-01 --until 2001-02-01 --json </dev/null | jq '.requests, (.list | length)' | xargs)" = '0 0' ]
}

@test "what cannot be a code, a name or a time is wrong usage" {
	says 2 'neither a code' modelgate log --request nonsense
	says 2 'neither a code' modelgate why nonsense
	says 2 'neither a code' modelgate export nonsense
	says 2 "model '../x'" modelgate models ../x
	says 2 'not a time' modelgate log --since yesterday
	says 2 "'yesterday' is not a time" modelgate report --since yesterday
	says 2 'is not before' modelgate log --since 2h --until 3h
	says 2 'is not before' modelgate report --since 2026-01-02 --until 2026-01-02
	says 2 'is not text' modelgate log --format xml
	says 2 "no record is of the type 'runn'; there are: access," modelgate log --type runn
	says 2 "no record is of the state 'pending'; there are: approve," modelgate log --state pending
	says 2 "no record is of the state 'yes'" modelgate log --decision yes
}

@test "filters add up, and times are half open" {
	count() { root modelgate log --json "$@" </dev/null | wc -l; }
	n=$(jq -s 'map(select(.type == "request" and .user == "bob" and .model == "model-1")) | length' "$BATS_FILE_TMPDIR/all")
	[ "$n" -gt 3 ]
	[ "$(count --type request --user bob --model model-1)" = "$n" ]
	[ "$(count --type request --user bob --model model-1 --operation deploy)" -lt "$n" ]
	[ "$(count --type request --user bob --model model-1@2)" -lt "$n" ]
	[ "$(count --type request --user bob --model model-2)" = 0 ]
	[ "$(count --user bob --decision approve)" = "$(count --user bob --state approve --type decision)" ]
	at=$(jq -r 'select(.type == "request" and .operation == "note") .at' "$BATS_FILE_TMPDIR/all")
	[ "$(count --type request --operation note --since "$at")" = 1 ]
	[ "$(count --type request --operation note --until "$at")" = 0 ]
	[ "$(count --type request --operation note --since "${at%.*}" --until "${at%.*}.999")" -le 1 ]
	[ "$(count --since 2000-01-01T00:00Z --until 2001-01-01)" = 0 ]
}

@test "csv: one record a line, and no field that a spreadsheet computes" {
	root modelgate log --format csv </dev/null | python3 -c '
import csv, io, sys
raw = sys.stdin.buffer.read().decode()
assert raw.count("\n") == raw.count("\r\n"), "a line end inside"
lines = raw.split("\r\n")
rows = list(csv.DictReader(io.StringIO(raw, newline="")))
assert len(lines) == len(rows) + 2 and lines[-1] == "", len(lines)
assert [int(r["seq"]) for r in rows] == list(range(1, len(rows) + 1)) and len(rows) > 1000
bad = tuple("=+-@\t\r\n＝＋－＠")
for r in rows:
    assert None not in r and None not in r.values(), r
    for k, v in r.items():
        # and where semicolons separate
        for part in v.split(";"):
            assert not part.lstrip(" \"").startswith(bad), (k, v)
assert not any(ord(c) < 32 and c not in "\r\n" for c in raw)
m = [r["message"] for r in rows if r["operation"] == "note" and r["type"] == "request"]
assert len(m) == 1 and m[0].startswith("\x27=1+1|a") and "<script>" in m[0], m'
}

@test "cef: head and extension are as the format wants them" {
	root modelgate log --format cef --user alice </dev/null | python3 -c '
import re, sys
known = set("rt dvchost suser duser act externalId outcome reason src shost c6a2 c6a2Label msg cn1 cn1Label".split()
            + ["cs%d" % i for i in range(1, 5)] + ["cs%dLabel" % i for i in range(1, 5)])
seen = set()
note = None
raw = sys.stdin.buffer.read().decode()
assert not any(ord(c) < 32 and c != "\n" for c in raw)
for line in raw.splitlines():
    head = re.split(r"(?<!\\)\|", line, maxsplit=7)
    assert len(head) == 8 and head[0] == "CEF:0" and 0 <= int(head[6]) <= 10, line
    pairs = re.split(r"(?:^| )([A-Za-z0-9]+)(?<!\\)=", head[7])
    assert pairs[0] == ""
    ext = dict(zip(pairs[1::2], pairs[2::2]))
    assert len(ext) * 2 + 1 == len(pairs), line
    assert set(ext) <= known, set(ext) - known
    for k, v in ext.items():
        assert not re.search(r"(?<!\\)(\\\\)*=", v), (k, v)
        assert re.fullmatch(r"(?:[^\\]|\\[\\=nr])*", v), (k, v)
    assert ext["rt"].isdigit() and ext["cn1"].isdigit() and int(ext["cn1"]) not in seen
    seen.add(int(ext["cn1"]))
    if ext.get("act") == "note" and "|request|" in line:
        note = ext["msg"]
    if "|decision|" in line:
        assert ext["suser"] == "bob" and ext["cs3"] == "approve", line
assert note is not None and r"a\\b\=c" in note and r"\n\\u{1b}[31m" in note, note'
}

@test "ocsf: every attribute that its class needs, none that is empty" {
	root modelgate log --format ocsf --user alice </dev/null | python3 -c '
import json, sys
def empties(o, path=""):
    if isinstance(o, dict):
        for k, v in o.items():
            if k != "unmapped":
                yield from empties(v, path + "." + k)
    elif isinstance(o, list):
        for v in o:
            yield from empties(v, path + "[]")
    elif o == "" or o is None:
        yield path
types = {"category_uid": int, "class_uid": int, "activity_id": int, "type_uid": int, "time": int,
         "severity_id": int, "status_id": int, "metadata": dict, "actor": dict, "api": dict,
         "src_endpoint": dict, "device": dict, "unmapped": dict}
n = 0
for line in sys.stdin:
    e = json.loads(line)
    n += 1
    for k, t in types.items():
        assert type(e[k]) is t, (k, e)
    assert not list(empties(e)), (list(empties(e)), e)
    assert e["type_uid"] == e["class_uid"] * 100 + e["activity_id"]
    assert e["activity_id"] in (0, 1, 2, 3, 4) or e["activity_name"]
    assert e["metadata"]["version"] == "1.3.0" and e["metadata"]["product"]["vendor_name"]
    assert e["actor"].get("user", {}).get("name") or e["actor"]["app_name"]
    assert e["api"]["operation"] and e["api"].get("request", {"uid": 1})["uid"]
    assert {"ip", "hostname"} & set(e["src_endpoint"]) and e["device"]["type_id"] == 1
    assert all(r["name"] for r in e.get("resources", []))
assert n > 1000'
}

@test "text shows nothing that a terminal would act on" {
	run root modelgate log --operation note </dev/null
	ok
	has '\u{1b}[31m'
	hasnt $'\e'
}

@test "a reader that goes away early: no complaint, and nothing is left running" {
	run root bash -c 'modelgate log | head -n 1; exit ${PIPESTATUS[0]}' </dev/null
	[ "$status" -eq 141 ]
	[ "${#lines[@]}" = 1 ]
	# Where the signal is ignored it is an error, and not a listing.
	run root bash -c 'trap "" PIPE; modelgate log | head -n 1; exit ${PIPESTATUS[0]}' </dev/null
	[ "$status" -eq 125 ]
	run root timeout 1 bash -c 'modelgate log --follow | head -n 1' </dev/null
	soon none mg-query
	run root sh -c 'modelgate log >/dev/full' </dev/null
	[ "$status" -eq 125 ]
	has 'cannot write'
}

@test "export: what stands under the name is replaced, and not written through" {
	id=$(jq -r 'select(.type == "request" and .operation == "note") .uuid' "$BATS_FILE_TMPDIR/all")
	root sh -c 'mkdir /tmp/e; echo precious >/tmp/e/other; ln -s other "/tmp/e/a\"b.tar"' </dev/null
	run root modelgate export "$id" --output '/tmp/e/a"b.tar' --json </dev/null
	ok
	[ "$(jq -r .file <<<"$output")" = '/tmp/e/a"b.tar' ]
	[ "$(root cat /tmp/e/other </dev/null)" = precious ]
	[ "$(root stat -c '%F %a' '/tmp/e/a"b.tar' </dev/null)" = 'regular file 600' ]
	[ "$(root ls -A /tmp/e </dev/null | wc -l)" = 2 ]
	run root sh -c "modelgate export $id --output /dev/stdout --quiet | tar -tf -" </dev/null
	ok
	has checkpoint
	run root modelgate export "$id" --output /nowhere/x.tar </dev/null
	[ "$status" -eq 125 ]
	has "cannot write '/nowhere/x.tar': No such file"
}

@test "report: who, when, what, why, and the rates, as the ledger has them" {
	root modelgate report --json </dev/null >"$BATS_TEST_TMPDIR/r"
	cd "$BATS_TEST_TMPDIR"
	root modelgate log --json </dev/null >all
	[ "$(jq .requests r)" = "$(grep -cE '"type":"(request|refused)"' all)" ]
	[ "$(jq '[.people[].count] | add' r)" = "$(jq .requests r)" ]
	[ "$(jq '[.days[].count] | add' r)" = "$(jq .requests r)" ]
	[ "$(jq .granted r)" = "$(grep -c '"type":"grant"' all)" ]
	jq '[.list[] | select(.operation == "note")] | last' r >note
	[ "$(jq -r '.user, .outcome' note | xargs)" = 'alice used' ]
	[ "$(jq -r .reason note)" = "$(root cat /tmp/evil </dev/null)" ]
	[ "$(jq -r '[.list[] | select(.operation == "deploy")][0].approvers' r)" = bob ]
	run root modelgate report </dev/null
	ok
	has 'time to approve: median'
	has '\u{1b}[31m'
	hasnt $'\e'
	[ "${#lines[@]}" -lt 100 ]
}

@test "report: the rules that nobody used, and none that was, nor one whose use is not on record" {
	cd "$BATS_TEST_TMPDIR"
	# One that allows log only: whether anybody read is not on record.
	root modelgate report --json </dev/null >r
	jq -r '.unused_rules[].name' r >unused
	grep -qx retire unused
	[ "$(jq -r '.unused_rules[] | select(.name == "retire").where' r)" = "$(root sh -c \
	    "cd /etc/modelgate/policy.d && grep -n '^.rule retire.' *.ini" </dev/null | cut -d: -f1,2)" ]
	run ! grep -x test-note unused
	run ! grep -x read-all-records unused
	# Who sees no more than what is their own cannot tell.
	as alice modelgate report --json </dev/null >own
	jq -e 'has("unused_rules") | not' own
	run as alice modelgate report </dev/null
	has 'only what alice has done'
	hasnt 'nobody used'
	# What is older does not count.
	root modelgate report --json --since 2001-01-01 --until 2001-02-01 </dev/null >r
	jq -r '.unused_rules[].name' r | grep -qx test-note
	run root modelgate report </dev/null
	has 'rules that nobody used'
	root modelgate report --html </dev/null | tr -d '\n' |
	    grep -q '<h2>Rules that nobody used</h2>.*<th scope=row>retire</th>'
}

@test "report --html: needs nothing from elsewhere and runs nothing" {
	root modelgate report --html </dev/null >"$BATS_TEST_TMPDIR/r.html"
	python3 - "$BATS_TEST_TMPDIR/r.html" <<'END'
import sys
from html.parser import HTMLParser
text = open(sys.argv[1], encoding="utf-8").read()
allowed = set("html head meta title style body main h1 h2 p dl div dd dt section svg g rect table thead "
              "tbody tr th td i br small".split())
open_tags, data, csp = [], [], []
class P(HTMLParser):
    def handle_starttag(self, tag, attrs):
        assert tag in allowed, tag
        for k, v in attrs:
            assert not k.startswith("on") and k not in ("src", "href", "srcset", "action"), (tag, k)
            assert "url(" not in (v or "") and "://" not in (v or ""), v
        csp.extend(v for k, v in attrs if k == "content" and "default-src" in v)
        if tag not in ("meta", "br"):
            open_tags.append(tag)
    def handle_endtag(self, tag):
        while open_tags and open_tags[-1] != tag:
            assert open_tags.pop() == "th", tag  # which need no end
        open_tags.pop()
    def handle_data(self, d):
        data.append(d)
P().feed(text)
assert not open_tags, open_tags
assert csp == ["default-src 'none'; style-src 'unsafe-inline'"], csp
assert "@import" not in text and "url(" not in text and "\x1b" not in text
assert any("</td><script>alert(1)</script>" in d for d in data)
assert len(text) < 300000, len(text)
END
}

@test "--follow goes on through a new segment and a restart" {
	segments() { root find $L -name '*.jsonl' </dev/null | wc -l; }
	followed() { root sh -c 'wc -l </tmp/followed' </dev/null; }
	has_all() { [ "$(followed)" = "$(ledger policy | wc -l)" ]; }
	before=$(segments)
	root sh -c 'modelgate log --follow --type policy --json >/tmp/followed 2>/tmp/told & echo $! >/tmp/follow.pid' </dev/null
	soon has_all
	# A hundred kilobytes more than fit.
	as alice 'reason=$(head -c 1000 /dev/zero | tr "\0" x); i=0
	    while [ $((i += 1)) -le 40 ]; do modelgate run note --reason "$reason"; done' </dev/null
	[ "$(segments)" -gt "$before" ]
	reload
	soon has_all
	sb service modelgated restart
	reload
	soon has_all
	root cat /tmp/told </dev/null | grep 'waiting for it to come back'
	# Each line once, in order.
	root cat /tmp/followed </dev/null >"$BATS_TEST_TMPDIR/followed"
	ledger policy | cmp - "$BATS_TEST_TMPDIR/followed"
	root sh -c 'kill $(cat /tmp/follow.pid)' </dev/null
}
