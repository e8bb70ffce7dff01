/* SPDX-License-Identifier: MIT */
/*
 * metric_table.h - every number that shcounterd and shcount-gateway tell of themselves, once: what INFO calls
 * it, what /metrics calls it, its unit and its meaning. daemon/stats.c makes INFO of it, lib/metric.c what
 * the gateway exports, and shcounter-metrics(7) is held against it (tests/system/words.bats).
 *
 * NULL as the name in /metrics: that is for Redis's clients, or tells what another row does. Names are in
 * base units, and what only grows ends in _total; lib/metric.h has the units.
 */
#ifndef SHC_METRIC_TABLE_H
#define SHC_METRIC_TABLE_H

/* Of the daemon: X(key of INFO, section of INFO, unit, name in /metrics, source, meaning). A source is
 * VALUE(a function of daemon/stats.c) or WORKER(a field of struct worker_stats), which is summed. */
#define METRIC_DAEMON(X)                                                                                     \
	X(process_id, SERVER, GAUGE, NULL, VALUE(process_id), "process id")                                  \
	X(tcp_port, SERVER, GAUGE, NULL, VALUE(tcp_port), "port of TCP, 0 without one")                      \
	X(server_time_usec, SERVER, GAUGE, NULL, VALUE(server_time_usec), "Unix time in microseconds")       \
	X(uptime_in_seconds, SERVER, SECONDS, "shcounterd_uptime_seconds", VALUE(uptime_seconds),            \
	  "time since the start")                                                                            \
	X(uptime_in_days, SERVER, GAUGE, NULL, VALUE(uptime_days), "the same in days")                       \
	X(workers, SERVER, GAUGE, "shcounterd_workers", VALUE(worker_count),                                 \
	  "threads that serve connections")                                                                  \
                                                                                                             \
	X(connected_clients, CLIENTS, GAUGE, "shcounterd_connections", VALUE(client_count),                  \
	  "connections now")                                                                                 \
	X(maxclients, CLIENTS, GAUGE, "shcounterd_connections_max", VALUE(max_clients),                      \
	  "connections allowed at a time (max-clients)")                                                     \
	X(blocked_clients, CLIENTS, GAUGE, "shcounterd_connections_waiting", WORKER(waiting),                \
	  "connections whose request waits for the disk or for cells")                                       \
                                                                                                             \
	X(held_back_clients, CLIENTS, GAUGE, "shcounterd_connections_held_back", WORKER(held_back_now),      \
	  "connections that are not read from until their source has budget again")                          \
	X(sources, CLIENTS, GAUGE, "shcounterd_sources", VALUE(sources),                                     \
	  "users, addresses and logins that have a connection")                                              \
                                                                                                             \
	X(used_memory, MEMORY, BYTES, "shcounterd_memory_used_bytes", VALUE(memory_used),                    \
	  "memory of counters, their names and the table that finds them")                                   \
	X(counters_memory_reserved, MEMORY, BYTES, "shcounterd_memory_reserved_bytes",                       \
	  VALUE(memory_reserved), "the same with what is kept for new ones")                                 \
	X(used_memory_rss, MEMORY, BYTES, "shcounterd_memory_resident_bytes", VALUE(memory_rss),             \
	  "memory of the process that is resident")                                                          \
	X(maxmemory, MEMORY, BYTES, "shcounterd_memory_max_bytes", VALUE(memory_max),                        \
	  "no new counters beyond it (max-memory), 0 without a limit")                                       \
	X(mem_clients_normal, MEMORY, BYTES, "shcounterd_client_memory_bytes", VALUE(client_memory),         \
	  "what connections hold that hold 64 KiB or more")                                                  \
	X(maxmemory_clients, MEMORY, BYTES, "shcounterd_client_memory_max_bytes", VALUE(client_memory_max),  \
	  "beyond it the largest are closed (max-client-memory), 0 without a limit")                         \
                                                                                                             \
	X(loading, PERSISTENCE, FLAG, NULL, VALUE(zero), "always 0: connections are accepted after loading") \
	X(open_epoch, PERSISTENCE, GAUGE, "shcounterd_epoch_open", VALUE(epoch_open_now),                    \
	  "the epoch that changes are recorded in now")                                                      \
	X(durable_epoch, PERSISTENCE, GAUGE, "shcounterd_epoch_durable", VALUE(epoch_durable_now),           \
	  "the newest epoch that is on disk")                                                                \
	X(store_retrying, PERSISTENCE, FLAG, "shcounterd_store_retrying", VALUE(store_retrying),             \
	  "1 while the disk refuses what is to be written, which is tried again")                            \
	X(store_refusals, PERSISTENCE, COUNT, "shcounterd_store_refusals_total", VALUE(store_refusals),      \
	  "times that the disk has refused something")                                                       \
	X(journal_bytes, PERSISTENCE, BYTES, "shcounterd_journal_bytes", VALUE(journal_bytes),               \
	  "changes on disk that are not folded into the snapshot yet")                                       \
	X(commits, PERSISTENCE, COUNT, "shcounterd_commits_total", VALUE(commits), "epochs written to disk") \
	X(fold_transactions, PERSISTENCE, COUNT, "shcounterd_fold_transactions_total",                       \
	  VALUE(fold_transactions), "transactions that folded the journal")                                  \
	X(rows_folded, PERSISTENCE, COUNT, "shcounterd_rows_folded_total", VALUE(rows_folded),               \
	  "rows of counters written by folding")                                                             \
	X(journal_merges, PERSISTENCE, COUNT, "shcounterd_journal_merges_total", VALUE(journal_merges),      \
	  "merges of a journal that had outgrown folding")                                                   \
	X(checkpoints, PERSISTENCE, COUNT, "shcounterd_checkpoints_total", VALUE(checkpoints),               \
	  "checkpoints of the write-ahead log")                                                              \
	X(sessions, PERSISTENCE, GAUGE, "shcounterd_sessions", VALUE(sessions),                              \
	  "sessions remembered (SHC.SESSION)")                                                               \
	X(max_sessions, PERSISTENCE, GAUGE, "shcounterd_sessions_max", VALUE(max_sessions),                  \
	  "sessions remembered at most (max-sessions)")                                                      \
	X(tokens, PERSISTENCE, GAUGE, "shcounterd_tokens", VALUE(tokens), "tokens remembered (SHC.ONCE)")    \
	X(max_tokens, PERSISTENCE, GAUGE, "shcounterd_tokens_max", VALUE(max_tokens),                        \
	  "tokens remembered at most (max-tokens)")                                                          \
	X(last_snapshot_time, PERSISTENCE, TIME, "shcounterd_last_snapshot_timestamp_seconds",               \
	  VALUE(snapshot_time), "Unix time of the end of the last complete snapshot")                        \
	X(rdb_last_save_time, PERSISTENCE, TIME, NULL, VALUE(snapshot_time), "the same by Redis's name")     \
	X(rdb_bgsave_in_progress, PERSISTENCE, FLAG, NULL, VALUE(snapshot_asked),                            \
	  "somebody waits for a complete snapshot")                                                          \
	X(aof_enabled, PERSISTENCE, FLAG, NULL, VALUE(one), "always 1: every change goes to the journal")    \
	X(aof_rewrite_in_progress, PERSISTENCE, FLAG, NULL, VALUE(zero),                                     \
	  "always 0: the journal is folded, not rewritten")                                                  \
	X(aof_current_size, PERSISTENCE, BYTES, NULL, VALUE(journal_bytes), "journal_bytes by Redis's name") \
                                                                                                             \
	X(total_connections_received, STATS, COUNT, "shcounterd_connections_total", WORKER(connections),     \
	  "connections served")                                                                              \
	X(total_commands_processed, STATS, COUNT, "shcounterd_operations_total", WORKER(requests),           \
	  "requests executed")                                                                               \
	X(total_net_input_bytes, STATS, VOLUME, "shcounterd_received_bytes_total", WORKER(bytes_in),         \
	  "bytes received")                                                                                  \
	X(total_net_output_bytes, STATS, VOLUME, "shcounterd_sent_bytes_total", WORKER(bytes_out),           \
	  "bytes sent")                                                                                      \
	X(rejected_connections, STATS, COUNT, "shcounterd_connections_rejected_total", VALUE(refused),       \
	  "connections refused for max-clients")                                                             \
	X(rejected_source_connections, STATS, COUNT, "shcounterd_connections_rejected_by_source_total",      \
	  VALUE(refused_by_source),                                                                          \
	  "connections and log-ins refused because their source had as many as it may")                      \
	X(acl_access_denied_auth, STATS, COUNT, "shcounterd_denied_logins_total", WORKER(denied_auth),       \
	  "wrong passwords, and requests of clients that have not logged in and would have to")              \
	X(acl_access_denied_cmd, STATS, COUNT, "shcounterd_denied_commands_total", WORKER(denied_commands),  \
	  "requests refused because the client may not run the command")                                     \
	X(acl_access_denied_key, STATS, COUNT, "shcounterd_denied_names_total", WORKER(denied_names),        \
	  "requests refused because the client may not touch one of the names")                              \
	X(accept_failures, STATS, COUNT, "shcounterd_accept_failures_total", VALUE(accept_failures),         \
	  "times that accepting failed for want of descriptors or memory")                                   \
	X(total_error_replies, STATS, COUNT, "shcounterd_error_replies_total", WORKER(errors),               \
	  "requests that no handler took: unknown, wrong arity, no RESP")                                    \
	X(transactions, STATS, COUNT, "shcounterd_transactions_total", WORKER(transactions), "EXECs")        \
	X(parked_requests, STATS, COUNT, "shcounterd_operations_parked_total", WORKER(parked),               \
	  "times that a request had to wait")                                                                \
	X(throttled_clients, STATS, COUNT, "shcounterd_connections_throttled_total", WORKER(throttled),      \
	  "times that a connection was not read from for its unread replies")                                \
	X(held_back, STATS, COUNT, "shcounterd_connections_held_back_total", WORKER(held_back),              \
	  "times that a connection was held back until its source had budget again")                         \
	X(held_back_usec, STATS, MICROSECONDS, "shcounterd_connections_held_back_seconds_total",             \
	  WORKER(held_back_us), "how long that was, of those that have gone on")                             \
	X(output_timeouts, STATS, COUNT, "shcounterd_output_timeouts_total", WORKER(timed_out),              \
	  "connections closed for their unread replies")                                                     \
	X(evicted_clients, STATS, COUNT, "shcounterd_connections_evicted_total", VALUE(evicted_clients),     \
	  "connections closed for max-client-memory")                                                        \
	X(top_periods, STATS, COUNT, NULL, VALUE(top_periods), "periods counted for SHC.TOP")                \
	X(top_changes, STATS, COUNT, NULL, VALUE(top_changes),                                               \
	  "changes of counters that were added up for SHC.TOP")                                              \
	X(names, STATS, GAUGE, "shcounterd_names", VALUE(names), "counters that there are")                  \
	X(names_expiring, STATS, GAUGE, "shcounterd_names_expiring", VALUE(names_expiring),                  \
	  "of them: those that have an expiry")                                                              \
	X(expired_keys, STATS, COUNT, "shcounterd_names_expired_total", VALUE(expired),                      \
	  "counters that have ended because their time had come")                                            \
	X(evicted_keys, STATS, COUNT, NULL, VALUE(zero), "always 0: nothing is evicted")                     \
                                                                                                             \
	X(connected_slaves, REPLICATION, GAUGE, NULL, VALUE(zero), "always 0: there is no replication")      \
	X(cpu_user_usec, CPU, MICROSECONDS, "shcounterd_cpu_user_seconds_total", VALUE(cpu_user),            \
	  "time of CPUs spent in the program")                                                               \
	X(cpu_system_usec, CPU, MICROSECONDS, "shcounterd_cpu_system_seconds_total", VALUE(cpu_system),      \
	  "time of CPUs spent in the kernel for it")                                                         \
	X(cluster_enabled, CLUSTER, FLAG, NULL, VALUE(zero), "always 0: a daemon stands alone")              \
                                                                                                             \
	X(uplink_up, UPLINK, FLAG, "shcounterd_uplink_up", VALUE(uplink_up), "1 while the cluster answers")  \
	X(uplink_restored, UPLINK, FLAG, "shcounterd_uplink_restored", VALUE(uplink_restored),               \
	  "1 while sessions and tokens are refused because this state is a copy of an older one")            \
	X(uplink_names, UPLINK, GAUGE, "shcounterd_uplink_names", VALUE(uplink_names),                       \
	  "names that it knows")                                                                             \
	X(uplink_due, UPLINK, GAUGE, "shcounterd_uplink_due", VALUE(uplink_due),                             \
	  "names with something that is not in the cluster yet")                                             \
	X(uplink_lag_ms, UPLINK, MILLISECONDS, "shcounterd_uplink_lag_seconds", VALUE(uplink_lag),           \
	  "age of the oldest committed change that is not in the cluster")                                   \
	X(uplink_refused, UPLINK, GAUGE, "shcounterd_uplink_refused", VALUE(uplink_refused),                 \
	  "names that the cluster refuses now")                                                              \
	X(uplink_synced_epoch, UPLINK, GAUGE, "shcounterd_uplink_epoch_synced", VALUE(uplink_synced),        \
	  "the epoch up to which all is in the cluster, but for what it refuses")                            \
	X(uplink_pushes, UPLINK, COUNT, "shcounterd_uplink_pushes_total", VALUE(uplink_pushes),              \
	  "fields that were brought to the cluster")                                                         \
	X(uplink_repairs, UPLINK, COUNT, "shcounterd_uplink_repairs_total", VALUE(uplink_repairs),           \
	  "fields that were not what was believed")

