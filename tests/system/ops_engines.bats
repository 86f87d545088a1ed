#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# ops/triton, ops/ollama and ops/tfserving. None of the engines is in Debian:
# what they talk to here is engine_stand_in.py, written after the engines'
# documentation, and not the engines themselves.
# shellcheck disable=SC2154,SC2030,SC2031

bats_require_minimum_version 1.5.0
load lib

setup()
{
	cd "$BATS_TEST_TMPDIR"
	mkdir -p store/1 store/2 store/bad repository tf
	for v in 1 2; do
		echo "model $v" >store/$v/model.onnx
		echo "gguf $v" >store/$v/weights.gguf
		echo "tf $v" >store/$v/saved_model.pb
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
tfserving() { "$top/scripts/ops/tfserving" -u "$url" -r "$PWD/tf" -w 5 "$@"; }
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

@test "triton: promote serves the version as MODEL.stable, beside what comes after" {
	engine triton "$PWD/repository" sesame
	run triton promote m 1 "$PWD/store/1"
	failed
	has 'not served; deploy it first'
	triton deploy m 1 "$PWD/store/1"
	run triton promote m 1 "$PWD/store/2"
	failed
	has 'other bytes'
	run triton promote m 1 "$PWD/store/1"
	ok
	[ "$output" = 'm.stable: serves 1 now' ]
	triton deploy m 2 "$PWD/store/2"
	curl -sf "$url/v2/models/m.stable/versions/1/ready"
	curl -sf "$url/v2/models/m/versions/2/ready"
	run triton deploy m.stable 1 "$PWD/store/1"
	failed
	has 'name of what was promoted'
	# Its name stands in the file: under another it would not come up.
	echo 'name: "m"' >store/2/config.pbtxt
	triton deploy m 2 "$PWD/store/2"
	run triton promote m 2 "$PWD/store/2"
	failed
	has 'without a name it can be promoted'
	curl -sf "$url/v2/models/m.stable/versions/1/ready"
}

@test "triton: rollback goes to what was deployed, and not to what is retired" {
	engine triton "$PWD/repository" sesame
	run triton rollback m 1 "$PWD/store/1"
	failed
	has 'never deployed'
	triton deploy m 1 "$PWD/store/1"
	triton promote m 1 "$PWD/store/1"
	triton deploy m 2 "$PWD/store/2"
	triton retire m 1
	run curl -sf "$url/v2/models/m.stable/versions/1/ready"
	failed
	curl -sf "$url/v2/models/m/versions/2/ready"
	for verb in deploy promote rollback; do
		run triton $verb m 1 "$PWD/store/1"
		failed
		has 'retired on this host'
	done
}

@test "triton: a server that goes away while a version is loaded" {
	engine triton "$PWD/repository" sesame
	triton deploy m 1 "$PWD/store/1"
	: >repository/die
	run triton deploy m 2 "$PWD/store/2"
	failed
	has 'does not answer'
	has '1 no more either'
	grep -q 'versions: \[1\]' repository/m/config.pbtxt
	[ ! -e repository/m/2 ]
	engine=
}

@test "tfserving: versions are pinned, labels move when they are loaded" {
	engine tfserving "$PWD/tf/models.config"
	run tfserving deploy m 1 "$PWD/store/1"
	ok
	[ "$output" = 'm: serves 1 now' ]
	run tfserving promote m 1 "$PWD/store/1"
	ok
	run tfserving deploy m 2 "$PWD/store/2"
	ok
	[ "$output" = 'm: serves 2 now, 1 before' ]
	cat tf/models.config
	cat >want <<-END
		model_config_list {
		  config { name: "m" base_path: "$PWD/tf/m" model_platform: "tensorflow" model_version_policy { specific { versions: 1 versions: 2 } } version_labels { key: "live" value: 2 } version_labels { key: "stable" value: 1 } }
		}
	END
	diff want tf/models.config
	label() { curl -sf "$url/v1/models/m/labels/$1" | jq -r '.model_version_status[].version'; }
	[ "$(label live) $(label stable)" = '2 1' ]
	run tfserving rollback m 1 "$PWD/store/1"
	ok
	[ "$(label live)" = 1 ]
	# Nothing points to 2 any more: it is unloaded, and not before.
	[ "$(said '^unloaded')" = 1 ]
	grep -qx 'unloaded m 2' said
	[ "$(said rejected)" = 0 ]
	run tfserving rollback m 3 "$PWD/store/1"
	failed
	has 'never deployed'
}

@test "tfserving: a label put on a version that is not loaded would be refused" {
	engine tfserving "$PWD/tf/models.config"
	tfserving deploy m 1 "$PWD/store/1"
	sed -i 's/value: 1/value: 9/; s/versions: 1/versions: 9/' tf/models.config
	run curl -s "$url/v1/models/m/labels/live"
	[ "$(said 'rejected m live 9')" = 1 ]
}

@test "tfserving: the other models of the list stay as they are" {
	engine tfserving "$PWD/tf/models.config"
	mkdir -p others/7
	: >others/7/saved_model.pb
	cat >tf/models.config <<-END
		model_config_list {
		# by hand
		config { name: 'other' base_path: '$PWD/others'
		model_version_policy { specific { versions: 7 } } }
		}
	END
	cp tf/models.config before
	tfserving deploy m 1 "$PWD/store/1"
	curl -sf "$url/v1/models/other/versions/7"
	grep -vF '"m"' tf/models.config >after
	diff before after
	tfserving retire m 1
	diff before tf/models.config
	run ! grep -q 'unloaded other' said
	run tfserving deploy other 1 "$PWD/store/1"
	failed
	has 'somebody else wrote'
	diff before tf/models.config
	echo '# more' >>tf/models.config
	run tfserving deploy m 2 "$PWD/store/2"
	failed
	has 'does not begin with'
}

@test "tfserving: a version that does not come up leaves the old one live" {
	engine tfserving "$PWD/tf/models.config"
	tfserving deploy m 1 "$PWD/store/1"
	cp tf/models.config before
	run tfserving deploy m 2 "$PWD/store/bad"
	failed
	has 'does not come up: no saved_model.pb'
	has '1 stays live'
	hasnt $'\e'
	diff before tf/models.config
	[ ! -e tf/m/2 ]
	run ! grep -q 'unloaded m 1' said
	kill "$engine"
	wait "$engine" || :
	engine=
	run tfserving deploy m 2 "$PWD/store/2"
	failed
	has 'does not answer'
	diff before tf/models.config
}

@test "tfserving: versions that shadow each other, and bytes under a loaded one" {
	engine tfserving "$PWD/tf/models.config"
	for v in 01 0 1a 1.0 -1 '' 9999999999999999999; do
		run tfserving deploy m "$v" "$PWD/store/1"
		failed
	done
	tfserving deploy m 1 "$PWD/store/1"
	run tfserving deploy m 1 "$PWD/store/2"
	failed
	has 'loaded from other bytes'
	[ "$(readlink tf/m/1)" = "$PWD/store/1" ]
	mkdir tf/m/0002
	run tfserving deploy m 2 "$PWD/store/2"
	failed
	has 'for another version'
}

@test "tfserving: retire unloads it, and it stays out" {
	engine tfserving "$PWD/tf/models.config"
	tfserving deploy m 1 "$PWD/store/1"
	tfserving deploy m 2 "$PWD/store/2"
	run tfserving retire m 2
	ok
	[ "$output" = 'm: 2 is retired; nothing is live' ]
	run ! grep -q '"m"' tf/models.config
	[ ! -e tf/m/2 ]
	run tfserving deploy m 2 "$PWD/store/2"
	failed
	has 'retired on this host'
	tfserving rollback m 1 "$PWD/store/1"
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
