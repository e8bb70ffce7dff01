/* SPDX-License-Identifier: MIT */
/*
 * hooks.c - what the compiler calls for -fsanitize=thread: each atomic operation is a switch point and is
 * then done; plain accesses are only checked against memory that was freed.
 */
#include "sim.h"

/* Called by generated code only. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-declarations"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

static inline void before(const volatile void *p, size_t size)
{
	sim_point();
	sim_heap_check(p, size);
}

#define FETCH(bits, name, builtin)                                                                           \
	u##bits __tsan_atomic##bits##_fetch_##name(volatile u##bits *p, u##bits v, int order)                \
	{                                                                                                    \
		(void)order;                                                                                 \
		before(p, sizeof(*p));                                                                       \
		return builtin(p, v, __ATOMIC_SEQ_CST);                                                      \
	}

#define COMPARE(bits, name)                                                                                  \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile u##bits *p, u##bits *expected, u##bits v, \
							  int order, int failed)                             \
	{                                                                                                    \
		(void)order;                                                                                 \
		(void)failed;                                                                                \
		before(p, sizeof(*p));                                                                       \
		return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
	}

#define ATOMIC(bits)                                                                                         \
	u##bits __tsan_atomic##bits##_load(const volatile u##bits *p, int order)                             \
	{                                                                                                    \
		(void)order;                                                                                 \
		before(p, sizeof(*p));                                                                       \
		return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                 \
	}                                                                                                    \
	void __tsan_atomic##bits##_store(volatile u##bits *p, u##bits v, int order)                          \
	{                                                                                                    \
		(void)order;                                                                                 \
		before(p, sizeof(*p));                                                                       \
		__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                    \
	}                                                                                                    \
	u##bits __tsan_atomic##bits##_exchange(volatile u##bits *p, u##bits v, int order)                    \
	{                                                                                                    \
		(void)order;                                                                                 \
		before(p, sizeof(*p));                                                                       \
		return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                          \
	}                                                                                                    \
	u##bits __tsan_atomic##bits##_compare_exchange_val(volatile u##bits *p, u##bits expected, u##bits v, \
							   int order, int failed)                            \
	{                                                                                                    \
		(void)order;                                                                                 \
		(void)failed;                                                                                \
		before(p, sizeof(*p));                                                                       \
		(void)__atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
		return expected;                                                                             \
	}                                                                                                    \
	COMPARE(bits, strong)                                                                                \
	COMPARE(bits, weak)                                                                                  \
	FETCH(bits, add, __atomic_fetch_add)                                                                 \
	FETCH(bits, sub, __atomic_fetch_sub)                                                                 \
	FETCH(bits, or, __atomic_fetch_or)                                                                   \
	FETCH(bits, and, __atomic_fetch_and)                                                                 \
	FETCH(bits, xor, __atomic_fetch_xor)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	sim_point();
}

void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

/* ---- plain accesses ---- */

#define PLAIN(bytes)                                                                                         \
	void __tsan_read##bytes(void *p)                                                                     \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}                                                                                                    \
	void __tsan_write##bytes(void *p)                                                                    \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}                                                                                                    \
	void __tsan_unaligned_read##bytes(void *p)                                                           \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}                                                                                                    \
	void __tsan_unaligned_write##bytes(void *p)                                                          \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}                                                                                                    \
	void __tsan_volatile_read##bytes(void *p)                                                            \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}                                                                                                    \
	void __tsan_volatile_write##bytes(void *p)                                                           \
	{                                                                                                    \
		sim_heap_check(p, bytes);                                                                    \
	}

PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *p, size_t size)
{
	sim_heap_check(p, size);
}

void __tsan_write_range(void *p, size_t size)
{
	sim_heap_check(p, size);
}

void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_init(void)
{
}
