/* SPDX-License-Identifier: MIT */
/*
 * Compressed inputs: whole ones give what was compressed, in whatever pieces it is asked for; of cut and
 * damaged ones comes what is in front of the fault, and then the fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "../../cmd/source.h"

enum { TEXT_BYTES = 300000, PACKED_MAX = 2 * TEXT_BYTES };

static char text[TEXT_BYTES];

/* Neither noise nor one long run. */
static int make_text(void **state)
{
	(void)state;
	uint32_t seed = 1;
	for (size_t i = 0; i < TEXT_BYTES; i++) {
		seed = seed * 1664525 + 1013904223;
		text[i] = "abcdefgh\n"[(seed >> 24) % 9];
	}
	return 0;
}

/* One member or frame of text[from..to). */
static size_t pack(enum source_kind kind, size_t from, size_t to, char *out)
{
	if (kind == SOURCE_ZSTD)
		return ZSTD_compress(out, PACKED_MAX, text + from, to - from, 1);
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)text + from;
	z.avail_in = (unsigned)(to - from);
	z.next_out = (unsigned char *)out;
	z.avail_out = PACKED_MAX;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t len = PACKED_MAX - z.avail_out;
	deflateEnd(&z);
	return len;
}

static int file_of(const char *data, size_t len)
{
	int fd = memfd_create("source", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Reads all, `piece` bytes at a time: what is got must be the text's beginning. Returns the bytes, and *error
 * how it ended: 0, or what source_read said. */
static size_t read_all(const char *name, const char *data, size_t len, size_t piece, int *error)
{
	static char block[TEXT_BYTES];
	struct source s;
	size_t got = 0;
	ssize_t n;
	int fd = file_of(data, len);
	assert_int_equal(source_open(&s, name, fd), 0);
	while ((n = source_read(&s, block, piece)) > 0) {
		assert_true((size_t)n <= piece && got + (size_t)n <= TEXT_BYTES);
		assert_memory_equal(block, text + got, (size_t)n);
		got += (size_t)n;
	}
	*error = (int)n;
	assert_int_equal(*error == -EBADMSG, s.failure != 0);
	assert_true(s.bytes <= len);
	source_close(&s);
	close(fd);
	return got;
}

static const struct {
	enum source_kind kind;
	const char *name;
} KINDS[] = {{SOURCE_GZIP, "f.gz"}, {SOURCE_ZSTD, "f.zst"}};

static void test_the_name_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(source_kind_of("a.gz"), SOURCE_GZIP);
	assert_int_equal(source_kind_of("/x/a.log.zst"), SOURCE_ZSTD);
	assert_int_equal(source_kind_of("a.gz.txt"), SOURCE_PLAIN);
	assert_int_equal(source_kind_of(".gz"), SOURCE_PLAIN);
	assert_int_equal(source_kind_of("agz"), SOURCE_PLAIN);
	assert_int_equal(source_kind_of("(standard input)"), SOURCE_PLAIN);
}

static void test_members_one_behind_the_other_are_one_input(void **state)
{
	(void)state;
	static char packed[3 * PACKED_MAX];
	static const size_t PIECES[] = {1, 100, 65536, TEXT_BYTES};
	for (size_t k = 0; k < 2; k++) {
		size_t len = pack(KINDS[k].kind, 0, 200000, packed);
		len += pack(KINDS[k].kind, 200000, 200000, packed + len); /* an empty one */
		len += pack(KINDS[k].kind, 200000, TEXT_BYTES, packed + len);
		for (size_t i = 0; i < sizeof(PIECES) / sizeof(PIECES[0]); i++) {
			int error;
			assert_int_equal(read_all(KINDS[k].name, packed, len, PIECES[i], &error), TEXT_BYTES);
			assert_int_equal(error, 0);
		}
	}
}

static void test_zeros_behind_gzip_are_padding_and_other_bytes_a_fault(void **state)
{
	(void)state;
	static char packed[PACKED_MAX + 512];
	size_t len = pack(SOURCE_GZIP, 0, 1000, packed);
	int error;
	memset(packed + len, 0, 512);
	assert_int_equal(read_all("f.gz", packed, len + 512, 4096, &error), 1000);
	assert_int_equal(error, 0);
	packed[len + 511] = 'x';
	assert_int_equal(read_all("f.gz", packed, len + 512, 4096, &error), 1000);
	assert_int_equal(error, -EBADMSG);
}

static void test_cut_anywhere_it_gives_what_came_before_and_says_so(void **state)
{
	(void)state;
	static char packed[PACKED_MAX];
	for (size_t k = 0; k < 2; k++) {
		size_t len = pack(KINDS[k].kind, 0, 3000, packed);
		for (size_t cut = 0; cut < len; cut++) {
			int error;
			size_t got = read_all(KINDS[k].name, packed, cut, 4096, &error);
			assert_in_range(got, 0, 3000);
			assert_int_equal(error, -EBADMSG);
			/* all of it, however little is asked for at a time */
			assert_int_equal(read_all(KINDS[k].name, packed, cut, 1, &error), got);
			assert_int_equal(error, -EBADMSG);
		}
	}
}

static void test_damaged_input_ends_with_an_error_behind_what_was_whole(void **state)
{
	(void)state;
	static char packed[PACKED_MAX];
	size_t len = pack(SOURCE_GZIP, 0, TEXT_BYTES, packed);
	int error;
	packed[len - 8] ^= 1; /* of the checksum */
	assert_int_equal(read_all("f.gz", packed, len, 4096, &error), TEXT_BYTES);
	assert_int_equal(error, -EBADMSG);
	len = pack(SOURCE_ZSTD, 0, 1000, packed);
	memset(packed + len, 'x', 100);
	assert_int_equal(read_all("f.zst", packed, len + 100, 4096, &error), 1000);
	assert_int_equal(error, -EBADMSG);
}

static void test_what_is_not_compressed_is_told_apart_from_damage(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		char room[16];
		struct source s;
		int fd = file_of("plain\n", 6);
		assert_int_equal(source_open(&s, KINDS[k].name, fd), 0);
		assert_int_equal(source_read(&s, room, sizeof(room)), -EBADMSG);
		assert_non_null(strstr(s.fault, "is not compressed"));
		assert_int_equal(s.failure, SOURCE_WRONG);
		source_close(&s);
		close(fd);
	}
}

