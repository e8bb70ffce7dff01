/* SPDX-License-Identifier: MIT */
#include "script.h"

const struct script script_shards = {
	.sha1 = "1213db718d66c01fa369e8a75e4651b34d8612ea",
	.text = "local old = redis.call('HGET', KEYS[1], ARGV[1]) or '1 1'\n"
		"local most = tonumber(string.match(old, ' (%d+)$'))\n"
		"if tonumber(ARGV[2]) > most then most = tonumber(ARGV[2]) end\n"
		"local new = string.format('%d %d', ARGV[2], most)\n"
		"redis.call('HSET', KEYS[1], ARGV[1], new)\n"
		"return new\n",
};

const struct script script_once = {
	.sha1 = "3770f8147409cf0a9f04c06d07512b05e4f81b2b",
	.text = "local delta = redis.call('GET', KEYS[2])\n"
		"if delta then\n"
		"  if delta ~= ARGV[1] then\n"
		"    return redis.error_reply('ERR this token was used with another delta: ' .. delta)\n"
		"  end\n"
		"  return {redis.call('GET', KEYS[1]) or '0', 0}\n"
		"end\n"
		"redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])\n"
		"return {redis.call('GET', KEYS[1]), 1}\n",
};

const struct script script_bound = {
	.sha1 = "e14f294b74e924792b9203cb91a184973a449bc6",
	.text = "local function less(a, b)\n"
		"  local minus_a, minus_b = string.sub(a, 1, 1) == '-', string.sub(b, 1, 1) == '-'\n"
		"  if minus_a ~= minus_b then return minus_a end\n"
		"  if minus_a then a, b = string.sub(b, 2), string.sub(a, 2) end\n"
		"  if #a ~= #b then return #a < #b end\n"
		"  return a < b\n"
		"end\n"
		"local old = redis.call('GET', KEYS[1])\n"
		"redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"local new = redis.call('GET', KEYS[1])\n"
		"if not less(new, ARGV[2]) and not less(ARGV[3], new) then return {new, 1} end\n"
		"if old then\n"
		"  redis.call('SET', KEYS[1], old, 'KEEPTTL')\n"
		"else\n"
		"  redis.call('DEL', KEYS[1])\n"
		"end\n"
		"return {old or '0', 0}\n",
};

const struct script script_apply = {
	.sha1 = "79e4b2e7b45d5a18fea28aba6c55404e0b923fbe",
	.text = "local at = redis.call('GET', KEYS[1]) or ''\n"
		"local born, seq, by = string.match(at, '^(%w+) (%d+) (%w+)$')\n"
		"if born == ARGV[1] and tonumber(seq) >= tonumber(ARGV[2]) then\n"
		"  if seq ~= ARGV[2] or by ~= ARGV[3] then\n"
		"    return redis.error_reply('STREAMAHEAD this slot has had batch ' .. seq .. ' of another run')\n"
		"  end\n"
		"  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
		"  return 0\n"
		"end\n"
		"local old = {}\n"
		"for i = 2, #KEYS do\n"
		"  old[i] = redis.pcall('GET', KEYS[i])\n"
		"  local new = redis.pcall('INCRBY', KEYS[i], ARGV[i + 3])\n"
		"  if type(new) == 'table' then\n"
		"    for j = i - 1, 2, -1 do\n"
		"      if old[j] then\n"
		"        redis.call('SET', KEYS[j], old[j], 'KEEPTTL')\n"
		"      else\n"
		"        redis.call('DEL', KEYS[j])\n"
		"      end\n"
		"    end\n"
		"    return redis.error_reply(new.err)\n"
		"  end\n"
		"end\n"
		"redis.call('SET', KEYS[1], table.concat(ARGV, ' ', 1, 3), 'PX', ARGV[4])\n"
		"return 1\n",
};

const struct script script_stream_open = {
	.sha1 = "a7d9729f2e81426ab023ae30126a3079a44b152d",
	.text = "redis.call('HSETNX', KEYS[1], 'born', ARGV[1])\n"
		"redis.call('HSET', KEYS[1], 'owner', ARGV[1])\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
		"local h = redis.call('HMGET', KEYS[1], 'seq', 'cursor', 'batch', 'born', 'by')\n"
		"return {h[1] or '0', h[2] or '', h[3] or '', h[4], h[5] or '', h[3] and 1 or 0}\n",
};

const struct script script_stream_put = {
	.sha1 = "5bd0e4b0de8ea9a1a003ab1f1ba7446e16e982ca",
	.text = "local h = redis.call('HMGET', KEYS[1], 'owner', 'seq')\n"
		"if h[1] ~= ARGV[1] then\n"
		"  return redis.error_reply('SESSIONLOST another client uses the stream')\n"
		"end\n"
		"local seq, new = tonumber(h[2] or '0'), tonumber(ARGV[2])\n"
		"if seq ~= new and seq ~= new - 1 then\n"
		"  return redis.error_reply('ERR the stream stands at batch ' .. seq .. ', not before ' .. new)\n"
		"end\n"
		"redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'cursor', ARGV[3], 'batch', ARGV[4], 'by', ARGV[1])\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[5])\n"
		"return 1\n",
};

const struct script script_stream_through = {
	.sha1 = "b2d88646d5281646c723441217358c1bd36a561e",
	.text = "local h = redis.call('HMGET', KEYS[1], 'owner', 'seq')\n"
		"if h[1] == ARGV[1] and h[2] == ARGV[2] then redis.call('HDEL', KEYS[1], 'batch') end\n"
		"return 1\n",
};
