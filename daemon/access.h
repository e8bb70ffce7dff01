/* SPDX-License-Identifier: MIT */
/*
 * access.h - the rules of who may do what, and how much: the file that the setting `access` names, as a set
 * that is not changed once it was made, and counted. shcounterd(8) has the form of the file; rights.h and
 * limits.h what follows for one peer.
 *
 * `struct access_now` has the set in force. Main replaces it at a reload; each worker has a reference of its
 * own, and sees by the generation that there is another one. Sets: any thread.
 */
#ifndef SHC_ACCESS_H
#define SHC_ACCESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/guarded.h"
#include "../lib/role.h"
#include "../lib/secret.h"
#include "../lib/slice.h"

enum {
	ACCESS_LOGIN_SIZE = 64, /* of its name, with the NUL */
	ACCESS_RULES_MAX = 1000,
	ACCESS_PATTERNS_MAX = 256, /* of a rule */
};

enum access_kind { ACCESS_USER, ACCESS_GROUP, ACCESS_LOGIN, ACCESS_OTHERS };

/* Whom a line is about. */
struct access_whom {
	enum access_kind kind;
	uint32_t id;		       /* uid or gid */
	char login[ACCESS_LOGIN_SIZE]; /* zeros behind it */
};

/* What a source is limited in: requests and bytes a second, connections. */
enum limit_kind { LIMIT_OPERATIONS, LIMIT_BYTES, LIMIT_CLIENTS, LIMITS };

/* A `limit` line. */
struct access_limit {
	struct access_whom whom;
	int64_t values[LIMITS]; /* 0: no limit */
	bool is_given[LIMITS];	/* else as the settings say */
	size_t line;		/* for messages, while it is read */
};

struct access_rule {
	struct access_whom whom;
	enum role role;
	uint8_t hash[SECRET_HASH_SIZE];
	bool is_all; /* "*" is among its patterns */
	size_t pattern_first, pattern_count;
};

struct access {
	_Atomic unsigned refs;
	size_t rule_count, pattern_count, limit_count;
	struct access_rule *rules;
	struct access_limit *limits; /* no two about the same */
	struct slice *patterns;	     /* into `text` */
	char *text;
};

/* Names of users and groups; false: there is none. */
struct access_names {
	bool (*uid_of)(const char *name, uint32_t *out);
	bool (*gid_of)(const char *name, uint32_t *out);
};
extern const struct access_names access_names_here; /* of this machine; main thread */

/* Reads the file, which nobody but us and root may be able to change. 0; -EINVAL: it is not there or not as
 * it must be, or has no rule; -ENOMEM. With a sentence in `why`, which says where. */
int access_read(struct access **out, const char *path, char why[GUARDED_WHY_SIZE]);
/* The same of a text; `path` is for the sentence. */
int access_parse(struct access **out, const char *text, size_t len, const struct access_names *names,
		 const char *path, char why[GUARDED_WHY_SIZE]);

/* Null is allowed. */
struct access *access_ref(struct access *a);
struct access *access_unref(struct access *a); /* null */

/* Is there any login, or one of that name? */
bool access_has_logins(const struct access *a);
bool access_has_login(const struct access *a, struct slice name);

/* Has a login of that name this hash? Takes as long whichever there are. */
bool access_is_login(const struct access *a, struct slice name, const uint8_t hash[SECRET_HASH_SIZE]);

/* ---- the set in force ---- */

struct access_now {
	pthread_mutex_t mutex; /* a leaf; cold */
	struct access *set;    /* null: no rules, everybody may do everything */
	_Atomic uint64_t generation;
};

void access_now_init(struct access_now *n);
void access_now_fini(struct access_now *n);

/* Takes the reference. Main. */
void access_now_set(struct access_now *n, struct access *set);

/* Sets have not changed, but what else follows from them has: settings. */
void access_now_touch(struct access_now *n);

/* Is there another one than that of `generation`? Cheap. */
static inline bool access_now_is_new(const struct access_now *n, uint64_t generation)
{
	/* Relaxed: the set is read under the mutex. */
	return atomic_load_explicit(&n->generation, memory_order_relaxed) != generation;
}

/* A reference for the caller, and its generation. Null: no rules. */
struct access *access_now_get(struct access_now *n, uint64_t *generation);

#endif
