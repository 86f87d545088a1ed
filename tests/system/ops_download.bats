#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# ops/huggingface, ops/mlflow and ops/s3-download. What they ask is
# registry_stand_in.py, written after the documentation of the three, and not
# the registries themselves, which are in no package. s3-download asks with
# the real aws(1), and a real server: OpenStack Swift (swift_s3.py); the
# stand-in plays what that would never do.
# shellcheck disable=SC2154,SC2030,SC2031

bats_require_minimum_version 1.5.0
load lib

commit=0123456789abcdef0123456789abcdef01234567

setup()
{
	cd "$BATS_TEST_TMPDIR"
	mkdir -p models files/sub
	echo '{}' >files/config.json
	echo more >files/sub/tokens.txt
	: >files/empty
	head -c 300000 /dev/urandom >files/model.safetensors
	echo 'Authorization: Bearer sesame' >secret
}
teardown() { [ -z "${registry-}" ] || kill "$registry"; }

# registry KIND [FOLDER]
registry()
{
	python3 "$top/tests/system/registry_stand_in.py" "$1" "$PWD/${2-files}" >said 2>err 3>&- &
	registry=$!
	soon test -s said
	url=http://127.0.0.1:$(head -n 1 said)
}
goes_wrong() { printf '%s\n' "$@" >files.how; }
hf() { "$top/scripts/ops/huggingface" -m "$PWD/models" -u "$url" -k "$PWD/secret" -n ns download "$@"; }
mlflow() { "$top/scripts/ops/mlflow" -m "$PWD/models" -u "$url" download "$@"; }
s3() { "$top/scripts/ops/s3-download" -m "$PWD/models" -e "$url" -c "$PWD/credentials" -b bucket/pre download "$@"; }

# Nothing of it is there, and not a part either.
nothing() { [ -z "$(find models -mindepth 2 ! -name .lock)" ] || fail "$(find models)"; }

@test "huggingface: a commit comes whole and as it is" {
	registry huggingface
	run hf m $commit
	ok
	has "4 files, 300008 bytes"
	diff -r files models/m/$commit
	[ "$(stat -c %a models/m/$commit)" = 755 ]
	run hf m $commit
	failed
	has 'here already'
	# The secret went to the registry, and not to where that sent us.
	grep -q 'no secret' said
	run ! grep -q 'secret seen' said
}

@test "huggingface: what moves is no version" {
	registry huggingface
	for v in main v1.0 refs/pr/1 '' HEAD ${commit%?} ${commit}0 ${commit%?}G ${commit^^}; do
		run hf m "$v"
		failed
		has 'not a branch or a tag'
	done
	goes_wrong moved
	run hf m $commit
	failed
	has 'another commit'
	nothing
}

@test "huggingface: bytes that are not the commit's, too few and too many" {
	registry huggingface
	goes_wrong evil
	run hf m $commit
	failed
	has 'is not what the commit has'
	# A large file and a small one.
	rm files/config.json files/sub/tokens.txt files/empty
	run hf m $commit
	failed
	has 'model.safetensors is not what the commit has: sha256'
	for how in short less more; do
		goes_wrong $how
		run hf m $commit
		failed
	done
	nothing
}

@test "huggingface: names that lead elsewhere, and sizes that cannot be" {
	registry huggingface
	for name in ../x /etc/x a/../../x a//b ./x -x sub/-x 'a%20b' 'a%09b' 'a%0ab' 'a%1b[31m' \
	    config.json "$(printf 'a%.0s' $(seq 600))"; do
		goes_wrong "name=$name"
		run hf m $commit
		failed
		hasnt $'\e'
	done
	goes_wrong size=900000000000000
	run hf m $commit
	failed
	has 'are free'
	[ "$(grep -c resolve said)" = 0 ]
	nothing
}

@test "huggingface: a registry that is elsewhere, in the clear, or gone" {
	registry huggingface
	for u in http://example.com file:///etc/passwd ftp://127.0.0.1 -x; do
		run "$top/scripts/ops/huggingface" -m "$PWD/models" -u "$u" -n ns download m $commit
		failed
	done
	echo 'X-Other: 1' >>secret
	run hf m $commit
	failed
	has 'other headers'
	: >secret
	run hf m $commit
	failed
	kill "$registry"
	wait "$registry" || :
	registry=
	run hf m $commit
	failed
	has 'does not answer'
	nothing
	for bad in '' .. m/../n 'm?x' "m\$(id)"; do
		run hf "$bad" $commit
		failed
	done
}

