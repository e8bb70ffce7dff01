# SPDX-License-Identifier: MIT
# The source lists: sorted, one file a line. make warns of a file that is in none, and `make lint` fails for it.

# What the daemon and the client share: pure code.
LIB_BASE := \
	lib/adds.c \
	lib/buf.c \
	lib/fill.c \
	lib/glob.c \
	lib/greeting.c \
	lib/hash.c \
	lib/hits.c \
	lib/num.c \
	lib/redirect.c \
	lib/resp_put.c \
	lib/resp_read.c \
	lib/resp_request.c \
	lib/script.c \
	lib/script_uplink.c \
	lib/shard.c \
	lib/slice.c \
	lib/slot.c \
	lib/slots.c

# What programs share, and no client needs.
LIB_SERVICE := \
	lib/guarded.c \
	lib/info.c \
	lib/log.c \
	lib/metric.c \
	lib/notify.c \
	lib/secret.c \
	lib/watchdog.c \
	lib/way.c

# The client library on top of it; the daemon's uplink takes what speaks to a cluster.
LIB_CLIENT := \
	lib/cluster.c \
	lib/cluster_links.c \
	lib/cluster_map.c \
	lib/cluster_nodes.c \
	lib/cluster_ops.c \
	lib/cluster_traffic.c \
	lib/cluster_wait.c \
	lib/conn.c \
	lib/credentials.c \
	lib/link.c \
	lib/redis.c \
	lib/redis_add.c \
	lib/redis_counter.c \
	lib/redis_hit.c \
	lib/redis_once.c \
	lib/redis_parts.c \
	lib/redis_session.c \
	lib/redis_walk.c \
	lib/revive.c \
	lib/shcount.c \
	lib/shcount_add.c \
	lib/shcount_counter.c \
	lib/shcount_hit.c \
	lib/shcount_log.c \
	lib/shcount_once.c \
	lib/shcount_session.c \
	lib/shcount_uplink.c \
	lib/tls.c \
	lib/tls_context.c \
	lib/tls_why.c \
	lib/url.c \
	lib/wire.c

DAEMON := \
	daemon/acceptor.c \
	daemon/acceptor_admit.c \
	daemon/acceptor_leave.c \
	daemon/acceptor_listen.c \
	daemon/access.c \
	daemon/access_limit.c \
	daemon/access_whom.c \
	daemon/arena.c \
	daemon/audit.c \
	daemon/audit_entry.c \
	daemon/audit_reader.c \
	daemon/audit_sweep.c \
	daemon/backup.c \
	daemon/batch.c \
	daemon/check.c \
	daemon/client.c \
	daemon/commit.c \
	daemon/commit_call.c \
	daemon/commit_tend.c \
	daemon/config.c \
	daemon/config_default.c \
	daemon/config_file.c \
	daemon/config_help.c \
	daemon/config_row.c \
	daemon/config_table.c \
	daemon/config_value.c \
	daemon/counter.c \
	daemon/epoch.c \
	daemon/epoch_buffer.c \
	daemon/epoch_table.c \
	daemon/expiry.c \
	daemon/hash_password.c \
	daemon/idle.c \
	daemon/io.c \
	daemon/io_epoll.c \
	daemon/io_uring.c \
	daemon/journal.c \
	daemon/journal_set.c \
	daemon/journal_stream.c \
	daemon/limits.c \
	daemon/main.c \
	daemon/once.c \
	daemon/pack.c \
	daemon/peer.c \
	daemon/peer_access.c \
	daemon/peer_limit.c \
	daemon/peer_memory.c \
	daemon/peer_source.c \
	daemon/readers.c \
	daemon/recover.c \
	daemon/refusals.c \
	daemon/registry.c \
	daemon/registry_extra.c \
	daemon/registry_load.c \
	daemon/request.c \
	daemon/request_access.c \
	daemon/request_auth.c \
	daemon/request_backup.c \
	daemon/request_bound.c \
	daemon/request_client.c \
	daemon/request_command.c \
	daemon/request_config.c \
	daemon/request_counter.c \
	daemon/request_durable.c \
	daemon/request_expire.c \
	daemon/request_explain.c \
	daemon/request_info.c \
	daemon/request_keys.c \
	daemon/request_log.c \
	daemon/request_multi.c \
	daemon/request_once.c \
	daemon/request_quick.c \
	daemon/request_reply.c \
	daemon/request_server.c \
	daemon/request_session.c \
	daemon/request_sub.c \
	daemon/request_top.c \
	daemon/request_uplink.c \
	daemon/request_window.c \
	daemon/rights.c \
	daemon/ring.c \
	daemon/server.c \
	daemon/session.c \
	daemon/sort.c \
	daemon/state_lock.c \
	daemon/stats.c \
	daemon/store.c \
	daemon/store_audit.c \
	daemon/store_backup.c \
	daemon/store_check.c \
	daemon/store_extra.c \
	daemon/store_failure.c \
	daemon/store_fold.c \
	daemon/store_journal.c \
	daemon/store_join.c \
	daemon/store_load.c \
	daemon/store_loaders.c \
	daemon/store_log_check.c \
	daemon/store_merge.c \
	daemon/store_open.c \
	daemon/store_place.c \
	daemon/store_schema.c \
	daemon/store_sql.c \
	daemon/store_uplink.c \
	daemon/store_wal.c \
	daemon/tally.c \
	daemon/top.c \
	daemon/txn.c \
	daemon/txn_add.c \
	daemon/txn_audit.c \
	daemon/txn_commit.c \
	daemon/txn_quick.c \
	daemon/uplink.c \
	daemon/uplink_answer.c \
	daemon/uplink_ask.c \
	daemon/uplink_baseline.c \
	daemon/uplink_due.c \
	daemon/uplink_feed.c \
	daemon/uplink_index.c \
	daemon/uplink_nodes.c \
	daemon/uplink_push.c \
	daemon/uplink_record.c \
	daemon/uplink_refused.c \
	daemon/uplink_retire.c \
	daemon/uplink_rule.c \
	daemon/uplink_sweep.c \
	daemon/uplink_switch.c \
	daemon/uplink_table.c \
	daemon/uplink_verify.c \
	daemon/uplink_wait.c \
	daemon/waker.c \
	daemon/who.c \
	daemon/window.c \
	daemon/worker.c

