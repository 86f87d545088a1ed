#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# Rules that want an artifact signed: artifact = signed [by NAME, ...].
# shellcheck disable=SC2154,SC2016

load lib

art=/usr/libexec/modelgate/modelgate-artifact

setup_file()
{
	host_up
	root sh -c 'cd /root && for n in fraud-team ml-platform stranger; do
		openssl ecparam -name prime256v1 -genkey -noout -out $n.key
		openssl pkey -in $n.key -pubout -out $n.pub
	done
	install -d /etc/modelgate/signers
	cp fraud-team.pub /etc/modelgate/signers/fraud-team.pem
	cp ml-platform.pub /etc/modelgate/signers/ml-platform.pem' </dev/null
	extra_policy <<'END'
[operation show]
command = /bin/cat {artifact}/weights
run-as = mlserve
artifact = /srv/models/{model}/{version}

[operation drop]
command = /bin/true {model}
run-as = mlserve

[model vital-*]
tier = high

[rule test-any]
operation = show
role = ml-engineer
artifact = signed

[rule test-high]
operation = show
effect = require
model = tier:high
artifact = signed by fraud-team

[rule test-drop]
operation = drop
role = ml-engineer
artifact = signed
END
}
teardown_file() { host_down; }

# model NAME: fresh, unsigned.
model()
{
	root sh -c "rm -rf /srv/models/$1; mkdir -p /srv/models/$1/1
	    echo bytes of $1 >/srv/models/$1/1/weights" </dev/null
}
# sign NAME SIGNER
sign() { root "$art" sign "/srv/models/$1/1" --key "/root/$2.key" </dev/null >/dev/null; }
deploy() { as alice "modelgate run show $1@1" </dev/null; }

@test "a model that an accepted signer signed is served, and who is on record" {
	model plain
	sign plain ml-platform
	run deploy plain
	ok
	[ "$output" = 'bytes of plain' ]
	run ledger request
	has '"signer":"ml-platform"'
}

@test "an unsigned model is refused, with the reason" {
	model plain
	run deploy plain
	[ "$status" -eq 125 ]
	has "no signature"
	run as alice 'modelgate run show plain@1 --json' </dev/null
	has '"artifact-unsigned"'
}

@test "a stranger's signature is refused" {
	model plain
	sign plain stranger
	run deploy plain
	[ "$status" -eq 125 ]
	has "none of the signers"
}

@test "a tier's own signers are asked for, and no others" {
	model vital-1
	sign vital-1 ml-platform
	run deploy vital-1
	[ "$status" -eq 125 ]
	has "none of the signers"
	sign vital-1 fraud-team
	run deploy vital-1
	ok
	[ "$output" = 'bytes of vital-1' ]
}

@test "a file more, less or other than what was signed is refused" {
	for change in 'echo x >extra' 'rm weights' 'echo other >weights' \
	    'mkdir .git && echo x >.git/hook'; do
		model plain
		root sh -c 'echo 2 >/srv/models/plain/1/second' </dev/null
		sign plain ml-platform
		root sh -c "cd /srv/models/plain/1 && $change" </dev/null
		run deploy plain
		[ "$status" -eq 125 ] || fail "$change"
	done
}

@test "a signature that is a link, a pipe or rubbish is refused" {
	for sig in 'ln -s /root/stranger.pub model.sig' 'mkfifo model.sig' \
	    'echo {} >model.sig' 'head -c 1000000 /dev/zero >model.sig'; do
		model plain
		root sh -c "cd /srv/models/plain/1 && $sig" </dev/null
		run deploy plain
		[ "$status" -eq 125 ] || fail "$sig"
	done
}

@test "a signer whose key was taken away counts no more, at the use either" {
	model plain
	sign plain ml-platform
	as alice 'modelgate request show plain@1 --reason later' </dev/null
	root mv /etc/modelgate/signers/ml-platform.pem /root/kept.pem </dev/null
	run deploy plain
	root mv /root/kept.pem /etc/modelgate/signers/ml-platform.pem </dev/null
	[ "$status" -eq 125 ]
	has "none of the signers"
	run as alice 'modelgate grants --json' </dev/null
	hasnt '"granted"'
}

@test "a signer's file that others can write is not believed" {
	model vital-1
	sign vital-1 fraud-team
	root chmod 666 /etc/modelgate/signers/fraud-team.pem </dev/null
	run deploy vital-1
	root chmod 644 /etc/modelgate/signers/fraud-team.pem </dev/null
	[ "$status" -eq 125 ]
	has fraud-team.pem
}

@test "certificates: the identity has to be a signer's" {
	root sh -c 'cd /root &&
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout ca.key -out ca.pem -subj /CN=root -days 30
	for n in right wrong; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		    -keyout $n.key -out $n.csr -subj /O=Acme/CN=$n
		echo keyUsage=critical,digitalSignature >ext
		openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key \
		    -CAcreateserial -extfile ext -days 10 -out $n.pem
	done
	{ echo identity: CN=right,O=Acme; cat ca.pem; } \
	    >/etc/modelgate/signers/acme.pem' </dev/null 2>/dev/null
	model plain
	root sh -c "$art sign /srv/models/plain/1 --key /root/wrong.key --cert /root/wrong.pem" </dev/null
	run deploy plain
	[ "$status" -eq 125 ]
	model plain
	root sh -c "$art sign /srv/models/plain/1 --key /root/right.key --cert /root/right.pem" </dev/null
	run deploy plain
	ok
	root rm /etc/modelgate/signers/acme.pem </dev/null
}

@test "an operation without an artifact cannot meet the rule" {
	run as alice 'modelgate run drop plain' </dev/null
	[ "$status" -eq 125 ]
	has 'names none'
}
