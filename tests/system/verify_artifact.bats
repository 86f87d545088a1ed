#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# modelgate-artifact as people use it, against openssl, sha256sum and the
# vectors of the OpenSSF Model Signing specification. The vectors are not
# part of this tree: MG_VECTORS says where they lie.

setup_file()
{
	cd "$BATS_TEST_DIRNAME/../.." || return 1
	export TOP="$PWD"
	local b=${B:-build/cc}
	case $b in /*) ;; *) b=$TOP/$b ;; esac
	export ART=$b/modelgate-artifact
	export VECTORS=${MG_VECTORS:-$TOP/../shared/vectors}/oms
	cd "$BATS_FILE_TMPDIR" || return 1
	local c
	for c in prime256v1 secp384r1 secp521r1; do
		openssl ecparam -name $c -genkey -noout -out $c.key
		openssl pkey -in $c.key -pubout -out $c.pub
		chmod 600 $c.key
	done
}

setup()
{
	cd "$BATS_TEST_TMPDIR"
	KEYS=$BATS_FILE_TMPDIR
	mkdir -p model/sub
	printf 'weights' >model/weights.bin
	printf 'more' >model/sub/more
	: >model/empty
}

# The vectors are somebody else's and may not be here.
need_vectors()
{
	[ -d "$VECTORS" ] || skip "no vectors in $VECTORS (MG_VECTORS)"
}

# by_hand: the digest with nothing of ours, of the folder $1.
by_hand()
{
	(cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z |
	    xargs -0 sha256sum -- | sha256sum | cut -c1-64)
}

# block KIND N: the Nth block of that kind in a section of PROTOCOL.md.
block()
{
	awk -v kind='```'"$1" -v want="$2" '
	/^## / { in_section = $0 == "## Artifact digest" }
	in_section && $0 == kind { n++; on = 1; next }
	/^```$/ { on = 0 }
	on && n == want' "$TOP/agent/PROTOCOL.md"
}

# code: what --json says in $output.
code() { jq -r .code <<<"$output"; }

# ---- digest ----

@test "the digest is what find, sort and sha256sum make of it" {
	printf x >'model/-rf'
	printf x >'model/a b'
	printf x >'model/café'
	mkdir model/a
	printf x >model/a/z
	printf x >model/a.z
	run "$ART" digest model
	[ "$status" -eq 0 ]
	[ "$output" = "sha256:$(by_hand model)" ]
}

@test "the examples of PROTOCOL.md come out as written" {
	mkdir p
	cd p
	[ "$(sh -c "$(block sh 1)")" = "$(block digest 1)" ]
	[ "$("$ART" digest .)  -" = "sha256:$(block digest 1)" ]
	[ "$(sh -c "$(block sh 2)")" = "$(block digest 2)" ]
	[ "$("$ART" digest b/c)  -" = "sha256:$(block digest 2)" ]
}

@test "the manifest is one that sha256sum checks" {
	"$ART" digest --manifest model >manifest
	[ "sha256:$(sha256sum <manifest | cut -c1-64)" = \
	    "$("$ART" digest model)" ]
	cd model
	sha256sum --strict -c ../manifest
}

@test "digest needs no privileges" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to be somebody else"
	chmod -R a+rX "$BATS_TEST_TMPDIR"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
	    "$ART" digest "/proc/self/cwd/model"
	[ "$status" -eq 0 ] || [[ $output == *"Permission denied"* ]]
	local d
	d=$(mktemp -d)
	cp -r model "$d"
	chmod -R a+rX "$d"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
	    "$ART" digest "$d/model"
	local want
	want=$(by_hand "$d/model")
	rm -rf "$d"
	[ "$output" = "sha256:$want" ]
}

@test "what an artifact may not hold is named, with status 125" {
	ln -s weights.bin model/link
	run "$ART" digest model
	[ "$status" -eq 125 ]
	[[ $output == *"model: 'link' is a symbolic link"* ]]
	rm model/link
	mkfifo model/fifo
	run "$ART" digest model --json
	[ "$status" -eq 125 ]
	[ "$(code)" = artifact ]
	rm model/fifo
	ln model/weights.bin model/again
	run "$ART" digest model
	[[ $output == *"has 2 names"* ]]
	rm model/again
	printf x >model/$'evil\e[2J'
	run "$ART" digest model
	[ "$status" -eq 125 ]
	[[ $output != *$'\e'* ]]
}

# ---- usage ----

@test "wrong usage is status 2 and says what is wrong" {
	run "$ART"
	[ "$status" -eq 2 ]
	run "$ART" frobnicate
	[ "$status" -eq 2 ]
	run "$ART" digest
	[ "$status" -eq 2 ]
	[[ $output == *"which folder or file"* ]]
	run "$ART" digest a b
	[ "$status" -eq 2 ]
	run "$ART" digest --key x model
	[ "$status" -eq 2 ]
	[[ $output == *"digest does not take that"* ]]
	run "$ART" verify model
	[ "$status" -eq 2 ]
	[[ $output == *"whom to trust"* ]]
	run "$ART" verify model --ca x
	[ "$status" -eq 2 ]
	[[ $output == *"identity"* ]]
	run "$ART" verify model --key x --key y
	[ "$status" -eq 2 ]
	run "$ART" verify model --key x --ca y --identity z
	[ "$status" -eq 2 ]
	run "$ART" sign model
	[ "$status" -eq 2 ]
	run "$ART" digest model --threads 0
	[ "$status" -eq 2 ]
	run "$ART" digest model --max-bytes -1
	[ "$status" -eq 2 ]
	run "$ART" sign model --key x --hash md5
	[ "$status" -eq 2 ]
}

@test "--help is not an error" {
	run "$ART" --help
	[ "$status" -eq 0 ]
	[[ $output == *"artifact sign"* ]]
	run "$ART" verify --help
	[ "$status" -eq 0 ]
}

@test "what is not there is status 125" {
	run "$ART" digest absent
	[ "$status" -eq 125 ]
	[[ $output == *"cannot open 'absent'"* ]]
	run "$ART" verify model --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 125 ]
	[[ $output == *"model.sig"* ]]
	run "$ART" sign model --key absent --json
	[ "$status" -eq 125 ]
	[ "$(code)" = unreadable ]
}

# ---- what we sign, others verify ----

# check_by_hand SIGNATURE PUBLIC-KEY DIGEST: with openssl alone.
check_by_hand()
{
	jq -r .dsseEnvelope.payload "$1" | base64 -d >payload
	jq -r '.dsseEnvelope.signatures[0].sig' "$1" | base64 -d >sig
	{
		printf 'DSSEv1 28 application/vnd.in-toto+json %d ' \
		    "$(stat -c %s payload)"
		cat payload
	} >pae
	openssl dgst "-$3" -verify "$2" -signature sig pae
	# The hint is the digest of the PEM text.
	[ "$(jq -r .verificationMaterial.publicKey.hint "$1")" = \
	    "$(openssl pkey -pubin -in "$2" -pubout | sha256sum |
		cut -c1-64)" ]
	# The root digest is that of the raw digests in order.
	[ "$(jq -r '.subject[0].digest.sha256' payload)" = \
	    "$(jq -r '.predicate.resources[].digest' payload |
		xxd -r -p | sha256sum | cut -c1-64)" ]
}

@test "openssl verifies what we sign, with each curve" {
	while read -r curve md; do
		run "$ART" sign model --key "$KEYS/$curve.key"
		[ "$status" -eq 0 ]
		check_by_hand model/model.sig "$KEYS/$curve.pub" "$md"
		"$ART" verify model --key "$KEYS/$curve.pub"
	done <<-TABLE
	prime256v1 sha256
	secp384r1 sha384
	secp521r1 sha512
	TABLE
}

@test "the list holds every file once, with sha256sum's digests" {
	"$ART" sign model --key "$KEYS/prime256v1.key" --ignore sub/more
	jq -r .dsseEnvelope.payload model/model.sig | base64 -d |
	    jq -r '.predicate.resources[] | .digest + "  " + .name' >list
	(cd model && sha256sum empty weights.bin) | diff - list
	run "$ART" verify model --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 0 ]
	[[ $output == *"not covered by the signature: sub/more"* ]]
	run "$ART" verify model --key "$KEYS/prime256v1.pub" --strict --json
	[ "$status" -eq 1 ]
	[ "$(code)" = uncovered ]
}

@test "shards are what head, tail and sha256sum make of them" {
	"$ART" sign model --key "$KEYS/prime256v1.key" --shard-size 5
	jq -r .dsseEnvelope.payload model/model.sig | base64 -d >p
	[ "$(jq -r '.predicate.resources[].name' p | tr '\n' ' ')" = \
	    "sub/more:0:4 weights.bin:0:5 weights.bin:5:7 " ]
	[ "$(jq -r '.predicate.resources[2].digest' p)" = \
	    "$(tail -c 2 model/weights.bin | sha256sum | cut -c1-64)" ]
	"$ART" verify model --key "$KEYS/prime256v1.pub"
	[ "$("$ART" digest --oms --shard-size 5 model)" = \
	    "sha256:$(jq -r '.subject[0].digest.sha256' p)" ]
}

@test "a private key with a passphrase is asked for it" {
	command -v expect >/dev/null || skip "no expect"
	openssl ec -in "$KEYS/prime256v1.key" -aes128 -passout pass:secret \
	    -out locked.key
	run expect -c "
		set timeout 90
		spawn $ART sign model --key locked.key
		expect -re {pass phrase.*:} { send secret\r }
		expect eof
		exit [lindex [wait] 3]"
	[ "$status" -eq 0 ]
	"$ART" verify model --key "$KEYS/prime256v1.pub"
	rm model/model.sig
	run "$ART" sign model --key locked.key </dev/null
	[ "$status" -ne 0 ]
	[ ! -e model/model.sig ]
}

@test "a key that others can read is signed with, and told about" {
	cp "$KEYS/prime256v1.key" open.key
	chmod 644 open.key
	run "$ART" sign model --key open.key
	[ "$status" -eq 0 ]
	[[ $output == *"others can read the private key"* ]]
}

@test "a single file has its signature beside it" {
	"$ART" sign model/weights.bin --key "$KEYS/prime256v1.key"
	[ -f model/weights.bin.sig ]
	"$ART" verify model/weights.bin --key "$KEYS/prime256v1.pub"
	echo >>model/weights.bin
	run "$ART" verify model/weights.bin --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 1 ]
}

@test "a signature elsewhere is not part of the model, one inside is left out" {
	"$ART" sign model --key "$KEYS/prime256v1.key" --signature here.sig
	"$ART" verify model --key "$KEYS/prime256v1.pub" --signature here.sig
	cp here.sig model/sub/x.sig
	# That one was signed without knowing of its name.
	run "$ART" verify model --key "$KEYS/prime256v1.pub" \
	    --signature here.sig
	[ "$status" -eq 1 ]
	[[ $output == *"extra: sub/x.sig"* ]]
	"$ART" verify model --key "$KEYS/prime256v1.pub" \
	    --signature model/sub/../sub/x.sig
}

@test "nothing is written where nothing can be" {
	run "$ART" sign model --key "$KEYS/prime256v1.key" \
	    --signature absent/x.sig
	[ "$status" -eq 125 ]
	[[ $output == *"cannot write"* ]]
	echo old >model.sig
	ln -s target model/bad
	run "$ART" sign model --key "$KEYS/prime256v1.key" \
	    --signature model.sig
	[ "$status" -eq 125 ]
	[ "$(cat model.sig)" = old ]
}

# ---- what others sign, we verify ----

# sign_by_hand KEY DIGEST RESOURCES SERIALIZATION: writes model.sig here.
sign_by_hand()
{
	local root
	root=$(jq -r '.[].digest' <<<"$3" | xxd -r -p | sha256sum | cut -c1-64)
	jq -nc --argjson res "$3" --argjson ser "$4" --arg root "$root" '
	{_type: "https://in-toto.io/Statement/v1",
	 subject: [{name: "by hand", digest: {sha256: $root}}],
	 predicateType: "https://model_signing/signature/v1.0",
	 predicate: {resources: $res, serialization: $ser}}' |
	    tr -d '\n' >payload
	{
		printf 'DSSEv1 28 application/vnd.in-toto+json %d ' \
		    "$(stat -c %s payload)"
		cat payload
	} >pae
	openssl dgst "-$2" -sign "$1" -out sig pae
	jq -n --arg p "$(base64 -w0 payload)" --arg s "$(base64 -w0 sig)" \
	    --arg h "$(openssl pkey -in "$1" -pubout | sha256sum |
		cut -c1-64)" '
	{mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
	 verificationMaterial: {publicKey: {hint: $h}, tlogEntries: []},
	 dsseEnvelope: {payload: $p,
	  payloadType: "application/vnd.in-toto+json",
	  signatures: [{sig: $s, keyid: ""}]}}' >model.sig
}

# entry NAME ALGORITHM DIGEST
entry() { jq -nc --arg n "$1" --arg a "$2" --arg d "$3" \
	'{name: $n, algorithm: $a, digest: $d}'; }

@test "a signature made with openssl and jq verifies" {
	local res
	res=$(for f in weights.bin empty sub/more; do
		entry "$f" sha256 "$(sha256sum "model/$f" | cut -c1-64)"
	done | jq -sc .)
	sign_by_hand "$KEYS/secp384r1.key" sha384 "$res" \
	    '{"method":"files","hash_type":"sha256","allow_symlinks":false}'
	run "$ART" verify model --signature model.sig \
	    --key "$KEYS/secp384r1.pub"
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "verified: by hand, 3 files, 11 bytes" ]
	run "$ART" verify model --signature model.sig --json \
	    --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 1 ]
	[ "$(code)" = other-key ]
}

@test "blake2b digests are b2sum's" {
	local res
	res=$(for f in weights.bin empty sub/more; do
		entry "$f" blake2b "$(b2sum "model/$f" | cut -c1-128)"
	done | jq -sc .)
	sign_by_hand "$KEYS/prime256v1.key" sha256 "$res" \
	    '{"method":"files","hash_type":"blake2b","allow_symlinks":false}'
	"$ART" verify model --signature model.sig --key "$KEYS/prime256v1.pub"
	printf x >>model/empty
	run "$ART" verify model --signature model.sig \
	    --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 1 ]
	[[ $output == *"changed: empty"* ]]
}

@test "a hash that we do not have is named" {
	sign_by_hand "$KEYS/prime256v1.key" sha256 \
	    "[$(entry a blake3 00)]" \
	    '{"method":"files","hash_type":"blake3","allow_symlinks":false}'
	run "$ART" verify model --signature model.sig --json \
	    --key "$KEYS/prime256v1.pub"
	[ "$status" -eq 1 ]
	[ "$(code)" = hash ]
	[[ $(jq -r .text <<<"$output") == *"'blake3' is not supported"* ]]
}

# ---- certificates made with openssl ----

# make_ca: ca.pem, int.pem and leaf.pem, with leaf.key.
make_ca()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout ca.key -out ca.pem -subj /CN=root -days 30 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes \
	    -keyout int.key -out int.csr -subj /CN=issuer 2>/dev/null
	printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' >ca.ext
	openssl x509 -req -in int.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
	    -extfile ca.ext -days 20 -out int.pem 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout leaf.key -out leaf.csr -subj '/O=Acme/CN=fraud-team' \
	    2>/dev/null
	printf 'keyUsage=critical,digitalSignature\n' >leaf.ext
	openssl x509 -req -in leaf.csr -CA int.pem -CAkey int.key \
	    -CAcreateserial -extfile leaf.ext -days 10 -out leaf.pem \
	    2>/dev/null
}

@test "a signature with certificates verifies by root and identity" {
	make_ca
	"$ART" sign model --key leaf.key --cert leaf.pem --cert int.pem
	run "$ART" verify model --ca ca.pem --identity CN=fraud-team,O=Acme
	[ "$status" -eq 0 ]
	[[ $output == *"signed by: CN=fraud-team,O=Acme (sha256:"* ]]
	"$ART" verify model --ca ca.pem --identity "sha256:$(openssl x509 -in \
	    leaf.pem -noout -fingerprint -sha256 | cut -d= -f2)"
	run "$ART" verify model --ca ca.pem --identity CN=mallory --json
	[ "$status" -eq 1 ]
	[ "$(code)" = other-identity ]
	run "$ART" verify model --ca int.pem --identity CN=fraud-team,O=Acme
	[ "$status" -eq 0 ]
	run "$ART" verify model --ca leaf.csr --identity CN=fraud-team,O=Acme
	[ "$status" -eq 125 ]
	# openssl agrees about the chain.
	openssl verify -CAfile ca.pem -untrusted int.pem leaf.pem
}

@test "without its issuer a certificate proves nothing" {
	make_ca
	"$ART" sign model --key leaf.key --cert leaf.pem
	run "$ART" verify model --ca ca.pem --identity CN=fraud-team,O=Acme \
	    --json
	[ "$status" -eq 1 ]
	[ "$(code)" = untrusted-chain ]
}

@test "a certificate of another key is not put into a signature" {
	make_ca
	run "$ART" sign model --key "$KEYS/prime256v1.key" --cert leaf.pem
	[ "$status" -eq 125 ]
	[ ! -e model/model.sig ]
}

# ---- the vectors ----

# spec_model: what key.bundle.json and certificate.bundle.json are about.
spec_model()
{
	rm -rf model
	mkdir model
	cp "$VECTORS"/v1.1.0-elliptic-key/{signme-1,signme-2,ignore-me} model
}

@test "vector: the reference's key signature verifies" {
	need_vectors
	run "$ART" verify "$VECTORS/v1.1.0-elliptic-key" \
	    --key "$VECTORS/keys/signing-key-pub.pem"
	[ "$status" -eq 0 ]
	[[ $output == *"not covered by the signature: ignore-me"* ]]
	spec_model
	"$ART" verify model --key "$VECTORS/keys/signing-key-pub.pem" \
	    --signature "$VECTORS/spec/valid/key.bundle.json"
}

@test "vector: the reference's certificate signature verifies" {
	need_vectors
	local fp
	fp=$(openssl x509 -in "$VECTORS/keys/signing-key-cert.pem" -noout \
	    -fingerprint -sha256 | cut -d= -f2)
	"$ART" verify "$VECTORS/v1.1.0-certificate" \
	    --ca "$VECTORS/keys/ca-cert.pem" --identity "sha256:$fp"
	spec_model
	"$ART" verify model --ca "$VECTORS/keys/ca-cert.pem" \
	    --identity "sha256:$fp" \
	    --signature "$VECTORS/spec/valid/certificate.bundle.json"
}

@test "vector: one changed byte, one file more or less is refused" {
	need_vectors
	cp -r "$VECTORS/v1.1.0-elliptic-key" v
	chmod -R u+w v
	local key=$VECTORS/keys/signing-key-pub.pem
	"$ART" verify v --key "$key"
	printf x >>v/signme-1
	run "$ART" verify v --key "$key"
	[ "$status" -eq 1 ]
	[[ $output == *"changed: signme-1"* ]]
	cp "$VECTORS/v1.1.0-elliptic-key/signme-1" v
	touch v/extra
	run "$ART" verify v --key "$key"
	[ "$status" -eq 1 ]
	[[ $output == *"extra: extra"* ]]
	rm v/extra v/signme-2
	run "$ART" verify v --key "$key"
	[ "$status" -eq 1 ]
	[[ $output == *"missing: signme-2"* ]]
}

@test "vector: every invalid bundle is refused for its own reason" {
	need_vectors
	# None that is not looked at: those of the table, and the key's.
	[ "$(find "$VECTORS/spec" -name '*.json' | wc -l)" = 8 ]
	spec_model
	while read -r file want; do
		run "$ART" verify model --json \
		    --key "$VECTORS/keys/signing-key-pub.pem" \
		    --signature "$VECTORS/spec/$file.bundle.json"
		echo "$file: $output"
		[ "$status" -eq 1 ]
		[ "$(code)" = "$want" ]
	done <<-TABLE
	invalid/empty not-json
	invalid/missing-envelope bad-field
	invalid/missing-tlog-entries sigstore
	invalid/missing-verification-material bad-field
	invalid-payload/wrong-predicate bad-signature
	valid/sigstore sigstore
	valid/certificate method
	TABLE
}

@test "vector: the root digest is the reference's" {
	need_vectors
	spec_model
	[ "$("$ART" digest --oms --ignore ignore-me model)" = "sha256:$(jq -r \
	    .dsseEnvelope.payload "$VECTORS/spec/valid/key.bundle.json" |
		base64 -d | jq -r '.subject[0].digest.sha256')" ]
}

# ---- people ----

@test "the examples of the man page work" {
	mkdir doc
	cp -r model doc/model
	touch doc/model/weights
	cd doc
	modelgate() { [ "$1" = artifact ] && "$ART" "${@:2}"; }
	# The lines of the examples, without prompt and mdoc's escapes.
	awk '/^\.Sh EXAMPLES/ { on = 1 } /^\.Sh SEE/ { on = 0 }
	    /^\.Bd/ { bd = on } /^\.Ed/ { bd = 0 }
	    bd && !/^\./ { sub(/^\$ /, ""); gsub(/\\e/, "\\"); print }' \
	    "$TOP/agent/verify/modelgate-artifact.1" >examples
	[ "$(wc -l <examples)" -ge 9 ]
	grep -v '^modelgate artifact verify\|^modelgate artifact digest' \
	    examples >steps
	eval "$(sed -n 1,3p examples)"
	eval "$(sed -n 4p examples)"
	eval "$(sed -n 5p examples)"
	run eval "$(sed -n 6p examples)"
	[ "$status" -eq 1 ]
	[ "$(eval "$(sed -n 7p examples)")  -" = \
	    "sha256:$(eval "$(sed -n '8,$p' examples)")" ]
}

@test "a long run shows its progress on a terminal, and nowhere else" {
	command -v script >/dev/null || skip "no script(1)"
	truncate -s 3G model/big
	run script -qec "$ART digest model" /dev/null
	[ "$status" -eq 0 ]
	[[ $output == *"%  "*"GB/s"*" left"* || $output == *"MB/s"*" left"* ]]
	run "$ART" digest model
	[[ $output != *left* ]]
}
