#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who may ask the gateway what, how often, and how much of it one client can take. The cases: py/gateway_access.py,
# py/gateway_limits.py, py/gateway_tls.py.

load drive

# ---- whose page asks ----

@test "a page of another origin is refused, whatever it asks and whatever name it has bound to our address" {
	drive gateway_access origins
}

# ---- tokens ----

@test "a token has its role and what smaller ones have; none is 401, a small one 403" {
	drive gateway_access tokens
}

@test "SIGHUP reads the tokens again, and a bad file leaves the old ones in force" {
	drive gateway_access reload
}

@test "without tokens it does not listen beyond loopback, nor start with a bad file of them" {
	drive gateway_access bad_start
}

@test "a port that somebody has, be it another gateway, is refused, and one that is none" {
	drive gateway_access taken_port
}

@test "beyond loopback it is known by its addresses" {
	drive gateway_access beyond_loopback
}

@test "--hash-token prints what stands for a token in the file" {
	drive gateway_access hash_token
}

# ---- how often, how much ----

@test "a client that asks too often is told when it may again, and nobody else is" {
	drive gateway_access rate
}

@test "a body that is too large is refused at once, however its length is told" {
	drive gateway_limits body_limit
}

@test "a head has at most 8192 bytes, where each header, argument and cookie is 64 more" {
	drive gateway_limits header_limit
}

@test "no head is so large that its request is carried out and not answered" {
	drive gateway_limits heads_that_leave_no_room
}

@test "a head of twice that is 414 or 431, what is no HTTP is 400, 505 or closed at once" {
	drive gateway_limits no_http
}

@test "beyond the limits of connections nobody loses his place" {
	drive gateway_limits connections
}

@test "a client that is too slow with its request is closed, even when it moves now and then" {
	drive gateway_limits slow_clients
}

@test "a client that does not read its replies is closed" {
	drive gateway_limits deaf_client
}

@test "a connection that is used stays" {
	drive gateway_limits kept_alive
}

@test "of clients that leave in the middle nothing stays" {
	drive gateway_limits clients_that_come_and_go
}

# ---- HTTP/1.1 ----

@test "a refused request costs a client no connection" {
	drive gateway_limits refusals_keep_the_connection
}

@test "a head that a proxy may read otherwise is refused, and nothing is done" {
	drive gateway_limits doubtful_heads
}

@test "pipelined requests are answered in order" {
	drive gateway_limits pipelined
}

@test "HEAD has the head of GET and no body" {
	drive gateway_limits head
}

@test "a client that waits for 100 Continue hears no when its body is not wanted" {
	drive gateway_limits expect_continue
}

# ---- TLS ----

@test "with a certificate it speaks HTTPS and nothing else" {
	drive gateway_tls tls
}

@test "a certificate or key that is none is refused at the start" {
	drive gateway_tls tls_bad
}

@test "SIGHUP reads the certificate again: new connections get it, and a bad file leaves the old one in force" {
	drive gateway_tls tls_reload
}

@test "certificates of authorities in between are sent with ours" {
	drive gateway_tls tls_chain
}