CMD := \
	cmd/autostart.c \
	cmd/bench_batch.c \
	cmd/bench_cluster.c \
	cmd/bench_counters.c \
	cmd/bench_cpu.c \
	cmd/bench_keys.c \
	cmd/bench_links.c \
	cmd/bench_memcached.c \
	cmd/bench_reply.c \
	cmd/bench_report.c \
	cmd/bench_run.c \
	cmd/bench_server.c \
	cmd/bench_window.c \
	cmd/bench_worth.c \
	cmd/chain.c \
	cmd/cmd_allow.c \
	cmd/cmd_backup.c \
	cmd/cmd_bench.c \
	cmd/cmd_del.c \
	cmd/cmd_doctor.c \
	cmd/cmd_explain.c \
	cmd/cmd_export.c \
	cmd/cmd_get.c \
	cmd/cmd_hit.c \
	cmd/cmd_hits.c \
	cmd/cmd_import.c \
	cmd/cmd_incr.c \
	cmd/cmd_ingest.c \
	cmd/cmd_list.c \
	cmd/cmd_log.c \
	cmd/cmd_ping.c \
	cmd/cmd_set.c \
	cmd/cmd_shards.c \
	cmd/cmd_stats.c \
	cmd/cmd_sync.c \
	cmd/cmd_top.c \
	cmd/cmd_uplink.c \
	cmd/cmd_watch.c \
	cmd/columns.c \
	cmd/command.c \
	cmd/csv.c \
	cmd/cursor.c \
	cmd/doctor.c \
	cmd/doctor_daemon.c \
	cmd/doctor_machine.c \
	cmd/doctor_redis.c \
	cmd/fields.c \
	cmd/fraction.c \
	cmd/head.c \
	cmd/help.c \
	cmd/histogram.c \
	cmd/holder.c \
	cmd/import.c \
	cmd/import_send.c \
	cmd/ingest.c \
	cmd/ingest_send.c \
	cmd/ingest_take.c \
	cmd/ingest_wait.c \
	cmd/inputs.c \
	cmd/json_line.c \
	cmd/main.c \
	cmd/live.c \
	cmd/nearest.c \
	cmd/nodes.c \
	cmd/output.c \
	cmd/picture.c \
	cmd/place.c \
	cmd/progress.c \
	cmd/rotated.c \
	cmd/runs.c \
	cmd/screen.c \
	cmd/signals.c \
	cmd/sorter.c \
	cmd/source.c \
	cmd/spawn.c \
	cmd/statsd.c \
	cmd/stream.c \
	cmd/stream_log.c \
	cmd/stream_resume.c \
	cmd/table.c \
	cmd/target.c \
	cmd/terminal.c \
	cmd/uplink_status.c \
	cmd/uplink_verify.c \
	cmd/walk.c

