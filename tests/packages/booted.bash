# SPDX-License-Identifier: MIT
# booted.bash - a Debian in a directory that has been started, with systemd as its first process, in name spaces of its own: for
# clean.bats. $booted is the directory. It has no network but its own loopback.
# shellcheck disable=SC2154 # variables are those of the file that loads this

# systemd-nspawn, for it makes what systemd wants to find: devices, control groups, /run. No machine manager need run here.
boot() {
	systemd-nspawn --quiet --directory="$booted" --boot --private-network --register=no --keep-unit --link-journal=no \
		--console=pipe </dev/null >"$booted.console" 2>&1 3>&- &
	echo $! >"$booted.pid"
	wait_until has_leader
	wait_until in_booted systemctl is-system-running --wait
}

# Its first process, as it is numbered here.
leader() {
	pgrep -P "$(cat "$booted.pid")"
}

# There is a moment in which it is not systemd yet.
has_leader() {
	kill -0 "$(cat "$booted.pid")" || { cat "$booted.console"; exit 1; }
	[ "$(cat "/proc/$(leader)/comm" 2>/dev/null)" = systemd ] && in_booted test -S /run/systemd/private
}

in_booted() {
	nsenter --target "$(leader)" --all --root --wdns=/ env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive "$@"
}

has_left() {
	! kill -0 "$(cat "$booted.pid")" 2>/dev/null
}

power_off() {
	[ -e "$booted.pid" ] || return 0
	kill "$(cat "$booted.pid")" 2>/dev/null || true
	wait_until has_left
	rm "$booted.pid"
}

# ---- the daemon in it ----

main_pid() { # UNIT
	in_booted systemctl show --property=MainPID --value "$1"
}

# Its process is another one, which serves.
is_replaced() { # UNIT PID
	[ "$(main_pid "$1")" != "$2" ] && in_booted systemctl --quiet is-active "$1"
}

journal_has() { # UNIT TEXT
	in_booted journalctl --output=cat --unit="$1" | grep -qF -- "$2"
}

# As a user, with the places that his session would have.
as_user() { # USER COMMAND
	in_booted runuser -u "$1" -- env HOME="/home/$1" XDG_RUNTIME_DIR="/run/user/$(in_booted id -u "$1")" "${@:2}"
}
