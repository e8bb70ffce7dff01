/* SPDX-License-Identifier: MIT */
/*
 * script_uplink.c - the scripts of the uplink: a counter's total and its ledger move together.
 *
 * What a command may fail of comes before the first change: a value of another type, no integer, too large.
 * So does a permission that the user of the server lacks, where asking for it is possible (from Redis 7 on).
 */
#include "script.h"

const struct script script_push = {
	.sha1 = "709f6ab390d18e7dc916ac2959bb0679aecc9edf",
	.text = "local at = redis.call('HGET', KEYS[2], ARGV[1]) or ''\n"
		"if at ~= ARGV[2] then return {0, at} end\n"
		"local total = redis.call('GET', KEYS[1]) or ''\n"
		"if ARGV[3] == at then return {1, total} end\n"
		"if redis.acl_check_cmd and not redis.acl_check_cmd('HSET', KEYS[2], ARGV[1], ARGV[3]) then\n"
		"  return redis.error_reply('NOPERM no permission to run HSET on a ledger')\n"
		"end\n"
		"if ARGV[4] ~= '0' then\n"
		"  redis.call('INCRBY', KEYS[1], ARGV[4])\n"
		"  total = redis.call('GET', KEYS[1])\n"
		"end\n"
		"redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])\n"
		"return {1, total}\n",
};

const struct script script_look = {
	.sha1 = "fa9224bbd61172112b0f90f1db08aafceb4e27ef",
	.text = "return {redis.call('GET', KEYS[1]) or '', redis.call('PTTL', KEYS[1]),\n"
		"  redis.call('PTTL', KEYS[2]), redis.call('HGETALL', KEYS[2])}\n",
};

/* -2^63 has no opposite of 64 bits: it goes in two steps, and only where `retired` is less than zero do both
 * fit. INCRBY of 0 tells whether the total is an integer as Redis takes one. */
const struct script script_reset = {
	.sha1 = "50770dbb1841af3c181c9d5e67795c1f46a9a4ce",
	.text = "local total = redis.call('GET', KEYS[1])\n"
		"if not total or total == '0' then return '0' end\n"
		"redis.call('INCRBY', KEYS[1], '0')\n"
		"local less = {'-' .. total}\n"
		"if total == '-9223372036854775808' then\n"
		"  local retired = redis.call('HGET', KEYS[2], 'retired') or '0'\n"
		"  if string.sub(retired, 1, 1) ~= '-' then\n"
		"    return redis.error_reply('ERR increment or decrement would overflow')\n"
		"  end\n"
		"  less = {'9223372036854775807', '1'}\n"
		"elseif string.sub(total, 1, 1) == '-' then\n"
		"  less = {string.sub(total, 2)}\n"
		"end\n"
		"for _, step in ipairs(less) do redis.call('HINCRBY', KEYS[2], 'retired', step) end\n"
		"for _, step in ipairs(less) do redis.call('INCRBY', KEYS[1], step) end\n"
		"return total\n",
};

const struct script script_retire = {
	.sha1 = "77950bdeb67381262844a6a167de96f881aa0abc",
	.text = "local at = redis.call('HGET', KEYS[1], ARGV[1])\n"
		"if not at or at == 'retired' then return {0, ''} end\n"
		"local value = string.match(at, '^%x+ %d+ (-?%d+)$')\n"
		"if not value then return redis.error_reply('ERR no contribution: ' .. at) end\n"
		"if redis.acl_check_cmd and not redis.acl_check_cmd('HSET', KEYS[1], ARGV[1], 'retired') then\n"
		"  return redis.error_reply('NOPERM no permission to run HSET on a ledger')\n"
		"end\n"
		"redis.call('HINCRBY', KEYS[1], 'retired', value)\n"
		"redis.call('HSET', KEYS[1], ARGV[1], 'retired')\n"
		"return {1, value}\n",
};

const struct script script_register = {
	.sha1 = "23817a2a12fd8e6b88978f0ae8f6680daecf8c27",
	.text = "local at = redis.call('HGET', KEYS[1], 'at') or ''\n"
		"if at ~= ARGV[1] then return {0, at} end\n"
		"redis.call('HSET', KEYS[1], 'at', ARGV[2], 'host', ARGV[3])\n"
		"return {1, ''}\n",
};