/* Of each worker, in a line `worker_N:key=value,...` of INFO, with a label worker="N": X(key, unit, name,
 * field of struct worker_stats, its units in one of the key's, meaning). */
#define METRIC_WORKER(X)                                                                                     \
	X(connections, GAUGE, "shcounterd_worker_connections", peers, 1, "connections of a worker now")      \
	X(requests, COUNT, "shcounterd_worker_operations_total", requests, 1,                                \
	  "requests that a worker has executed")                                                             \
	X(busy_ms, MILLISECONDS_TOTAL, "shcounterd_worker_busy_seconds_total", busy_ns, 1000000,             \
	  "time that a worker was not asleep")

/* Of how long something took, in a line `key:le_BOUND=N,...,le_inf=N,sum_us=N` of INFO, in microseconds, each
 * with those before it: X(key, name, meaning). */
#define METRIC_TIMES(X)                                                                                      \
	X(commit_times, "shcounterd_commit_duration_seconds",                                                \
	  "times of commits: from the end of an epoch until it is on disk")

/* Of words in INFO: X(name, meaning). */
#define METRIC_WORDS(X) X("shcounterd_build_info", "version and io_backend of a daemon, as labels; always 1")

/* Of the gateway's own work: X(name, type, meaning). */
#define METRIC_GATEWAY(X)                                                                                                                  \
	X("shcount_gateway_build_info", "gauge", "version of the gateway, as a label; always 1")                                           \
	X("shcount_gateway_threads", "gauge", "threads that serve connections")                                                            \
	X("shcount_gateway_requests_total", "counter",                                                                                     \
	  "requests that were answered, by path and class of the status; none: the client did not wait")                                   \
	X("shcount_gateway_request_duration_seconds", "histogram",                                                                         \
	  "times of requests, from the first byte that was looked at to the last of the reply; not of streams")                            \
	X("shcount_gateway_connections", "gauge", "connections of clients now")                                                            \
	X("shcount_gateway_connections_total", "counter", "connections of clients that were accepted")                                     \
	X("shcount_gateway_subscribers", "gauge", "clients that listen to /events now")                                                    \
	X("shcount_gateway_batches_total", "counter", "turns in which backends were asked")                                                \
	X("shcount_gateway_jobs_total", "counter", "requests that backends were asked for in them")                                        \
	X("shcount_gateway_breakers_open", "gauge",                                                                                        \
	  "threads that refuse requests for a backend that is away")                                                                       \
	X("shcount_gateway_breaker_openings_total", "counter", "times that a thread has begun to")                                         \
	X("shcounterd_up", "gauge", "1 when a backend has answered this scrape")                                                           \
	X("shcount_value", "gauge",                                                                                                        \
	  "value of a counter whose name begins with metrics-prefix; beyond 2^53 rounded, as all numbers of Prometheus are")               \
	X("shcount_gateway_values_left_out", "gauge",                                                                                      \
	  "such counters that are not in this scrape, by reason: cap (metrics-max), encoding (the name is no UTF-8), overflow (of a sum)") \
	X("shcount_gateway_values_unseen", "gauge",                                                                                        \
	  "1 when counters are missing from this scrape: too many names to look through, or a backend is away")

#endif
