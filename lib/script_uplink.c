/* SPDX-License-Identifier: MIT */
/*
 * script_uplink.c - the scripts of the uplink: a counter's total and its ledger move together.
 *
 * What a command may fail of comes before the first change: a value of another type, no integer, too large.
 * A permission that the user of the server lacks is asked for before, or what was done is taken back.
 */
#include "script.h"

/* The way of all pushes is three commands. HSET fails only where its user may not do that; then the total
 * goes back to where it was. -2^63 has no opposite of 64 bits. */
const struct script script_push = {
	.sha1 = "f1cfa706a20c4ea834f61d91733bda18ee7a3436",
	.text = "local at = redis.call('HGET', KEYS[2], ARGV[1]) or ''\n"
		"if at ~= ARGV[2] then return {0, at} end\n"
		"local delta = ARGV[4]\n"
		"if delta == '0' or ARGV[3] == at then\n"
		"  redis.call('GET', KEYS[1])\n"
		"  if ARGV[3] == at then\n"
		"    local ttl = math.max(redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]))\n"
		"    return {1, ttl >= 0 and 'expires' or ''}\n"
		"  end\n"
		"else\n"
		"  redis.call('INCRBY', KEYS[1], delta)\n"
		"end\n"
		"local reply = redis.pcall('HSET', KEYS[2], ARGV[1], ARGV[3])\n"
		"if type(reply) ~= 'table' then return {1, ''} end\n"
		"if delta == '-9223372036854775808' then\n"
		"  redis.call('INCRBY', KEYS[1], '9223372036854775807')\n"
		"  redis.call('INCRBY', KEYS[1], '1')\n"
		"elseif delta ~= '0' then\n"
		"  redis.call('DECRBY', KEYS[1], delta)\n"
		"end\n"
		"return reply\n",
};

const struct script script_look = {
	.sha1 = "fa9224bbd61172112b0f90f1db08aafceb4e27ef",
	.text = "return {redis.call('GET', KEYS[1]) or '', redis.call('PTTL', KEYS[1]),\n"
		"  redis.call('PTTL', KEYS[2]), redis.call('HGETALL', KEYS[2])}\n",
};

/* INCRBY of 0 tells whether the total is an integer as Redis takes one. */
const struct script script_reset = {
	.sha1 = "5f46badb466a53264f644ca42d73eed0e42dc260",
	.text = "local total = redis.call('GET', KEYS[1])\n"
		"local ledger = redis.call('HGETALL', KEYS[2])\n"
		"if not total and #ledger == 0 then return '0' end\n"
		"for _, command in ipairs({{'SET', KEYS[1], '0', 'KEEPTTL'}, {'HSET', KEYS[2], 'a', 'b'},\n"
		"    {'HDEL', KEYS[2], 'retired'}}) do\n"
		"  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(command)) then\n"
		"    return redis.error_reply('NOPERM no permission to run ' .. command[1] .. ' for a reset')\n"
		"  end\n"
		"end\n"
		"if total then redis.call('INCRBY', KEYS[1], '0') end\n"
		"redis.call('SET', KEYS[1], '0', 'KEEPTTL')\n"
		"for i = 1, #ledger, 2 do\n"
		"  local head, value = string.match(ledger[i + 1], '^(%x+ %d+ (%-?%d+) %d+) %-?%d+$')\n"
		"  if head then redis.call('HSET', KEYS[2], ledger[i], head .. ' ' .. value) end\n"
		"end\n"
		"redis.call('HDEL', KEYS[2], 'retired')\n"
		"return total or '0'\n",
};

/* -2^63 has no opposite of 64 bits: it is taken away in two steps. What is added first fits, so it can be
 * taken back when the offset does not. What was there is kept behind the word: should the
 * incarnation come back, it learns what of it has arrived. */
const struct script script_retire = {
	.sha1 = "45c0eb2cab4bf18c548ca66ff405225005c80afe",
	.text = "local at = redis.call('HGET', KEYS[1], ARGV[1])\n"
		"if not at or string.sub(at, 1, 8) == 'retired ' then return {0, at or ''} end\n"
		"local value, offset = string.match(at, '^%x+ %d+ (%-?%d+) %d+ (%-?%d+)$')\n"
		"if not value then return redis.error_reply('ERR no contribution: ' .. at) end\n"
		"if redis.acl_check_cmd and not redis.acl_check_cmd('HSET', KEYS[1], ARGV[1], 'retired') then\n"
		"  return redis.error_reply('NOPERM no permission to run HSET on a ledger')\n"
		"end\n"
		"local function less(text)\n"
		"  if text == '0' then return {} end\n"
		"  if text == '-9223372036854775808' then return {'9223372036854775807', '1'} end\n"
		"  if string.sub(text, 1, 1) == '-' then return {string.sub(text, 2)} end\n"
		"  return {'-' .. text}\n"
		"end\n"
		"local done = {}\n"
		"local steps = less(offset)\n"
		"table.insert(steps, 1, value)\n"
		"for _, step in ipairs(steps) do\n"
		"  local reply = redis.pcall('HINCRBY', KEYS[1], 'retired', step)\n"
		"  if type(reply) == 'table' and reply.err then\n"
		"    for i = #done, 1, -1 do\n"
		"      for _, back in ipairs(less(done[i])) do redis.call('HINCRBY', KEYS[1], 'retired', back) end\n"
		"    end\n"
		"    return reply\n"
		"  end\n"
		"  table.insert(done, step)\n"
		"end\n"
		"redis.call('HSET', KEYS[1], ARGV[1], 'retired ' .. at)\n"
		"return {1, at}\n",
};

const struct script script_register = {
	.sha1 = "23817a2a12fd8e6b88978f0ae8f6680daecf8c27",
	.text = "local at = redis.call('HGET', KEYS[1], 'at') or ''\n"
		"if at ~= ARGV[1] then return {0, at} end\n"
		"redis.call('HSET', KEYS[1], 'at', ARGV[2], 'host', ARGV[3])\n"
		"return {1, ''}\n",
};

/* Who goes on from there stays so when the operator asks again. */
const struct script script_give_up = {
	.sha1 = "6a29c9497441b054b995230a5a5c6f1f8a1e1af4",
	.text = "local at = redis.call('HGET', KEYS[1], 'at') or ''\n"
		"if string.sub(at, 1, 7) ~= 'retired' then redis.call('HSET', KEYS[1], 'at', 'retired') end\n"
		"return 0\n",
};
