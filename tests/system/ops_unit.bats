#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# ops/unit with a real systemd (process 1 of namespaces of its own) and the
# shipped units. vLLM and llama-server are not in Debian: what the units start
# is engine_stand_in.py, which answers /health and /v1/models as both are
# documented to, and refuses a model whose file is empty.

bats_require_minimum_version 1.5.0
load lib

setup_file()
{
	# Its folders are passable for the unit's user.
	host=$(mktemp -d /var/tmp/mg-unit.XXXXXX)
	export host
	chmod 755 "$host"
	mkdir -p "$host/opt/vllm/bin" "$host/opt/llama.cpp/bin" "$host/units" \
	    "$host/srv/units"
	for u in vllm llama-server; do
		cp "$top/config/operations.d/$u@.service.example" "$host/units/$u@.service"
	done
	cp "$top/tests/system/engine_stand_in.py" "$host/opt"
	cp -r "$top/scripts/ops" "$host/opt"
	cat >"$host/opt/vllm/bin/vllm" <<-'END'
		#!/bin/sh
		# vllm serve PATH --host H --port P --served-model-name NAME...
		[ "$1 $3 $4 $5 $7" = "serve --host 127.0.0.1 --port --served-model-name" ] || exit 3
		path=$2 port=$6
		shift 7
		exec python3 /opt/engine_stand_in.py openai "$port" "$path" "$@"
	END
	cat >"$host/opt/llama.cpp/bin/llama-server" <<-'END'
		#!/bin/sh
		# llama-server --model FILE --host H --port P --alias NAME
		[ "$1 $3 $4 $5 $7 $#" = "--model --host 127.0.0.1 --port --alias 8" ] || exit 3
		exec python3 /opt/engine_stand_in.py openai "$6" "$2" "$8"
	END
	chmod 755 "$host"/opt/*/bin/*
	for v in 1 2 bad; do
		mkdir -p "$host/srv/store/$v"
		echo '{}' >"$host/srv/store/$v/config.json"
		echo gguf >"$host/srv/store/$v/weights.gguf"
	done
	: >"$host/srv/store/bad/config.json"
	: >"$host/srv/store/bad/weights.gguf"
	"$top/tests/system/systemd_host" up "$host" "$host"/units/* 3>&- || {
		echo $? >"$host/failed"
	}
}
teardown_file()
{
	"$top/tests/system/systemd_host" down "$host"
	rm -rf "$host"
}

setup()
{
	[ ! -e "$host/failed" ] || {
		[ "$(cat "$host/failed")" = 77 ] || fail "no systemd came up"
		skip "no namespaces for a systemd here"
	}
	# A model of its own for each test.
	m=m$BATS_TEST_NUMBER
	site "$m" $((8000 + BATS_TEST_NUMBER * 2))
	site "$m.stable" $((8001 + BATS_TEST_NUMBER * 2))
}

site()
{
	mkdir -p "$host/srv/units/$1"
	echo "PORT=$2" >"$host/srv/units/$1/site.env"
}
inside() { "$top/tests/system/systemd_host" in "$host" "$@" </dev/null 3>&-; }
vllm() { inside /opt/ops/unit -n vllm -w 15 "$@"; }
llama() { inside /opt/ops/unit -n llama-server -g -w 15 "$@"; }
# Who answers for a model, by all names that it has.
serves()
{
	inside curl -s "http://127.0.0.1:$(sed -n s/PORT=//p "$host/srv/units/$1/site.env")/v1/models" |
	    jq -r '[.data[].id] | join(" ")'
}

@test "deploy starts the unit with the version, and waits until it serves it" {
	run vllm deploy "$m" 1 /srv/store/1
	ok
	has "$m: serves 1 now"
	[ "$(serves "$m")" = "$m $m@1" ]
	run vllm deploy "$m" 2 /srv/store/2
	ok
	has "$m: serves 2 now, 1 before"
	[ "$(serves "$m")" = "$m $m@2" ]
	# As the unit's user, and not as root.
	[ "$(inside ps -C python3 -o user= | sort -u)" = mlserve ]
}

@test "llama-server is given the one file" {
	run llama deploy "$m" 1 /srv/store/1
	ok
	[ "$(serves "$m")" = "$m@1" ]
	grep -qx MODEL_PATH=/srv/store/1/weights.gguf "$host/srv/units/$m/model.env"
	cp -r "$host/srv/store/1" "$host/srv/store/parts"
	cd "$host/srv/store/parts"
	mv weights.gguf w-00001-of-00002.gguf
	echo more >w-00002-of-00002.gguf
	run llama deploy "$m" parts /srv/store/parts
	ok
	grep -q w-00001-of-00002.gguf "$host/srv/units/$m/model.env"
	cp w-00001-of-00002.gguf x.gguf
	run llama deploy "$m" two /srv/store/parts
	failed
	has 'more than one'
}

@test "rule4, rule5: a version that does not come up puts the old one back" {
	vllm deploy "$m" 1 /srv/store/1
	run vllm deploy "$m" 2 /srv/store/bad
	failed
	has "$m 2 does not come up; 1 is served again"
	[ "$(serves "$m")" = "$m $m@1" ]
	grep -qx MODEL_VERSION=1 "$host/srv/units/$m/model.env"
	run vllm rollback "$m" 2 /srv/store/bad
	failed
	has 'never deployed'
}

@test "a first version that does not come up leaves nothing" {
	run vllm deploy "$m" 1 /srv/store/bad
	failed
	has 'nothing is served'
	[ ! -e "$host/srv/units/$m/model.env" ]
	run inside systemctl is-active "vllm@$m.service"
	[ "$output" != active ]
}

@test "rule3: another server on the port is not taken for ours" {
	inside python3 /opt/engine_stand_in.py openai \
	    "$(sed -n s/PORT=//p "$host/srv/units/$m/site.env")" /srv/store/1 "$m" \
	    >"$BATS_TEST_TMPDIR/other" 2>&1 &
	soon test -s "$BATS_TEST_TMPDIR/other"
	run vllm deploy "$m" 1 /srv/store/1
	failed
	has 'does not come up'
}

@test "promote starts a second unit with what is served" {
	run vllm promote "$m" 1 /srv/store/1
	failed
	has 'deploy it first'
	vllm deploy "$m" 1 /srv/store/1
	run vllm promote "$m" 1 /srv/store/2
	failed
	has 'other bytes'
	run vllm promote "$m" 1 /srv/store/1
	ok
	vllm deploy "$m" 2 /srv/store/2
	[ "$(serves "$m")" = "$m $m@2" ]
	[ "$(serves "$m.stable")" = "$m.stable $m.stable@1" ]
}

@test "retire stops it, and it stays out" {
	vllm deploy "$m" 1 /srv/store/1
	vllm promote "$m" 1 /srv/store/1
	run vllm retire "$m" 1
	ok
	for name in "$m" "$m.stable"; do
		run inside systemctl is-active "vllm@$name.service"
		failed
		# Without the file the unit does not start, at boot either.
		inside systemctl start "vllm@$name.service"
		run inside systemctl is-active "vllm@$name.service"
		failed
	done
	for verb in deploy promote rollback; do
		run vllm $verb "$m" 1 /srv/store/1
		failed
		has 'retired on this host'
	done
}

@test "rule1, rule2: names, paths and folders that would mean something else" {
	for bad in '' .. ../m 'm m' 'm@x' 'm%i' "m\$(id)" m.stable; do
		run vllm deploy "$bad" 1 /srv/store/1
		failed
	done
	mkdir "$host/srv/store/\$HOME"
	run vllm deploy "$m" 1 "/srv/store/\$HOME"
	failed
	has 'other characters'
	chmod 777 "$host/srv/units/$m"
	run vllm deploy "$m" 1 /srv/store/1
	failed
	has 'written by others'
	chmod 755 "$host/srv/units/$m"
	echo 'PORT=80 --evil' >"$host/srv/units/$m/site.env"
	run vllm deploy "$m" 1 /srv/store/1
	failed
	has 'no PORT=number'
	for args in "deploy $m 1 /srv/store/1 x" "deploy $m" "start $m 1"; do
		# shellcheck disable=SC2086
		run vllm $args
		[ "$status" -eq 2 ]
	done
	run inside /opt/ops/unit deploy "$m" 1 /srv/store/1
	[ "$status" -eq 2 ]
}

@test "the shipped units are units" {
	run systemd-analyze verify --offline=true --man=no "$host"/units/vllm@.service
	hasnt 'Unknown'
}
