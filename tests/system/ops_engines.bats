#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# ops/triton and ops/ollama. Neither engine is in Debian: what they talk to
# here is engine_stand_in.py, written after the engines' documentation, and
# not the engines themselves.
# shellcheck disable=SC2154

bats_require_minimum_version 1.5.0
load lib

setup()
{
	cd "$BATS_TEST_TMPDIR"
	mkdir -p store/1 store/2 store/bad repository
	for v in 1 2; do
		echo "model $v" >store/$v/model.onnx
		echo "gguf $v" >store/$v/weights.gguf
	done
	printf 'Triton-Key: x\nkey: sesame\n' >secret
}
teardown() { [ -z "${engine-}" ] || kill "$engine"; }

# engine HOW [ARGUMENTS]: starts the stand-in.
engine()
{
	python3 "$top/tests/system/engine_stand_in.py" "$@" >said 2>err 3>&- &
	engine=$!
	soon test -s said
	url=http://127.0.0.1:$(head -n 1 said)
}
triton() { "$top/scripts/ops/triton" -u "$url" -r "$PWD/repository" -k "$PWD/secret" "$@"; }
ollama() { "$top/scripts/ops/ollama" -u "$url" "$@"; }
said() { grep -c "$1" said; }

@test "triton: deploy pins the version and waits until it is ready" {
	engine triton "$PWD/repository" sesame
	run triton deploy m 1 "$PWD/store/1"
	ok
	[ "$output" = 'm: serves 1 now' ]
	grep -q 'versions: \[1\]' repository/m/config.pbtxt
	[ "$(readlink repository/m/1)" = "$PWD/store/1" ]
	run triton deploy m 2 "$PWD/store/2"
	ok
	[ "$output" = 'm: serves 2 now, 1 before' ]
	# It was unloaded first.
	[ "$(grep -n 'm/unload' said | cut -d: -f1)" -lt "$(grep -n 'm/load' said | tail -n 1 | cut -d: -f1)" ]
	run triton rollback m 1 "$PWD/store/1"
	ok
	grep -q 'versions: \[1\]' repository/m/config.pbtxt
}

@test "triton: without the secret header nothing can be loaded" {
	engine triton "$PWD/repository" another
	run triton deploy m 1 "$PWD/store/1"
	failed
	has '403'
	[ ! -e repository/m/config.pbtxt ]
}

@test "triton: the secret is in nobody's arguments" {
	engine triton "$PWD/repository" sesame
	command -v strace >/dev/null || skip "no strace"
	strace -f -e trace=execve -s 4096 -o trace \
	    "$top/scripts/ops/triton" -u "$url" -r "$PWD/repository" \
	    -k "$PWD/secret" deploy m 1 "$PWD/store/1"
	grep -q curl trace
	run ! grep -q sesame trace
}

@test "triton: a version that does not come up puts the old one back" {
	engine triton "$PWD/repository" sesame
	triton deploy m 1 "$PWD/store/1"
	run triton deploy m 2 "$PWD/store/bad"
	failed
	has '1 is served again'
	hasnt $'\e'
	grep -q 'versions: \[1\]' repository/m/config.pbtxt
	run curl -sf "$url/v2/models/m/versions/1/ready"
	ok
	run triton deploy n 1 "$PWD/store/bad"
	failed
	has 'nothing is served'
	[ ! -e repository/n/config.pbtxt ]
}

@test "triton: versions that it would pass over, or serve by themselves" {
	engine triton "$PWD/repository" sesame
	for v in 01 0 1a 1.0 -1 9999999999999999999; do
		run triton deploy m "$v" "$PWD/store/1"
		failed
	done
	echo 'version_policy: { all: { } }' >store/1/config.pbtxt
	run triton deploy m 1 "$PWD/store/1"
	failed
	has 'version_policy of its own'
}

@test "triton: names that are no names, and engines that are elsewhere" {
	engine triton "$PWD/repository" sesame
	for bad in '' .. ../m m/../n 'm?x' 'm%2e' "m\$(id)"; do
		run triton deploy "$bad" 1 "$PWD/store/1"
		failed
	done
	for u in http://example.com:80 file:///etc/passwd https://127.0.0.1:1 \
	    'http://127.0.0.1.example.com:80' http://127.0.0.1:80@example.com \
	    http://127.0.0.1:80@example.com:80/; do
		run "$top/scripts/ops/triton" -u "$u" -r "$PWD/repository" deploy m 1 "$PWD/store/1"
		failed
		has 'not an engine on this host'
	done
}

@test "triton: a model that others lose is told" {
	engine triton "$PWD/repository" sesame
	: >repository/evict
	run triton deploy m 1 "$PWD/store/1"
	failed
	has 'model other was ready before'
}

@test "triton: retire unloads and removes it" {
	engine triton "$PWD/repository" sesame
	triton deploy m 1 "$PWD/store/1"
	run triton retire m 1
	ok
	[ ! -e repository/m/1 ]
	[ ! -e repository/m/config.pbtxt ]
	run curl -sf "$url/v2/models/m/versions/1/ready"
	failed
}

@test "ollama: deploy, promote, roll back, retire" {
	engine ollama
	run ollama deploy m 1 "$PWD/store/1"
	ok
	[ "$output" = 'm: live is 1 now' ]
	ollama promote m 1
	ollama deploy m 2 "$PWD/store/2"
	one=$(sha256sum <store/1/weights.gguf | cut -c1-64)
	two=$(sha256sum <store/2/weights.gguf | cut -c1-64)
	tag() { curl -s "$url/api/tags" | jq -r --arg n "m:$1" '.models[] | select(.name == $n) | .digest'; }
	[ "$(tag live)" = "$two" ]
	[ "$(tag stable)" = "$one" ]
	ollama rollback m 1
	[ "$(tag live)" = "$one" ]
	ollama retire m 1
	[ -z "$(tag live)$(tag stable)$(tag 1)" ]
	[ "$(tag 2)" = "$two" ]
	run ollama rollback m 1
	failed
	has 'never deployed'
}

@test "ollama: names that move, names it does not tell apart, several files" {
	engine ollama
	for v in live latest stable; do
		run ollama deploy m $v "$PWD/store/1"
		failed
		has 'a name that moves'
	done
	run ollama deploy M 1 "$PWD/store/1"
	failed
	has 'upper from lower case'
	cp store/1/weights.gguf store/1/more.gguf
	run ollama deploy m 1 "$PWD/store/1"
	failed
	has 'more than one'
	run ollama deploy m 1 "$PWD/store/bad"
	failed
	has 'no .gguf'
	[ "$(said /api/create)" = 0 ]
}

@test "the shipped examples are operations that load" {
	for f in "$top"/config/operations.d/*.ini.example; do
		rm -rf policy
		mkdir -p policy/policy.d
		cp "$top"/config/policy.d/people.ini policy/policy.d
		cp "$f" policy/policy.d/operations.ini
		run "$top/${B:-build/cc}/modelgate-policy" check policy/policy.d
		ok
	done
}

@test "an engine that is not there is told" {
	engine ollama
	kill "$engine"
	wait "$engine" || :
	engine=
	run ollama deploy m 1 "$PWD/store/1"
	failed
	has 'does not answer'
}