# What `shcount incr` runs through, in this order side by side in the program: see QUICK_LDFLAGS.
CMD_QUICK := \
	cmd/main.c \
	cmd/command.c \
	cmd/cmd_incr.c \
	cmd/target.c \
	cmd/output.c \
	lib/credentials.c \
	lib/slice.c \
	lib/num.c \
	lib/url.c \
	lib/buf.c \
	lib/conn.c \
	lib/greeting.c \
	lib/wire.c \
	lib/resp_put.c \
	lib/resp_read.c \
	lib/shcount.c \
	lib/shcount_counter.c \
	lib/shcount_session.c \
	lib/redis.c \
	lib/shard.c \
	lib/tls.c

# shcount-gateway, on libmicrohttpd, gnutls and jansson.
GATEWAY := \
	gateway/api.c \
	gateway/backend.c \
	gateway/batch.c \
	gateway/calls.c \
	gateway/certificate.c \
	gateway/clients.c \
	gateway/events.c \
	gateway/exchange.c \
	gateway/guard.c \
	gateway/hash_token.c \
	gateway/head.c \
	gateway/input.c \
	gateway/job.c \
	gateway/listen.c \
	gateway/loop.c \
	gateway/main.c \
	gateway/metrics.c \
	gateway/options.c \
	gateway/origin.c \
	gateway/page.c \
	gateway/rate.c \
	gateway/report.c \
	gateway/route.c \
	gateway/state.c \
	gateway/tokens.c \
	gateway/values.c \
	gateway/watch.c

# One program a file.
UNIT := $(sort $(wildcard tests/unit/test_*.c))
CRASH := $(sort $(wildcard tests/crash/test_*.c))
BENCH := $(sort $(wildcard bench/*.c))
FUZZ := $(sort $(wildcard tests/fuzz/fuzz_*.c))
# What parses bytes from outside, and what that needs.
FUZZED := $(LIB_BASE) $(LIB_SERVICE) \
	cmd/bench_reply.c \
	cmd/csv.c \
	cmd/fields.c \
	cmd/fraction.c \
	cmd/json_line.c \
	cmd/statsd.c \
	cmd/table.c \
	daemon/access.c \
	daemon/access_limit.c \
	daemon/access_whom.c \
	daemon/config_value.c \
	daemon/journal.c \
	daemon/journal_set.c \
	daemon/journal_stream.c \
	daemon/limits.c \
	daemon/rights.c \
	daemon/window.c \
	gateway/job.c \
	gateway/origin.c \
	gateway/tokens.c \
	lib/url.c
FAULT := $(sort $(wildcard tests/fault/*.c))

# The simulation (tests/sim), and what it has something else for.
SIM := $(sort $(wildcard tests/sim/*.c))
UPLINK_SIM := $(sort $(wildcard tests/uplink/*.c))
SIM_REPLACED := \
	daemon/acceptor.c \
	daemon/acceptor_leave.c \
	daemon/acceptor_listen.c \
	daemon/check.c \
	daemon/io_epoll.c \
	daemon/io_uring.c \
	daemon/ring.c \
	daemon/state_lock.c
# The uplink's thread and all that speaks to a cluster: the simulation has none (tests/sim/no_uplink.c).
SIM_UPLINK := $(filter-out $(patsubst %,daemon/uplink_%.c,ask baseline due feed index rule table),$(filter daemon/uplink%.c,$(DAEMON)))
SIM_STORE := $(filter daemon/store%.c,$(DAEMON))

# What the programs of tests/crash share: the disk that loses power.
CRASH_MODEL := \
	tests/crash/disk.c \
	tests/crash/disk_crash.c \
	tests/crash/power.c \
	tests/crash/vfs.c
