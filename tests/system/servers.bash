# SPDX-License-Identifier: MIT
# servers.bash - for tests of a daemon with an uplink: one Redis server (PLAIN_DIR), and a Redis Cluster (FLEET_DIR, FLEET), which
# all tests of a file share. The cases are Python (drive.bash): py/uplink_daemon.py has the servers as `plain()` and `Cluster()`.
#
#   load servers
#   setup_file() { start_servers; }
#   teardown_file() { stop_servers; }
#
# `start_servers secure`: and another cluster, with TLS and users (SECURE_DIR, SECURE, SSL_CERT_FILE).

load drive
load fleet

start_servers() { # [secure]
	need_daemon
	new_place
	export SERVERS_DIR=$SHC_DIR PLAIN_DIR=$SHC_DIR/plain
	FLEET_DIR=$PLAIN_DIR start_fleet --plain
	[ -z "${1:-}" ] || start_secure
	FLEET_DIR=$SERVERS_DIR/fleet start_fleet --node-timeout 500
}

start_secure() {
	export SECURE_DIR=$SERVERS_DIR/secure SSL_CERT_FILE=$SERVERS_DIR/secure/tls/ca.crt
	FLEET_DIR=$SECURE_DIR start_fleet --tls --auth --masters 1 --node-timeout 1000
	export SECURE=$FLEET
}

stop_servers() {
	local kind
	! is_standin || return 0
	for kind in plain secure fleet; do FLEET_DIR=$SERVERS_DIR/$kind stop_fleet; done
	rm -rf "$SERVERS_DIR"
}