static void test_a_frame_that_may_be_skipped_may_come_first(void **state)
{
	(void)state;
	static char packed[PACKED_MAX];
	static const char SKIPPABLE[] = {0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
	int error;
	memcpy(packed, SKIPPABLE, sizeof(SKIPPABLE));
	size_t len = sizeof(SKIPPABLE) + pack(SOURCE_ZSTD, 0, 1000, packed + sizeof(SKIPPABLE));
	assert_int_equal(read_all("f.zst", packed, len, 4096, &error), 1000);
	assert_int_equal(error, 0);
}

/* Whoever writes to a pipe and flushes is heard, without writing more. */
static void test_what_was_flushed_into_a_pipe_comes_out_of_it(void **state)
{
	(void)state;
	enum { LEN = 100000 };
	static char zeros[LEN], packed[PACKED_MAX];
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)zeros;
	z.avail_in = LEN;
	z.next_out = (unsigned char *)packed;
	z.avail_out = PACKED_MAX;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	size_t len = PACKED_MAX - z.avail_out;
	deflateEnd(&z);
	int fds[2];
	struct source s;
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], packed, len), len);
	assert_int_equal(source_open(&s, "pipe.gz", fds[0]), 0);
	char room[100];
	ssize_t n;
	size_t got = 0;
	while ((n = source_read(&s, room, sizeof(room))) > 0)
		got += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	assert_int_equal(got, LEN);
	source_close(&s);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_name_says_what_it_is),
		cmocka_unit_test(test_members_one_behind_the_other_are_one_input),
		cmocka_unit_test(test_zeros_behind_gzip_are_padding_and_other_bytes_a_fault),
		cmocka_unit_test(test_cut_anywhere_it_gives_what_came_before_and_says_so),
		cmocka_unit_test(test_damaged_input_ends_with_an_error_behind_what_was_whole),
		cmocka_unit_test(test_what_is_not_compressed_is_told_apart_from_damage),
		cmocka_unit_test(test_what_was_flushed_into_a_pipe_comes_out_of_it),
		cmocka_unit_test(test_a_frame_that_may_be_skipped_may_come_first),
	};
	return cmocka_run_group_tests(tests, make_text, NULL);
}