@test "huggingface: what was cut off is begun anew, and nothing is left of it" {
	registry huggingface
	mkdir -p models/m/.$commit.partial
	echo old >models/m/.$commit.partial/old
	run hf m $commit
	ok
	diff -r files models/m/$commit
	[ "$(find models/m -mindepth 1 -maxdepth 1 ! -name .lock)" = models/m/$commit ]
}

@test "mlflow: a version comes whole" {
	registry mlflow
	run mlflow m 3
	ok
	diff -r files models/m/3
	for v in Production latest 1a 01 '' '@champion'; do
		run mlflow m "$v"
		failed
		has 'not a number'
	done
}

@test "mlflow: what is not ready, lies elsewhere, changes or ends early" {
	registry mlflow
	goes_wrong failed
	run mlflow m 3
	failed
	has 'not ready'
	for uri in s3://b/x file:///etc mlflow-artifacts://h/x mlflow-artifacts:/../x; do
		goes_wrong "uri=$uri"
		run mlflow m 3
		failed
	done
	goes_wrong grows
	run mlflow m 3
	failed
	has 'changed meanwhile'
	goes_wrong less
	run mlflow m 3
	failed
	goes_wrong die
	run mlflow m 3
	failed
	registry=
	nothing
}

# s3_do STEP...: what a publisher does to the bucket; a step is bucket,
# versions, put=KEY or delete=KEY. What is put at a/b/c is files/c.
s3_do()
{
	URL=$url /usr/bin/python3 - "$@" <<'END'
import os, sys
import awscli.botocore.session as session
s3 = session.get_session().create_client(
    "s3", region_name="us-east-1", endpoint_url=os.environ["URL"],
    aws_access_key_id="test:tester", aws_secret_access_key="testing")
for step in sys.argv[1:]:
    verb, _, key = step.partition("=")
    if verb == "bucket":
        s3.create_bucket(Bucket="bucket")
    elif verb == "versions":
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    elif verb == "delete":
        s3.delete_object(Bucket="bucket", Key=key)
    else:
        with open("files/" + os.path.basename(key), "rb") as f:
            s3.put_object(Bucket="bucket", Key=key, Body=f)
END
}

@test "s3: a real server: one version of each object, and nothing that was written again or deleted" {
	/usr/bin/python3 "$top/tests/system/swift_s3.py" "$PWD/swift" >said 2>err 3>&- &
	registry=$!
	soon -t 60 test -s said
	url=http://127.0.0.1:$(cat said)
	printf '[default]\naws_access_key_id = test:tester\naws_secret_access_key = testing\n' >credentials
	s3_do bucket put=pre/m/0/config.json
	run s3 m 0
	failed
	has 'does not keep versions'
	s3_do versions put=pre/m/1/config.json put=pre/m/1/sub/model.safetensors
	run s3 m 1
	ok
	cmp files/config.json models/m/1/config.json
	cmp files/model.safetensors models/m/1/sub/model.safetensors
	run s3 m 0 # from before the bucket kept versions
	failed
	has 'has no version'
	s3_do put=pre/m/1/config.json put=pre/m/2/config.json delete=pre/m/2/config.json
	rm -r models/m
	for v in 1 2; do
		run s3 m $v
		failed
		has 'written again or deleted'
	done
	nothing
}

@test "s3: objects come in the versions that were listed" {
	printf '[default]\naws_access_key_id = a\naws_secret_access_key = b\n' >credentials
	mkdir -p bucket/pre/m
	cp -r files bucket/pre/m/1
	registry s3 bucket
	run s3 m 1
	ok
	diff -r files models/m/1
	[ "$(grep -c 'versionId=v-' said)" = 4 ]
	echo again >bucket.how
	run s3 m 1
	failed
	has 'here already'
	rm -r models/m
	run s3 m 1
	failed
	has 'written again or deleted'
	echo deleted >bucket.how
	run s3 m 1
	failed
	has 'written again or deleted'
	echo unversioned >bucket.how
	run s3 m 1
	failed
	has 'does not keep versions'
	echo version >bucket.how
	run s3 m 1
	failed
	has 'in another version'
	echo less >bucket.how
	run s3 m 1
	failed
	has 'bytes and not'
	run s3 m 2
	failed
	has 'no files'
	nothing
}

@test "wrong usage is 2" {
	for h in huggingface mlflow s3-download; do
		for args in '' download 'download m' 'fetch m 1' '-x download m 1'; do
			# shellcheck disable=SC2086
			run "$top/scripts/ops/$h" $args
			[ "$status" -eq 2 ]
			has usage
		done
	done
}
