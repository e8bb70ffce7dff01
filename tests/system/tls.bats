#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# rediss://: a Redis server with a certificate of a CA of the test's own, other ones that are not what they should be, and
# what does without OpenSSL. Each test's shcount is told of that CA, unless it says otherwise.

load common

# ---- certificates: $SHC_DIR/NAME.pem, NAME.key ----

ca() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch -days 2 -subj "/CN=$1" \
		-keyout "$SHC_DIR/$1.key" -out "$SHC_DIR/$1.pem"
}

leaf() { # CA NAME SUBJECT-ALTERNATIVE-NAMES [DAYS]
	local ca=$SHC_DIR/$1 name=$SHC_DIR/$2
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -batch -subj "/CN=$2" \
		-keyout "$name.key" -out "$name.csr"
	openssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -out "$name.pem" \
		-extfile <(echo "subjectAltName=$3") -days "${4:-2}"
}

# ---- servers ---- their process ids and ports are in $SHC_DIR/NAME.pid and .port

# Whoever asks for a port first may get it: then another one is tried.
start_redis() {
	local port=
	for _ in 1 2 3 4 5; do
		port=$(/usr/bin/python3 -c 'import socket
s, t = socket.socket(), socket.socket()
s.bind(("127.0.0.1", 0)); t.bind(("127.0.0.1", 0))
print(s.getsockname()[1], t.getsockname()[1])')
		cd "$SHC_DIR" || return
		redis-server --bind 127.0.0.1 --port "${port% *}" --tls-port "${port#* }" --unixsocket "$SHC_DIR/redis" \
			--tls-cert-file good.pem --tls-key-file good.key --tls-ca-cert-file ca.pem --tls-auth-clients no \
			--save "" --rename-command MSET SHC.ADD >>"$SHC_DIR/redis.log" 2>&1 3>&- &
		echo $! >"$SHC_DIR/redis.pid"
		echo "${port% *}" >"$SHC_DIR/plain.port"
		echo "${port#* }" >"$SHC_DIR/tls.port"
		wait_until redis_is_up_or_gone
		[ ! -S "$SHC_DIR/redis" ] || return 0
	done
	cat "$SHC_DIR/redis.log" >&2
	return 1
}

redis_is_up_or_gone() {
	redis PING >/dev/null 2>&1 || ! kill -0 "$(cat "$SHC_DIR/redis.pid")" 2>/dev/null
}

# Asks it through a door of its own.
redis() {
	redis-cli -s "$SHC_DIR/redis" "$@"
}

# The server's certificate from now on.
redis_shows() { # NAME
	expect "$(redis CONFIG SET tls-cert-file "$1.pem" tls-key-file "$1.key")" OK
}

# Sends TEXT (with escapes) to whoever connects and then says nothing more; "close" as the second word: hangs up.
start_stub() { # TEXT [close]
	rm -f "$SHC_DIR/stub.port"
	/usr/bin/python3 - "$1" "${2:-}" "$SHC_DIR/stub.port" 3>&- <<-'EOT' &
		import os, socket, sys
		text, then, path = sys.argv[1:]
		listener = socket.create_server(("127.0.0.1", 0))
		open(path + ".new", "w").write(str(listener.getsockname()[1]))
		os.rename(path + ".new", path)
		while True:
		    peer, _ = listener.accept()
		    peer.recv(4096)
		    peer.sendall(text.encode().decode("unicode_escape").encode("latin1"))
		    if then == "close":
		        peer.close()
		    else:
		        kept = peer
	EOT
	echo $! >"$SHC_DIR/stub.pid"
	wait_until test -s "$SHC_DIR/stub.port"
}

stop_stub() {
	kill "$(cat "$SHC_DIR/stub.pid")"
	rm "$SHC_DIR/stub.pid"
}

port() {
	cat "$SHC_DIR/$1.port"
}

over_tls() {
	shcount -u "rediss://127.0.0.1:$(port tls)" "$@"
}

setup_file() {
	new_place
	{
		ca ca
		ca other
		leaf ca good DNS:localhost,IP:127.0.0.1
		leaf ca named DNS:a.example,DNS:*.b.example,IP:10.1.2.3,IP:::1
		leaf ca old IP:127.0.0.1 0
		leaf ca client DNS:client
		leaf other stranger DNS:client
	} >"$SHC_DIR/openssl.log" 2>&1
	start_redis
}

teardown_file() {
	kill "$(cat "$SHC_DIR/redis.pid")"
	remove_place
}

setup() {
	export SHCOUNT_TLS_CA=$SHC_DIR/ca.pem
	unset SHCOUNT_TLS_CERT SHCOUNT_TLS_KEY
	cd "$SHC_DIR" || return
}

teardown() {
	[ ! -e "$SHC_DIR/stub.pid" ] || stop_stub
	redis_shows good
	redis CONFIG SET tls-auth-clients no tls-protocols "" >/dev/null
}

# ---- what is right ----

@test "a server whose certificate is of the CA in SHCOUNT_TLS_CA is counted on, by address and by name" {
	expect "$(over_tls incr tls:a 2)" 2
	expect "$(shcount -u "rediss://localhost:$(port tls)" incr tls:a 3)" 5
	expect "$(redis GET tls:a)" 5
}

@test "a load of pipelines that are longer than a TLS record is counted exactly" {
	expect "$(over_tls bench --json --pipeline 2000 --connections 3 --requests 50000 --keys 100 2>/dev/null | jq -c '[.requests, .grown]')" \
		"[50000,50000]"
	expect "$(over_tls bench --json --rate 5000 --connections 3 --requests 1000 --keys 100 2>/dev/null | jq -c '[.requests, .grown]')" \
		"[1000,1000]"
}

@test "SHCOUNT_TLS_CA may be a directory" {
	mkdir -p cas
	cp ca.pem other.pem cas
	openssl rehash cas
	SHCOUNT_TLS_CA=cas over_tls ping
	rm cas/ca.pem
	openssl rehash cas
	SHCOUNT_TLS_CA=cas run over_tls ping
	expect_status 69
}

@test "the system's trust store is believed without SHCOUNT_TLS_CA, and an empty one is none" {
	SHCOUNT_TLS_CA="" SSL_CERT_FILE=ca.pem over_tls ping
	SHCOUNT_TLS_CA="" run over_tls ping
	expect_status 69
}

@test "some MB each way are what they were" {
	/usr/bin/python3 -c 'import random
random.seed(7)
for i in range(60000): print("n%05d:%s" % (i, "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=60))))' >names
	over_tls ingest names
	over_tls list --sort none | cut -f 1 | grep ^n | LC_ALL=C sort >got
	cmp names got
	redis FLUSHALL
}

@test "a password goes through TLS, and a wrong one is told with 77" {
	redis ACL SETUSER ann on '>hun/ter2' '~*' '+@all'
	expect "$(shcount -u "rediss://ann:hun%2Fter2@127.0.0.1:$(port tls)" incr tls:b)" 1
	run shcount -u "rediss://ann:wrong@127.0.0.1:$(port tls)" incr tls:b
	expect_status 77
	expect_contains "$output" WRONGPASS
	expect "$(redis GET tls:b)" 1
}

# ---- who it is not ----

@test "a certificate of another CA is refused, and nothing is counted" {
	SHCOUNT_TLS_CA=other.pem run over_tls incr tls:c
	expect_status 69
	expect_contains "$output" "from a CA that is not trusted"
	expect_contains "$output" "\$SHCOUNT_TLS_CA names"
	[[ "$output" != *"start a daemon"* ]]
	SHCOUNT_TLS_CA="" SSL_CERT_FILE=other.pem run over_tls incr tls:c
	expect_status 69
	expect "$(redis EXISTS tls:c)" 0
}

@test "a certificate for others is refused and says whom it is for" {
	redis_shows named
	run over_tls incr tls:d
	expect_status 69
	expect_contains "$output" "not for 127.0.0.1: it names a.example, *.b.example, 10.1.2.3, ::1"
	run shcount -u "rediss://localhost:$(port tls)" incr tls:d
	expect_status 69
	expect_contains "$output" "not for localhost: it names a.example"
	expect "$(redis EXISTS tls:d)" 0
}

@test "a certificate that has expired is refused" {
	redis_shows old
	run over_tls incr tls:e
	expect_status 69
	expect_contains "$output" "the server's certificate has expired"
	expect "$(redis EXISTS tls:e)" 0
}

# ---- who we are ----

@test "a server that wants a client certificate gets it, or says what is missing and nothing is in doubt" {
	redis CONFIG SET tls-auth-clients yes
	for protocol in TLSv1.3 TLSv1.2; do
		redis CONFIG SET tls-protocols "$protocol"
		SHCOUNT_TLS_CERT=client.pem SHCOUNT_TLS_KEY=client.key over_tls incr "tls:$protocol"
		cat client.pem client.key >both.pem
		SHCOUNT_TLS_CERT=both.pem over_tls incr "tls:$protocol"
		run over_tls incr "tls:$protocol"
		expect_status 69
		expect_contains "$output" "client certificate: \$SHCOUNT_TLS_CERT and \$SHCOUNT_TLS_KEY name one"
		SHCOUNT_TLS_CERT=stranger.pem SHCOUNT_TLS_KEY=stranger.key run over_tls incr "tls:$protocol"
		expect_status 69
		expect_contains "$output" "does not accept the certificate in \$SHCOUNT_TLS_CERT"
		expect "$(redis GET "tls:$protocol")" 2
	done
}

@test "TLS older than 1.2 is not spoken" {
	SHCOUNT_TLS_CA=ca.pem
	openssl s_server -accept 127.0.0.1:0 -cert good.pem -key good.key -tls1_1 -cipher ALL:@SECLEVEL=0 \
		</dev/zero >stub.log 2>&1 3>&- &
	echo $! >stub.pid
	wait_until grep -q '^ACCEPT' stub.log
	run shcount -u "rediss://$(sed -n 's/^ACCEPT //p' stub.log)" ping
	expect_status 69
	expect_contains "$output" "TLS failed: tlsv1 alert protocol version"
}

# ---- what is set up wrong here ----

@test "files that are missing or no good are a wrong configuration" {
	openssl pkey -in client.key -aes256 -passout pass:x -out locked.key
	local case
	while read -r case; do
		# shellcheck disable=SC2086 # several words
		run env ${case%%|*} "$SHCOUNT" -u "rediss://127.0.0.1:$(port tls)" incr tls:f
		expect_status 78
		expect_contains "$output" "${case#*|}"
	done <<-'END'
		SHCOUNT_TLS_CA=nowhere.pem|$SHCOUNT_TLS_CA: nowhere.pem: No such file
		SHCOUNT_TLS_CA=client.key|$SHCOUNT_TLS_CA: client.key: no certificates
		SHCOUNT_TLS_CERT=nowhere.pem|$SHCOUNT_TLS_CERT: nowhere.pem: No such file
		SHCOUNT_TLS_CERT=client.pem|$SHCOUNT_TLS_CERT: client.pem: no key
		SHCOUNT_TLS_CERT=client.key|$SHCOUNT_TLS_CERT: client.key: no certificate
		SHCOUNT_TLS_KEY=client.key|nothing without $SHCOUNT_TLS_CERT
		SHCOUNT_TLS_CERT=client.pem SHCOUNT_TLS_KEY=nowhere.key|$SHCOUNT_TLS_KEY: nowhere.key: No such file
		SHCOUNT_TLS_CERT=client.pem SHCOUNT_TLS_KEY=stranger.key|$SHCOUNT_TLS_KEY: stranger.key: no key
		SHCOUNT_TLS_CERT=client.pem SHCOUNT_TLS_KEY=locked.key|without a passphrase
	END
	expect "$(redis EXISTS tls:f)" 0
	# On a terminal, OpenSSL by itself would ask for the passphrase and wait.
	export SHCOUNT_TLS_CERT=client.pem SHCOUNT_TLS_KEY=locked.key
	run script -qec "'$SHCOUNT' -u rediss://127.0.0.1:$(port tls) ping" /dev/null </dev/null
	expect_status 78
	[[ "$output" != *phrase:* ]]
}

@test "without OpenSSL, rediss:// says which package has it, and everything else goes on" {
	mkdir -p broken
	: >broken/libssl.so.3
	LD_LIBRARY_PATH=$PWD/broken run over_tls incr tls:g
	expect_status 78
	expect_contains "$output" "Debian's package libssl3"
	LD_LIBRARY_PATH=$PWD/broken shcount -u "redis://127.0.0.1:$(port plain)" ping
	expect "$(redis EXISTS tls:g)" 0
}

@test "OpenSSL is loaded for rediss:// only" {
	local url
	for url in "unix://$SHC_DIR/redis" "redis://127.0.0.1:$(port plain)" "rediss://127.0.0.1:$(port tls)"; do
		LD_DEBUG=files LD_DEBUG_OUTPUT=$PWD/loaded shcount -u "$url" ping
		expect "$url $(cat loaded.* | grep -c 'calling init.*/libssl')" "$url $([[ $url != rediss:* ]]; echo $?)"
		rm loaded.*
	done
}

# ---- who speaks something else, or nothing ----

@test "plain text behind rediss:// is told as that" {
	start_stub '-ERR hello\r\n'
	run shcount -u "rediss://127.0.0.1:$(port stub)" incr tls:h
	expect_status 69
	expect_contains "$output" "the answer is not TLS: does the server speak plain text (redis://)?"
	# This one waits for the end of what it takes for a command.
	run shcount --timeout 300ms -u "rediss://127.0.0.1:$(port plain)" incr tls:h
	expect_status 69
	[[ "$output" == *"plain text (redis://)"* ]]
}

@test "TLS behind redis:// is told as that" {
	run shcount -u "redis://127.0.0.1:$(port tls)" get tls:i
	expect_status 69
	expect_contains "$output" "as one that speaks TLS (rediss://) does"
	run shcount -u "redis://ann:x@127.0.0.1:$(port tls)" incr tls:i
	expect_status 69
	expect_contains "$output" "as one that speaks TLS (rediss://) does"
	start_stub '\x15\x03\x01\x00\x02\x02\x46' close # as other servers do
	run shcount -u "redis://127.0.0.1:$(port stub)" get tls:i
	expect_status 69
	expect_contains "$output" "the server speaks TLS: rediss://"
}

@test "a server that falls silent in the middle of the handshake, or hangs up, is not waited for" {
	start_stub '\x16\x03\x03\x00\x7a\x02\x00'
	run shcount --timeout 300ms -u "rediss://127.0.0.1:$(port stub)" incr tls:j
	expect_status 69
	expect_contains "$output" "no answer to TLS within 300 ms"
	stop_stub
	start_stub '\x16\x03\x03\x00\x7a\x02\x00' close
	run shcount -u "rediss://127.0.0.1:$(port stub)" incr tls:j
	expect_status 69
	expect_contains "$output" "closed the connection in the middle of the TLS handshake"
}
